//! The command line: one file for each subcommand.

mod audit;
mod cluster;
mod doctor;
mod policy;
mod review;
mod serve;
mod signals;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{self, ConfigError, Environment};

const EXAMPLES: &str = "\
Examples:
  Try the server out, without certificates and without denying anything:
      session-webhook serve --tls self-signed --mode warn
  May alice create this Session?
      session-webhook review --session session.yaml --as alice
  Why was a recorded request denied?
      session-webhook review request.json
  Which stored Sessions can HobbyFarm not work with?
      session-webhook audit
  Is the installation in the cluster sound?
      session-webhook doctor

`session-webhook help COMMAND` says more.";

/// Guards HobbyFarm's Session resource: a Kubernetes admission webhook
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
#[command(name = "session-webhook", version = crate::LONG_VERSION, max_term_width = 120)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Review(Box<review::ReviewArgs>),
    Audit(Box<audit::AuditArgs>),
    Policy(Box<policy::PolicyPrint>),
    Doctor(Box<doctor::Doctor>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// Whether it has something to do before it ends.
    const fn handles_signals(&self) -> bool {
        match self {
            Self::Serve(_) => true,
            Self::Audit(audit) => audit.handles_signals(),
            Self::Review(_) | Self::Policy(_) | Self::Doctor(_) | Self::Completions { .. } => false,
        }
    }
}

/// The command line as clap knows it, for documentation and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program: `arguments` with its name first, `environment` to look variables up in.
pub fn run(arguments: Vec<OsString>, environment: Environment<'_>) -> ExitCode {
    let parsed = config::matches(&command(), arguments, environment)
        .and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| Box::new(error).into()));
    if let Ok(Cli { command }) = &parsed
        && !command.handles_signals()
    {
        signals::exit_on_signal();
    }
    match parsed {
        Ok(Cli { command: Command::Serve(serve) }) => serve.run(),
        Ok(Cli { command: Command::Review(review) }) => review.run(),
        Ok(Cli { command: Command::Audit(audit) }) => audit.run(),
        Ok(Cli { command: Command::Policy(policy) }) => policy.run(),
        Ok(Cli { command: Command::Doctor(doctor) }) => doctor.run(environment),
        Ok(Cli { command: Command::Completions { shell } }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "session-webhook", &mut script);
            print(&script)
        }
        Err(error) => refuse(&error),
    }
}

/// Says on standard error (help: on standard output) why the program does not start.
fn refuse(error: &ConfigError) -> ExitCode {
    match error {
        ConfigError::Usage(usage) => {
            // Nothing to be done about an error when the terminal is gone; help is what was asked for.
            if let Err(error) = usage.print()
                && error.kind() != ErrorKind::BrokenPipe
                && !usage.use_stderr()
            {
                fail(&format_args!("standard output: {error}"));
                return ExitCode::FAILURE;
            }
        }
        error => fail(error),
    }
    ExitCode::from(error.exit_code())
}

/// All of `text` on standard output. A reader that has gone away is no error.
fn print(text: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            fail(&format_args!("standard output: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// One line on standard error about something questionable.
fn warn(warning: &dyn std::fmt::Display) {
    drop(writeln!(anstream::stderr(), "warning: {warning}"));
}

/// One line on standard error.
fn fail(error: &dyn std::fmt::Display) {
    drop(writeln!(anstream::stderr(), "error: {error}"));
}
