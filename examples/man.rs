//! Writes the man pages, and the completions for shells, into a folder: `scripts/man` calls it.

use std::path::PathBuf;

use clap_complete::{Shell, generate_to};

#[allow(clippy::disallowed_methods, reason = "this is a tool of the build")]
fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "target/man".into()));
    std::fs::create_dir_all(&folder)?;
    let mut command = session_webhook::cli::command();
    clap_mangen::generate_to(command.clone(), &folder)?;
    for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
        generate_to(shell, &mut command, "session-webhook", &folder)?;
    }
    Ok(())
}
