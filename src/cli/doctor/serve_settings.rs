//! Reads the settings of a Deployment's pods as `serve` itself does.

use std::ffi::OsString;
use std::path::Path;

use clap::FromArgMatches;

use crate::config::{
    BackfillArgs, ConfigError, Controllers, PolicyArgs, ServeArgs, TlsArgs, TlsMode, matches_with_files,
};
use crate::core::doctor::{CertificateSource, PodSettings, ServeSettings};

/// Reads a pod's arguments, variables and files; `file` is the text of a mounted file, by path.
pub(super) fn read_serve_settings(
    pod: &PodSettings,
    file: &dyn Fn(&str) -> Option<String>,
) -> Result<ServeSettings, String> {
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
    let warnings = [policy.warnings(), TlsArgs::from_arg_matches(serve).map_err(error)?.warnings()].concat();
    let controllers = BackfillArgs::from_arg_matches(serve).map_err(error)?.controllers();
    let folder = args.tls_cert.parent().and_then(Path::to_str).unwrap_or_default();
    let mounted = || pod.secrets.iter().find(|(at, _)| at == folder).map(|(_, name)| name.clone());
    let certificate_source = match args.tls {
        TlsMode::Files => mounted().map_or(CertificateSource::None, CertificateSource::Mounted),
        TlsMode::SelfManaged => CertificateSource::SelfManaged(args.tls_secret),
        TlsMode::SelfSigned => CertificateSource::None,
    };
    let controller = |is_on: fn(&Controllers) -> bool| {
        let on = controllers.as_ref().filter(|controllers| is_on(controllers));
        on.map(|on| (on.options.lease.clone(), on.options.namespaces.clone()))
    };
    Ok(ServeSettings {
        policy: policy.settings(),
        certificate_source,
        configuration: args.webhook_configuration,
        backfill: controller(|on| on.backfill),
        audit: controller(|on| on.audit_interval.is_some()),
        account: pod.account.clone(),
        warnings,
    })
}
