//! What `review` answers: reviews that were recorded, or one that is built from a Session and a user name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::core::admission::review::{GROUP, RESOURCE, STATUS, VERSION};
use crate::core::requester::Requester;

/// Options that build the review instead of reading one.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Build the review")]
pub(super) struct BuildArgs {
    /// Session as it would be written, YAML or JSON: ask whether --as may do that
    #[arg(long, value_name = "FILE", requires = "user")]
    session: Option<PathBuf>,

    /// User name to ask for; a service account gets a uid, as its token would
    #[arg(long = "as", id = "user", value_name = "USER", requires = "session")]
    user: Option<String>,

    /// Group of the user, besides system:authenticated; repeatable
    #[arg(long = "as-group", value_name = "GROUP", requires = "session")]
    groups: Vec<String>,

    /// The user comes by `kubectl --as`: without a uid
    #[arg(long, requires = "session")]
    impersonated: bool,

    /// What is done with the Session; UPDATE where --old is given
    #[arg(long, value_enum, requires = "session")]
    operation: Option<BuildOperation>,

    /// Session as it is stored, for an UPDATE
    #[arg(long, value_name = "FILE", requires = "session")]
    old: Option<PathBuf>,

    /// Subresource that is written through
    #[arg(long, value_parser = [STATUS], requires = "session")]
    subresource: Option<String>,
}

/// `--operation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
enum BuildOperation {
    Create,
    Update,
}

impl BuildArgs {
    /// The review that the options describe; `None` where they describe none.
    pub(super) fn review(&self) -> Result<Option<Vec<u8>>> {
        let (Some(session), Some(user)) = (&self.session, &self.user) else { return Ok(None) };
        let given = if self.old.is_some() { BuildOperation::Update } else { BuildOperation::Create };
        let operation = match (self.operation.unwrap_or(given), &self.old, &self.subresource) {
            (BuildOperation::Create, Some(_), _) => bail!("--operation CREATE has no stored Session: leave --old out"),
            (BuildOperation::Update, None, _) => bail!("--operation UPDATE needs the stored Session: --old FILE"),
            (BuildOperation::Create, None, Some(_)) => {
                bail!("--subresource status is written by an UPDATE: give --old FILE")
            }
            (BuildOperation::Create, None, None) => "CREATE",
            (BuildOperation::Update, Some(_), _) => "UPDATE",
        };
        let object = object(session)?;
        let old = self.old.as_deref().map(self::object).transpose()?;
        let version = object.get("apiVersion").and_then(Value::as_str).and_then(|both| both.split_once('/'));
        let version = version.map_or(VERSION, |(_, version)| version);
        // One that an API server has stored, but in no namespace, has none; one that is yet to be created gets kubectl's default.
        let default = object.pointer("/metadata/uid").is_none().then(|| json!("default"));
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "00000000-0000-0000-0000-000000000000",
                "kind": {"group": GROUP, "version": version, "kind": "Session"},
                "resource": {"group": GROUP, "version": version, "resource": RESOURCE},
                "subResource": self.subresource,
                "name": object.pointer("/metadata/name"),
                "namespace": object.pointer("/metadata/namespace").or(default.as_ref()),
                "operation": operation,
                "userInfo": self.user_info(user),
                "object": object,
                "oldObject": old,
                "dryRun": true,
            },
        });
        Ok(Some(serde_json::to_vec(&review)?))
    }

    /// As the API server fills it in: a service account has its groups, and a uid unless it is impersonated.
    fn user_info(&self, user: &str) -> Value {
        let mut groups = self.groups.clone();
        let mut uid = None;
        if let Requester::ServiceAccount { namespace, .. } = Requester::parse(user) {
            groups.extend(["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]);
            uid = (!self.impersonated).then_some("00000000-0000-0000-0000-000000000001");
        }
        groups.push("system:authenticated".to_owned());
        json!({"username": user, "uid": uid, "groups": groups})
    }
}

/// A Session from a file of YAML or JSON.
#[expect(clippy::disallowed_methods, reason = "the shell reads the file that it is given")]
fn object(file: &Path) -> Result<Value> {
    let name = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(name)?;
    let object: Value = serde_saphyr::from_str(&text).map_err(|error| no_yaml(&error)).with_context(name)?;
    let kind = object.get("kind").and_then(Value::as_str);
    if !object.is_object() || kind.is_some_and(|kind| kind != "Session") {
        bail!("{}: expected one Session, as `kubectl get session NAME -o yaml` prints it", name());
    }
    Ok(object)
}

/// What is wrong with the text, by its place alone: the parser shows the lines around it, in which an access code may stand.
fn no_yaml(error: &serde_saphyr::Error) -> Error {
    let place = error.location().map(|place| format!("line {} column {}: ", place.line(), place.column()));
    anyhow!("{}no YAML that can be read", place.unwrap_or_default())
}

/// The reviews in `bytes`: JSON documents one after the other, or YAML documents. One that cannot be read is an error of
/// its own; behind a syntax error nothing more is found.
pub(super) fn reviews(bytes: &[u8]) -> Result<Vec<Result<Vec<u8>>>> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let reviews = match first {
        None => bail!("no AdmissionReview in here: the input is empty"),
        Some(b'{' | b'[' | b'"') => json_documents(bytes),
        Some(_) => yaml_documents(bytes)?,
    };
    if reviews.is_empty() {
        bail!("no AdmissionReview in here");
    }
    Ok(reviews)
}

fn json_documents(bytes: &[u8]) -> Vec<Result<Vec<u8>>> {
    let documents = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    documents.map(|document| Ok(document?.get().as_bytes().to_vec())).collect()
}

fn yaml_documents(bytes: &[u8]) -> Result<Vec<Result<Vec<u8>>>> {
    let text = std::str::from_utf8(bytes).context("neither JSON nor YAML: the input is no UTF-8")?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| no_yaml(&error)).context("neither JSON nor YAML")?;
    Ok(documents.into_iter().map(|document| Ok(serde_json::to_vec(&document)?)).collect())
}
