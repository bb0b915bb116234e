//! `policy`: who may write, as a `ValidatingAdmissionPolicy`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use serde_saphyr::{FoldStr, ser_options};

use super::{fail, print};
use crate::config::{ConfigArg, PolicyArgs};
use crate::core::policy_twin::admission_policy::objects;

/// Longer texts, which are expressions and messages, are folded over lines of this length.
const WIDTH: usize = 110;

const EXAMPLES: &str = "\
The API server evaluates it by itself (Kubernetes 1.30 and later), so people stay refused with every pod of the webhook
gone. It holds who may write, no more: it repairs nothing, sets no times, and does not look at what HobbyFarm writes.
Which options it has no use for: --dialect, --invariants and the timeouts.

Examples:
  Install it, from the configuration that the webhook runs with:
      session-webhook policy --config manifests/base/config.yaml \\
          --own-service-account hobbyfarm-session-webhook/session-webhook | kubectl apply -f -
  See first whom it would refuse:
      session-webhook policy --config config.yaml --mode warn | kubectl apply -f -

Exit codes: 0 printed, 1 it could not be written, 2 bad usage or configuration.";

/// Print who may write as a `ValidatingAdmissionPolicy`, which the API server itself evaluates
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PolicyPrint {
    /// Two YAML documents, or one JSON list
    #[arg(long, short, value_enum, default_value_t = Output::Yaml)]
    output: Output,

    #[command(flatten)]
    config: ConfigArg,

    #[command(flatten)]
    policy: PolicyArgs,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Yaml,
    Json,
}

impl PolicyPrint {
    /// Prints it on standard output; what is questionable about the configuration on standard error.
    pub(super) fn run(self) -> ExitCode {
        let Self { output, config: _, policy } = self;
        for warning in policy.warnings() {
            super::warn(&warning);
        }
        let settings = policy.settings();
        if settings.own_service_account.is_none() {
            super::warn(&"without --own-service-account NAMESPACE/NAME what `serve --backfill` writes is refused");
        }
        let objects = objects(&settings);
        let text = match output {
            Output::Yaml => yaml(&objects),
            Output::Json => json_list(&objects),
        };
        match text {
            Ok(text) => print(text.as_bytes()),
            Err(error) => {
                fail(&format_args!("{error:#}"));
                ExitCode::FAILURE
            }
        }
    }
}

fn json_list(objects: &[Value]) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&json!({"apiVersion": "v1", "kind": "List", "items": objects}))? + "\n")
}

fn yaml(objects: &[Value]) -> anyhow::Result<String> {
    let options = ser_options! { folded_wrap_chars: WIDTH, min_fold_chars: WIDTH, prefer_block_scalars: false };
    let texts = objects.iter().map(|object| serde_saphyr::to_string_with_options(&Folded(object), options.clone()));
    let text = texts.collect::<Result<Vec<_>, _>>()?.join("---\n");
    let lines =
        text.lines().map(|line| if starts_folded_text(line) { format!("{line}-\n") } else { format!("{line}\n") });
    Ok(lines.collect())
}

/// Whether the line is a key and `>`, which by itself would end the text with a newline. No line within a text is that
/// short: the next word would have stood on it.
fn starts_folded_text(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '-']);
    line.strip_suffix(": >").is_some_and(|key| key.chars().all(char::is_alphabetic))
}

/// A value whose long texts are folded, so that a person can read them.
struct Folded<'a>(&'a Value);

impl Serialize for Folded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if text.len() > WIDTH => FoldStr(text).serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Folded)),
            Value::Object(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, Folded(value)))),
            scalar => scalar.serialize(serializer),
        }
    }
}
