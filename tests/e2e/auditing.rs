//! Running `audit`, and what it says.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::World;

/// What one run of the program came to.
pub(crate) struct Audited {
    pub(crate) code: i32,
    pub(crate) report: Value,
    pub(crate) stderr: String,
}

/// As one of the people whose kubeconfig is in the folder of this run.
pub(crate) fn audit_command(world: &World, user: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
    let kubeconfig = world.folder().join(format!("{user}.kubeconfig"));
    command.env_clear().env("KUBECONFIG", kubeconfig).args(["audit", "--backfill-after", "0s"]).args(arguments);
    command.stdin(Stdio::null());
    command
}

/// Runs it to its end; blocks no other task for long.
pub(crate) async fn audit(world: &World, user: &str, arguments: &[&str]) -> Audited {
    let mut command = audit_command(world, user, &[&["--output", "json"], arguments].concat());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Audited { code: output.status.code().unwrap(), report, stderr }
}

impl Audited {
    /// Session, kind and field of each finding.
    pub(crate) fn findings(&self) -> BTreeSet<[String; 3]> {
        self.each("findings", ["name", "kind", "field"])
    }

    /// Session and result of each attempt to repair one.
    pub(crate) fn fixes(&self) -> BTreeSet<[String; 2]> {
        self.each("fixes", ["name", "result"])
    }

    fn each<const N: usize>(&self, list: &str, keys: [&str; N]) -> BTreeSet<[String; N]> {
        let items = self.report[list].as_array().unwrap_or_else(|| panic!("{}", self.stderr));
        items.iter().map(|item| keys.map(|key| item[key].as_str().unwrap().to_owned())).collect()
    }
}
