//! kubectl, for what users do with it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// kubectl as one person.
pub(crate) struct Kubectl {
    kubeconfig: PathBuf,
    home: PathBuf,
}

/// What kubectl did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Kubectl {
    /// For the person whom this kubeconfig is for.
    pub(crate) fn new(kubeconfig: PathBuf, home: PathBuf) -> Self {
        Self { kubeconfig, home }
    }

    /// Runs it with some input; `editor` is what `kubectl edit` calls.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str, editor: &str) -> Outcome {
        use std::io::Write;
        let mut child = Command::new("kubectl")
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home) // its caches
            .env("KUBE_EDITOR", editor)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("kubectl is needed: {error}"));
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "", "false")
    }

    /// Runs it with objects as its input.
    pub(crate) fn run_on(&self, arguments: &[&str], objects: &[Value]) -> Outcome {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.run_with(arguments, &list.to_string(), "false")
    }
}

impl Outcome {
    /// It worked.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// The webhook refused it, and kubectl says so in our words.
    #[track_caller]
    pub(crate) fn refuses(self, user: &str) -> Self {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.stderr.contains("(Forbidden)") || self.stderr.contains("is forbidden"), "{self:?}");
        assert!(self.stderr.contains(".session-webhook.hobbyfarm.io\" denied the request: "), "{self:?}");
        assert!(self.stderr.contains(user), "{self:?}");
        self
    }
}
