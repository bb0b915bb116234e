//! Why the API server cannot be asked, or did not answer: in one line, without what credentials, files or objects hold.

use std::error::Error;
use std::time::Duration;

use kube::client::AuthError;
use thiserror::Error;

use crate::core::text::sanitize_line;

/// Longest text of an API server that is passed on; a refusal by a webhook is shorter.
const LONGEST_TEXT: usize = 700;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Why the cluster cannot be reached.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is no kubeconfig, and this is no pod.
    #[error(
        "no way to the API server: there is neither a kubeconfig (KUBECONFIG, ~/.kube/config) nor the token of a service \
         account: {0}; in a pod set automountServiceAccountToken: true"
    )]
    NoCredentials(String),
    /// There are credentials, but they cannot be used.
    #[error("no way to the API server: {0}")]
    Credentials(String),
    /// The kubeconfig has no such context, or it cannot be used.
    #[error("--context {context}: {reason}")]
    Context {
        /// As given.
        context: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing succeeds.
    #[error("no request to {server} succeeded for {}s{last}", waited.as_secs())]
    Unresponsive {
        /// Address of the API server.
        server: String,
        /// For how long.
        waited: Duration,
        /// `: ` and the last error, or nothing.
        last: String,
    },
}

/// Why one request has no answer.
#[derive(Debug, Clone, Error)]
#[error("{server}: {reason} ({request})")]
pub struct RequestError {
    /// Method and path.
    pub request: String,
    /// Address of the API server.
    pub server: String,
    /// What happened.
    pub reason: String,
}

/// What an API server said, or why it said nothing, on one line.
pub fn describe(error: &kube::Error) -> String {
    let text = match error {
        kube::Error::Api(status) if status.message.is_empty() => {
            format!("the API server answered {} {}", status.code, status.reason)
        }
        // A proxy's page, or what stands between here and the API server.
        kube::Error::Api(status) if status.message.trim_start().starts_with('<') => {
            format!("answer {} is a page of HTML: something else than an API server answers", status.code)
        }
        kube::Error::Api(status) => status.message.clone(),
        // The parser quotes what it has read.
        kube::Error::SerdeError(error) => {
            format!("the answer is not what an API server sends (line {}, column {})", error.line(), error.column())
        }
        kube::Error::FromUtf8(_) => "the answer is not what an API server sends (no UTF-8)".to_owned(),
        kube::Error::Service(error) => causes(error.as_ref()),
        error => causes(error),
    };
    sanitize_line(&text, LONGEST_TEXT).into_owned()
}

/// Whether the API server has answered, be it with a refusal.
pub fn is_answer(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(_))
}

/// Whether the API server takes no such object: the types of the definition are others, for one.
pub fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

/// An error and its causes, none of them twice.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Why no client can be made of a configuration: never an argument of a plugin, or what it printed.
pub(super) fn unusable(error: &kube::Error) -> String {
    match error {
        kube::Error::Auth(AuthError::AuthExecRun { cmd, out }) => {
            let command = cmd.split_whitespace().next().unwrap_or_default().trim_matches('"');
            format!("the exec plugin {command} of the kubeconfig ended with {}", out.status)
        }
        kube::Error::Auth(AuthError::AuthExecParse(_)) => {
            "what the exec plugin of the kubeconfig printed is no ExecCredential".to_owned()
        }
        kube::Error::Auth(error) => causes(error),
        error => causes(error),
    }
}
