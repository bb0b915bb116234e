//! `session-webhook`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_webhook::cli::run(std::env::args_os().collect(), &session_webhook::config::process_environment)
}
