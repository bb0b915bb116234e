//! Running `doctor`, and what it says.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What `doctor` said.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What `doctor` says to somebody.
pub(crate) fn doctor_for(kubeconfig: &Path, arguments: &[&str]) -> Diagnosis {
    diagnosis(&mut doctor_command(kubeconfig, arguments))
}

pub(crate) fn doctor_command(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
    command.env_clear().env("KUBECONFIG", kubeconfig).arg("doctor").args(arguments);
    command
}

pub(crate) fn diagnosis(command: &mut Command) -> Diagnosis {
    let output = command.output().unwrap();
    Diagnosis {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Diagnosis {
    /// All checks.
    pub(crate) fn checks(&self) -> Vec<Value> {
        let told: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        told["checks"].as_array().unwrap().clone()
    }

    /// One check.
    pub(crate) fn check(&self, id: &str) -> Value {
        let found = self.checks().into_iter().find(|check| check["id"] == id);
        found.unwrap_or_else(|| panic!("there is no check {id}: {self:?}"))
    }

    /// The names of the checks that came to this.
    pub(crate) fn with_status(&self, status: &str) -> Vec<String> {
        let checks = self.checks().into_iter().filter(|check| check["status"] == status);
        checks.map(|check| check["id"].as_str().unwrap().to_owned()).collect()
    }

    /// These checks, and no others, find something broken; each says what fixes it.
    pub(crate) fn finds(self, faults: &[&str]) -> Self {
        assert_eq!(self.with_status("faulty"), faults, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.with_status("unknown"), Vec::<String>::new(), "{}", self.stdout);
        assert_eq!(self.code, Some(i32::from(!faults.is_empty())), "{self:?}");
        for fault in faults {
            let remedy = self.check(fault)["remedy"].as_str().map(str::len);
            assert!(remedy.is_some_and(|length| length > 0), "{self:?}");
        }
        self
    }
}
