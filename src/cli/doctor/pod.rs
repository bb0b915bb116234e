//! What the program makes of what its pods are told.

use std::ffi::OsString;
use std::path::Path;

use clap::FromArgMatches;

use crate::config::{
    BackfillArgs, ConfigError, Controllers, PolicyArgs, ServeArgs, TlsArgs, TlsMode, matches_with_files,
};
use crate::core::doctor::{Installed, PodSays, SecretSource};

/// Reads it as `serve` does; `file` is the text of a file that the pods find.
pub(super) fn read(pod: &PodSays, file: &dyn Fn(&str) -> Option<String>) -> Result<Installed, String> {
    let arguments = std::iter::once("session-webhook".to_owned()).chain(pod.arguments.clone());
    let environment = |name: &str| {
        let variable = pod.variables.iter().rev().find(|(known, _)| known == name);
        variable.map(|(_, value)| OsString::from(value))
    };
    let files = |path: &Path| {
        let text = path.to_str().and_then(file);
        text.ok_or_else(|| ConfigError::Contradiction(format!("--config {}: there is no such file", path.display())))
    };
    let command = crate::cli::command();
    let matches = matches_with_files(&command, arguments.map(OsString::from).collect(), &environment, &files);
    let matches = matches.map_err(|error| error.to_string())?;
    let serve = matches.subcommand_matches("serve").ok_or("it does not serve")?;
    let error = |error: clap::Error| error.to_string();
    let args = ServeArgs::from_arg_matches(serve).map_err(error)?;
    let policy = PolicyArgs::from_arg_matches(serve).map_err(error)?;
    let doubts = [policy.warnings(), TlsArgs::from_arg_matches(serve).map_err(error)?.warnings()].concat();
    let controllers = BackfillArgs::from_arg_matches(serve).map_err(error)?.controllers();
    let folder = args.tls_cert.parent().and_then(Path::to_str).unwrap_or_default();
    let mounted = || pod.secrets.iter().find(|(at, _)| at == folder).map(|(_, name)| name.clone());
    let secret = match args.tls {
        TlsMode::Files => mounted().map_or(SecretSource::None, SecretSource::Mounted),
        TlsMode::SelfManaged => SecretSource::SelfManaged(args.tls_secret),
        TlsMode::SelfSigned => SecretSource::None,
    };
    let looks_after = |is_on: fn(&Controllers) -> bool| {
        let on = controllers.as_ref().filter(|controllers| is_on(controllers));
        on.map(|on| (on.options.lease.clone(), on.options.namespaces.clone()))
    };
    Ok(Installed {
        settings: policy.settings(),
        secret,
        configuration: args.webhook_configuration,
        backfill: looks_after(|on| on.backfill),
        audit: looks_after(|on| on.audit_interval.is_some()),
        account: pod.account.clone(),
        doubts,
    })
}
