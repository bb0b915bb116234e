//! Environment variables, and the one place that reads those of the process.

use std::ffi::OsString;

/// Looks up an environment variable; a parameter, so that tests need not touch the process's own environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The process's own environment.
pub fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
