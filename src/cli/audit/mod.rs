//! `audit`: every stored Session judged, by the kubeconfig of whoever asks.

mod document;
mod repairs;
mod table;

use std::collections::HashSet;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};

use self::document::{Change, Document, Finding};
use super::cluster::{ClusterArgs, Outcome, attempt};
use super::fail;
use super::signals::Termination;
use crate::cluster::audit::fix::Fixer;
use crate::cluster::audit::{AuditError, Report, Scope, audit_sessions};
use crate::cluster::client::{ApiServer, connect};
use crate::config::{ConfigArg, HumanDuration, RepairArgs, SessionArgs, object_name};
use crate::core::admission::review::RESOURCE;
use crate::core::settings::Settings;
use crate::core::stored::finding::SessionFinding;
use crate::server::clock;

const EXAMPLES: &str = "\
Findings are printed on standard output, the worst first; all else on standard error.
Exit codes: 0 nothing found; 1 something found (with --fix: and not all of it repaired); 2 the cluster, or a part of it,
could not be looked at, or bad usage.

Examples:
  What is wrong with the Sessions of this cluster?
      session-webhook audit
  In one namespace, for a script:
      session-webhook audit -n hobbyfarm-system --output json | jq '.findings[] | select(.severity == \"error\")'
  What would be repaired? Then repair it, as yourself (a break-glass user, where the webhook is in force):
      session-webhook audit --fix
  Tell what appears and goes from now on, until Ctrl-C:
      session-webhook audit --watch --audit-interval 30s

Needed rights: list on sessions, users, courses, scenarios and virtualmachineclaims of hobbyfarm.io; --fix also needs
get and patch on sessions and sessions/status.";

/// What an error to write is about.
const STDOUT: &str = "standard output";

/// Look for Sessions that HobbyFarm cannot work with, and for what else is odd about them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AuditArgs {
    /// Look at one namespace; without it at all of them
    #[arg(short, long, value_name = "NAMESPACE", value_parser = object_name)]
    namespace: Option<String>,

    /// Form of the findings
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,

    /// Give Sessions without usable times what the backfill would, after a server-side dry run and a question
    #[arg(long, conflicts_with = "watch")]
    fix: bool,

    /// Do not ask before writing; needed where there is no terminal to ask on
    #[arg(long, requires = "fix")]
    yes: bool,

    /// Go on looking, and tell what appears and what goes
    #[arg(long)]
    watch: bool,

    /// How often --watch looks
    #[arg(long, env = "SESSION_WEBHOOK_AUDIT_INTERVAL", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(60))]
    audit_interval: HumanDuration,

    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    sessions: SessionArgs,
    #[command(flatten)]
    repair: RepairArgs,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people; coloured on a terminal
    Table,
    /// One document; with --watch one line for each change
    Json,
    /// One document; with --watch one for each change
    Yaml,
}

impl AuditArgs {
    /// Audits, and repairs what was asked for.
    pub(super) fn run(self) -> ExitCode {
        if self.fix && !self.yes && !std::io::stdin().is_terminal() {
            fail(&"--fix asks before it writes, and there is no terminal to ask on: add --yes");
            return Outcome::Incomplete.into();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
            let result = runtime.block_on(self.execute());
            // An exec plugin may still be waiting for somebody.
            runtime.shutdown_background();
            result
        });
        match result {
            Ok(outcome) => outcome.into(),
            // Who reads the findings has heard enough.
            Err(error) if is_broken_pipe(&error) => Outcome::Found.into(),
            Err(error) => {
                fail(&format_args!("{error:#}"));
                Outcome::Incomplete.into()
            }
        }
    }

    /// `--watch` ends with what it knows.
    pub(super) const fn handles_signals(&self) -> bool {
        self.watch
    }

    async fn execute(self) -> anyhow::Result<Outcome> {
        let Self { namespace, output, fix, yes, watch, audit_interval, cluster, config: _, sessions, repair } = self;
        let mut out = anstream::stdout();
        let scope = Scope { namespace, settings: sessions.apply_to(Settings::default()), after: repair.minimum_age() };
        if watch {
            let mut termination = Termination::new().context("waiting for signals")?;
            let mut known = HashSet::new();
            let watching = async {
                let server = connect(&cluster.options()).await?;
                watch_findings(&mut out, output, &mut async || audit(&server, &scope).await, audit_interval, &mut known)
                    .await
            };
            tokio::select! {
                ended = watching => return ended,
                _ = termination.next() => {}
            }
            return Ok(if known.is_empty() { Outcome::NothingFound } else { Outcome::Found });
        }
        let server = connect(&cluster.options()).await?;
        let report = audit(&server, &scope).await?;
        let fixes = if fix {
            if output == Output::Table {
                table::write(&mut out, &report).context(STDOUT)?;
            }
            let fixer = Fixer::new(&server.client, &scope, repair.unparsable(), clock);
            let fixer = attempt(&server, fixer).await?.map_err(AuditError::definition)?;
            Some(repairs::repair(&server, &fixer.ok_or(AuditError::NoDefinition)?, &report.found, yes).await?)
        } else {
            None
        };
        match output {
            Output::Table if fix => {}
            Output::Table => table::write(&mut out, &report).context(STDOUT)?,
            Output::Json | Output::Yaml => {
                document(&mut out, output, &Document::new(&report, fixes.as_deref())).context(STDOUT)?;
            }
        }
        print_skipped(&report);
        Ok(outcome(&report, fixes.as_deref()))
    }
}

async fn audit(server: &ApiServer, scope: &Scope) -> anyhow::Result<Report> {
    let mut progress = Progress::new();
    let audit = audit_sessions(&server.client, scope, clock(), |done, all| progress.update(done, all));
    let report = attempt(server, audit).await;
    progress.end();
    Ok(report??)
}

/// What a gap hides may be anything, so without findings it is no clean bill.
fn outcome(report: &Report, fixes: Option<&[repairs::Fix]>) -> Outcome {
    let is_repaired = |found: &SessionFinding| {
        let repaired = |fix: &repairs::Fix| fix.is_repaired() && fix.is_about(found);
        found.finding.kind.is_repaired_by_backfill() && fixes.is_some_and(|fixes| fixes.iter().any(repaired))
    };
    if report.found.iter().any(|found| !is_repaired(found)) {
        Outcome::Found
    } else if report.skipped.iter().any(|skipped| skipped.may_hide_findings) {
        Outcome::Incomplete
    } else {
        Outcome::NothingFound
    }
}

fn print_skipped(report: &Report) {
    // Of Sessions themselves it is told how they are served; what else is not served is no news.
    for skipped in report.skipped.iter().filter(|skipped| skipped.what == RESOURCE && !skipped.may_hide_findings) {
        drop(writeln!(anstream::stderr(), "note: {}: {}", skipped.what, skipped.reason));
    }
    for skipped in report.skipped.iter().filter(|skipped| skipped.may_hide_findings) {
        fail(&format_args!("{}: {}; what Sessions name of them was not looked at", skipped.what, skipped.reason));
    }
}

/// Audits again and again; ends with an error, or with the one who reads. `known` is what was found last.
async fn watch_findings(
    out: &mut impl Write,
    output: Output,
    audit: &mut impl AsyncFnMut() -> anyhow::Result<Report>,
    interval: HumanDuration,
    known: &mut HashSet<SessionFinding>,
) -> anyhow::Result<Outcome> {
    let mut is_first = true;
    let mut ticks = tokio::time::interval(interval.unsigned());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let report = match audit().await {
            Ok(report) => report,
            // The cluster may be back in a minute; at the start it is more likely a mistake.
            Err(error) if !is_first => {
                fail(&format_args!("{error:#}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        if is_first {
            print_skipped(&report);
        }
        let found: HashSet<SessionFinding> = report.found.iter().cloned().collect();
        let appeared = report.found.iter().filter(|found| !known.contains(*found));
        let gone = known.iter().filter(|known| !found.contains(*known));
        match output {
            Output::Table if is_first => table::write(out, &report).context(STDOUT)?,
            _ => {
                let now = clock();
                let changes = appeared.map(|found| Change::appeared(now, found));
                for change in changes.chain(gone.map(|found| Change::gone(now, found))) {
                    write_change(out, output, &change).context(STDOUT)?;
                }
            }
        }
        out.flush().context(STDOUT)?;
        (*known, is_first) = (found, false);
    }
}

fn write_change(out: &mut impl Write, output: Output, change: &Change<'_>) -> anyhow::Result<()> {
    match output {
        Output::Table => table::write_change(out, change)?,
        Output::Json => writeln!(out, "{}", serde_json::to_string(change)?)?,
        Output::Yaml => write!(out, "---\n{}", serde_saphyr::to_string(change)?)?,
    }
    Ok(())
}

fn document(out: &mut impl Write, output: Output, document: &Document<'_>) -> anyhow::Result<()> {
    match output {
        Output::Yaml => write!(out, "{}", serde_saphyr::to_string(document)?)?,
        Output::Json | Output::Table => writeln!(out, "{}", serde_json::to_string_pretty(document)?)?,
    }
    out.flush()?;
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.root_cause().downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Tells on a terminal how far a long look is.
struct Progress {
    start: Instant,
    is_wanted: bool,
    is_told: bool,
}

impl Progress {
    /// A look that takes no longer needs no progress.
    const DELAY_MS: u128 = 700;

    fn new() -> Self {
        Self { start: Instant::now(), is_wanted: std::io::stderr().is_terminal(), is_told: false }
    }

    fn update(&mut self, done: u64, all: u64) {
        if self.is_wanted && self.start.elapsed().as_millis() > Self::DELAY_MS {
            self.is_told = true;
            drop(write!(std::io::stderr(), "\r\u{1b}[2K{done} of {all} Sessions looked at"));
        }
    }

    fn end(&self) {
        if self.is_told {
            drop(write!(std::io::stderr(), "\r\u{1b}[2K"));
        }
    }
}
