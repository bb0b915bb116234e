//! Configuration: each option is one clap argument, and from that one place come the flag, the environment variable and
//! the key of the `--config` file.
//!
//! [`matches()`] parses the command line, then adds what the environment and the file say about options that the command
//! line leaves open, as if it had been typed as `--key=value`. So one parser checks all three, and an error can name
//! where the value came from.

mod args;
mod backfill_args;
mod file;
mod tls_args;
mod values;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use thiserror::Error;

pub use self::args::{
    ConfigArg, DialectArg, LogArgs, LogFormat, PolicyArgs, RequestArgs, ServeArgs, SessionArgs, TlsMode,
};
pub use self::backfill_args::{BackfillArgs, Controllers, RepairArgs};
pub use self::tls_args::TlsArgs;
pub use self::values::{ByteSize, HumanDuration, exact_account, object_name};
pub use crate::environment::{Environment, process_environment};

/// The argument id of `--config`, which is no key of the file that it names.
const CONFIG: &str = "config";

/// Why the program cannot start with what it was told. Exit code 2, but for `--help` and `--version`.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The command line itself; also `--help` and `--version`, which clap reports in this way.
    #[error(transparent)]
    Usage(#[from] Box<clap::Error>),
    /// The file cannot be read.
    #[error("--config {}: {source}", path.display())]
    FileUnreadable {
        /// As given.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is no YAML mapping of options.
    #[error("{}: {message}", path.display())]
    FileMalformed {
        /// As given.
        path: PathBuf,
        /// What is wrong, where, and what is accepted.
        message: String,
    },
    /// A key of the file is no option.
    #[error("{}: unknown key {key:?}{hint}; the keys are the long flags of `session-webhook serve --help`", path.display())]
    UnknownKey {
        /// As given.
        path: PathBuf,
        /// The key.
        key: String,
        /// `, did you mean "…"?`, or nothing.
        hint: String,
    },
    /// A value of the environment or the file is not accepted.
    #[error("{origin}: {message}")]
    Value {
        /// Where the value stands: the variable, or the file and its key.
        origin: String,
        /// What clap says about the value: the flag, the value, what is accepted.
        message: String,
    },
    /// Options that contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

impl ConfigError {
    /// The exit code of a program that ends with this error: 0 for `--help` and `--version`, otherwise 2.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            _ => 2,
        }
    }
}

/// What stands before each variable.
const PREFIX: &str = "SESSION_WEBHOOK_";

/// The names of all variables of the process's own environment.
pub fn process_variables() -> Vec<String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}

/// Variables that look like this program's, and are none of its options: one line each, for the log at start.
pub fn unknown_variables(command: &Command, variables: &[String]) -> Vec<String> {
    let known: Vec<String> = command
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned))
        .collect();
    let is_unknown =
        |name: &&String| name.starts_with(PREFIX) && !known.contains(name) && !is_injected_for_a_service(name);
    let warning = |name: &String| {
        let hint = file::closest(name, &known).map(|known| format!(", did you mean {known}?")).unwrap_or_default();
        format!("environment variable {name} is no option{hint}")
    };
    variables.iter().filter(is_unknown).map(warning).collect()
}

/// Kubernetes tells each pod of the Services of its namespace: a Service `session-webhook` makes `SESSION_WEBHOOK_PORT`,
/// `SESSION_WEBHOOK_SERVICE_HOST`, `SESSION_WEBHOOK_PORT_443_TCP_ADDR` and others.
fn is_injected_for_a_service(name: &str) -> bool {
    let rest = name.strip_prefix("SESSION_WEBHOOK").unwrap_or(name);
    let is_port = |at: usize| {
        let rest = rest.get(at + "_PORT".len()..).unwrap_or_default();
        rest.is_empty() || rest.strip_prefix('_').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || rest.rfind("_PORT").is_some_and(is_port)
}

/// One option's value from the environment or the file.
struct ExternalValue {
    origin: String,
    arguments: Vec<OsString>,
}

/// Parses `arguments` (the program's name first) with `command`, completed from the environment and the `--config` file.
///
/// A flag wins over a variable, a variable over the file. An empty variable counts as not set. A repeatable option is
/// comma separated in the environment, and a list in the file.
///
/// # Errors
///
/// [`ConfigError`] for everything that is not understood, `--help` and `--version` included.
pub fn matches(
    command: &Command,
    arguments: Vec<OsString>,
    environment: Environment<'_>,
) -> Result<ArgMatches, ConfigError> {
    matches_with_files(command, arguments, environment, &file::text)
}

/// Reads a file that `--config` names: its text.
pub type Files<'a> = &'a dyn Fn(&Path) -> Result<String, ConfigError>;

/// As [`matches()`], with files that are somewhere else: in a `ConfigMap`, for example.
///
/// # Errors
///
/// As [`matches()`].
pub fn matches_with_files(
    command: &Command,
    arguments: Vec<OsString>,
    environment: Environment<'_>,
    files: Files<'_>,
) -> Result<ArgMatches, ConfigError> {
    // Without clap's own look at the environment, so that the value's origin stays known.
    let bare = command.clone().mut_subcommands(|sub| sub.mut_args(|arg| arg.env(Resettable::Reset)));
    let first = bare.clone().try_get_matches_from(&arguments).map_err(|error| {
        // The help is that of the full command, which names the variables.
        let full = command.clone().try_get_matches_from(&arguments).err();
        Box::new(if error.use_stderr() { error } else { full.unwrap_or(error) })
    })?;
    let Some((name, given)) = first.subcommand() else { return Ok(first) };
    let Some(sub) = command.find_subcommand(name) else { return Ok(first) };

    let mut accepted = arguments;
    // Behind the subcommand's name: what the user typed may end with `--` and file names.
    let at = 2 + accepted.iter().skip(1).position(|argument| argument.as_os_str() == OsStr::new(name)).unwrap_or(0);
    let mut known = Vec::new();
    let mut add = |external: ExternalValue| {
        let mut trial = accepted.clone();
        trial.splice(at..at, external.arguments);
        match bare.clone().try_get_matches_from(&trial) {
            Ok(_) => {
                accepted = trial;
                Ok(())
            }
            Err(error) => Err(ConfigError::Value { origin: external.origin, message: single_line_error(&error) }),
        }
    };

    for arg in sub.get_arguments().filter(|arg| arg.get_id() != CONFIG) {
        if is_unset_on_command_line(given, arg)
            && let Some(external) = from_environment(arg, environment)?
        {
            known.push(arg.get_id().clone());
            add(external)?;
        }
    }
    if let Some(path) = config_path(sub, given, environment) {
        let options = file::options(command);
        for (key, values) in file::read(&path, &files(&path)?, &options)? {
            // Another subcommand's key: one file can serve them all.
            let Some(arg) = sub.get_arguments().find(|arg| arg.get_long() == Some(&key)) else { continue };
            if is_unset_on_command_line(given, arg) && !known.contains(arg.get_id()) {
                let origin = format!("{}: key {key:?}", path.display());
                let error =
                    |message: &str| Err(ConfigError::Value { origin: origin.clone(), message: message.to_owned() });
                if values.len() > 1 && !is_repeatable(arg) {
                    return error("expected one value, got a list");
                }
                // The repeatable options are names: a number that YAML has rewritten would be somebody else's.
                if is_repeatable(arg) && values.iter().any(|value| !value.is_text) {
                    return error("expected names; put one that looks like a number or a boolean into quotes");
                }
                let arguments = values.iter().map(|value| format!("--{key}={}", value.text).into()).collect();
                add(ExternalValue { origin, arguments })?;
            }
        }
    }
    bare.try_get_matches_from(accepted).map_err(|error| ConfigError::Usage(Box::new(error)))
}

/// Whether the command line leaves this option to the environment and the file.
fn is_unset_on_command_line(given: &ArgMatches, arg: &Arg) -> bool {
    arg.get_env().is_some() && given.value_source(arg.get_id().as_str()) != Some(ValueSource::CommandLine)
}

fn is_repeatable(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

fn from_environment(arg: &Arg, environment: Environment<'_>) -> Result<Option<ExternalValue>, ConfigError> {
    let (Some(variable), Some(long)) = (arg.get_env().and_then(OsStr::to_str), arg.get_long()) else {
        return Ok(None);
    };
    let Some(value) = environment(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let origin = format!("environment variable {variable}");
    let Ok(value) = value.into_string() else {
        return Err(ConfigError::Value { origin, message: "the value is no UTF-8".to_owned() });
    };
    let argument = |value: &str| OsString::from(format!("--{long}={value}"));
    let arguments: Vec<_> = if is_repeatable(arg) {
        value.split(',').map(str::trim).map(argument).collect()
    } else {
        vec![argument(&value)]
    };
    // A distinguished name (cn=admins,dc=example) would be split into names that may be somebody else's.
    if arguments.len() > 1 && value.contains('=') {
        let message =
            format!("a name with a comma cannot stand in a variable: give it with --{long} or in the --config file");
        return Err(ConfigError::Value { origin, message });
    }
    Ok(Some(ExternalValue { origin, arguments }))
}

fn config_path(sub: &Command, given: &ArgMatches, environment: Environment<'_>) -> Option<PathBuf> {
    let arg = sub.get_arguments().find(|arg| arg.get_id() == CONFIG)?;
    given.get_one::<PathBuf>(CONFIG).cloned().or_else(|| {
        let value = environment(arg.get_env()?.to_str()?)?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    })
}

/// What clap says, without its `error:` and the usage that follows.
fn single_line_error(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}
