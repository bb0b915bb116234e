//! `review`: answers admission reviews offline, and "may alice do this?".

mod input;
mod report;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};

use self::input::BuildArgs;
use super::fail;
use crate::config::{ConfigArg, PolicyArgs};
use crate::core::admission::decision::Decision;
use crate::core::admission::policy::Policy;
use crate::core::admission::response::respond;
use crate::core::admission::review::{Object, Review, ReviewError, STATUS, Webhook, raw_object};
use crate::core::text::{quote, sanitize_line};
use crate::server::clock;

/// Every review is allowed.
const ALLOWED: u8 = 0;
/// A review is denied.
const DENIED: u8 = 1;
/// A review could not be read; also what clap ends with on bad usage.
const UNREADABLE: u8 = 2;

/// Answer admission reviews offline, or ask what somebody may do
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReviewArgs {
    /// AdmissionReview to answer: JSON or YAML, one or several one after the other; - for standard input
    #[arg(value_name = "FILE", default_value = "-", conflicts_with = "session")]
    file: PathBuf,

    /// Answer as this webhook alone; without it as both, the repaired object going to the second
    #[arg(long, value_enum)]
    webhook: Option<Webhook>,

    /// Point in time to decide at, RFC 3339; the present without it
    #[arg(long, value_name = "RFC3339")]
    now: Option<Timestamp>,

    #[command(flatten)]
    build: BuildArgs,

    #[command(flatten)]
    config: ConfigArg,

    #[command(flatten)]
    policy: PolicyArgs,
}

const EXAMPLES: &str = "\
The response is printed on standard output, as JSON; the reasons on standard error.
Exit code: 0 allowed, 1 denied (any of several), 2 unreadable input or bad usage.

Examples:
  Answer a recorded request as the server would:
      session-webhook review recorded.json --webhook validate
  May alice create this Session?
      session-webhook review --session session.yaml --as alice
  What becomes of a status that HobbyFarm writes?
      session-webhook review --session new.yaml --old old.yaml --subresource status \\
          --as system:serviceaccount:hobbyfarm-system:hobbyfarm-session
  With the configuration of a cluster:
      kubectl -n hobbyfarm-session-webhook get configmap -l app.kubernetes.io/name=session-webhook \\
          -o jsonpath='{.items[-1:].data.config\\.yaml}' > config.yaml
      session-webhook review recorded.json --config config.yaml";

impl ReviewArgs {
    /// Answers with the process's own standard streams; colour only on a terminal.
    pub(super) fn run(self) -> ExitCode {
        match run(self, std::io::stdin().lock(), std::io::stdout().lock(), anstream::stderr().lock()) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                fail(&format_args!("{error:#}"));
                ExitCode::from(UNREADABLE)
            }
        }
    }
}

/// Answers what `args` name, reading `stdin` for `-`. The exit code is the result.
///
/// # Errors
///
/// Input that cannot be read at all, and a standard output that cannot be written, unless its reader has just gone.
fn run(args: ReviewArgs, mut stdin: impl Read, mut stdout: impl Write, mut stderr: impl Write) -> Result<u8> {
    let ReviewArgs { file, webhook, now, build, config: _, policy } = args;
    let policy = Policy::new(policy.settings());
    let now = now.unwrap_or_else(clock);

    let reviews = if let Some(review) = build.review()? {
        vec![Ok(review)]
    } else {
        let bytes = read(&file, &mut stdin, &mut stderr)?;
        input::reviews(&bytes).with_context(|| name(&file))?
    };
    let several = reviews.len() > 1;
    let mut code = ALLOWED;
    for (index, body) in reviews.into_iter().enumerate() {
        // What is told a person may get lost; the verdict does not depend on it.
        if several {
            drop(writeln!(stderr, "# {}", index + 1));
        }
        let answered = match body.and_then(|body| Ok(answer(&policy, webhook, &body, now)?)) {
            Ok(answered) => answered,
            Err(error) => {
                drop(writeln!(stderr, "error: {}: review {}: {error}", name(&file), index + 1));
                code = UNREADABLE;
                continue;
            }
        };
        if !answered.decision.is_allowed() {
            code = code.max(DENIED);
        }
        drop(report::write(&mut stderr, &answered));
        match stdout.write_all(&answered.response).and_then(|()| writeln!(stdout)).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(code),
            written => written.context("standard output")?,
        }
    }
    Ok(code)
}

/// A decision, what it was made of, and what the server would send.
struct Answered {
    subject: String,
    /// The object's status before and after the repairs, for a person; empty where there is none.
    status: [String; 2],
    decision: Decision,
    response: Vec<u8>,
}

fn answer(policy: &Policy, webhook: Option<Webhook>, body: &[u8], now: Timestamp) -> Result<Answered, ReviewError> {
    let review = Review::parse(body)?;
    let object = raw_object(body)?;
    let decision = match webhook {
        Some(webhook) => policy.decide(webhook, &review, now)?,
        None => mutate_and_validate(policy, &review, object, now)?,
    };
    let status = match object.filter(|_| !decision.edits.is_empty()) {
        Some(object) => [status(object), status(&repaired(object, &decision)?)],
        None => Default::default(),
    };
    Ok(Answered { response: respond(&review, &decision), subject: subject(&review), status, decision })
}

/// Who does what to which object.
fn subject(review: &Review<'_>) -> String {
    let path = [&review.resource.resource, &review.sub_resource].map(|part| sanitize_line(part, 60)).join("/");
    let user = quote(&review.user_info.username, 100);
    format!("{} of {} {} by {user}", review.operation_name(), path.trim_end_matches('/'), review.object_name())
}

/// As an API server asks: `/mutate` first, then `/validate` about the repaired object.
fn mutate_and_validate(
    policy: &Policy,
    review: &Review<'_>,
    object: Option<&RawValue>,
    now: Timestamp,
) -> Result<Decision, ReviewError> {
    let mutated = policy.decide(Webhook::Mutate, review, now)?;
    let Some(object) = object.filter(|_| !mutated.edits.is_empty()) else {
        return policy.decide(Webhook::Validate, review, now);
    };
    let object = repaired(object, &mutated)?;
    let repaired = Review { object: Some(Object::Raw(&object)), ..review.clone() };
    let mut decision = policy.decide(Webhook::Validate, &repaired, now)?;
    decision.warnings.splice(0..0, mutated.warnings);
    // A denied request is not patched.
    if decision.is_allowed() {
        decision.edits = mutated.edits;
        decision.status_is_missing = mutated.status_is_missing;
    }
    Ok(decision)
}

/// The members of an object, raw: what the server reads at any depth is shown at any depth.
type RawMembers = BTreeMap<String, Box<RawValue>>;

/// The object with the repairs made, as the API server's patch makes them.
fn repaired(object: &RawValue, decision: &Decision) -> serde_json::Result<Box<RawValue>> {
    let mut members: RawMembers = serde_json::from_str(object.get())?;
    let mut status: RawMembers = match members.get(STATUS) {
        Some(status) if !decision.status_is_missing => serde_json::from_str(status.get())?,
        _ => RawMembers::new(),
    };
    for edit in &decision.edits {
        status.insert(edit.field.key().to_owned(), to_raw_value(&edit.value)?);
    }
    members.insert(STATUS.to_owned(), to_raw_value(&status)?);
    to_raw_value(&members)
}

/// The status of an object, a field a line.
fn status(object: &RawValue) -> String {
    let status = || {
        let members: RawMembers = serde_json::from_str(object.get()).ok()?;
        let status: RawMembers = serde_json::from_str(members.get(STATUS)?.get()).ok()?;
        serde_json::to_string_pretty(&status).ok()
    };
    status().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the file that it is given")]
fn read(file: &Path, stdin: &mut impl Read, stderr: &mut impl Write) -> Result<Vec<u8>> {
    if file.as_os_str() != OsStr::new("-") {
        return std::fs::read(file).with_context(|| name(file));
    }
    if std::io::stdin().is_terminal() {
        drop(writeln!(stderr, "reading an AdmissionReview from standard input; see `session-webhook review --help`"));
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes).with_context(|| name(file))?;
    Ok(bytes)
}

fn name(file: &Path) -> String {
    if file.as_os_str() == OsStr::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}
