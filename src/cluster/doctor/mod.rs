//! Gathers the [`Facts`] that [`crate::core::doctor`] judges. The one user of an API server that `doctor` has.
//!
//! # The flow of [`gather`]
//!
//! 1. `reader`: the API server's version and clock. Without an answer here nothing else is tried, and the whole of it is
//!    an error.
//! 2. `webhook_configurations`: both configurations, and the `ValidatingAdmissionPolicy` beside them.
//! 3. From their `clientConfig` follows the [`WebhookTarget`](crate::core::doctor::WebhookTarget), and with it the
//!    namespace of everything below. `endpoints`: the Service and the addresses behind it.
//! 4. `deployment`: the Deployment whose pods the Service selects, and the `ConfigMap`s that it mounts. `serve`'s own
//!    configuration code, which the caller passes as [`ReadServeSettings`], reads arguments, variables and files into
//!    [`ServeSettings`], so that `doctor` cannot read them differently.
//! 5. `certificates`: the Secret that these settings name, and the authorities in each `caBundle`.
//! 6. `definition`, `accounts`, `rbac`: HobbyFarm's definition of Sessions, its service accounts and, where a selector asks for
//!    them, the labels of their namespaces, and who may write.
//! 7. `served_certificate`: each ready replica is asked for its certificate and its clock, all at the same time: directly
//!    from within the cluster ([`Vantage::Inside`]), by port-forward from elsewhere.
//! 8. `probe`: a dry run of a create, which nobody but HobbyFarm may do. The one write, and it stores nothing.
//!
//! # What is not found
//!
//! Each object is an [`Observation`]: found, absent, or not observable, with the missing right or the error. Nothing that
//! cannot be read ends the run: the check that needs it says so. Where the settings are not known, what depends on them is
//! gathered with the defaults, and its checks are skipped.
//!
//! # Rights
//!
//! Objects are read with the rights of the calling user, and none is changed. Of a Secret only `tls.crt` is looked at. In a pod
//! `manifests/components/doctor` grants what is needed; a test holds it against what is read here.
//!
//! # The files
//!
//! Named after the facts: `webhook_configurations`, `endpoints`, `deployment`, `certificates`, `definition`, `accounts`,
//! `rbac`, `served_certificate`, `probe`; `reader` is the client that they share.

mod accounts;
mod certificates;
mod definition;
mod deployment;
mod endpoints;
mod probe;
mod rbac;
mod reader;
mod served_certificate;
mod webhook_configurations;

use jiff::Timestamp;
use kube::Client;

use self::reader::ObjectReader;
pub use self::served_certificate::Vantage;
use crate::core::doctor::{
    CertificateSource, Facts, InstallationNames, Observation, PodSettings, ServeSettings, SettingsUnknown,
    webhook_target,
};
use crate::core::settings::Settings;

/// Reads a pod's arguments, variables and files as `serve` does.
pub type ReadServeSettings<'a> =
    &'a (dyn Fn(&PodSettings, &dyn Fn(&str) -> Option<String>) -> Result<ServeSettings, String> + Sync);

/// Reads everything that the checks need, one object after the other.
///
/// # Errors
///
/// When the API server does not answer at all.
pub async fn gather(
    client: &Client,
    names: InstallationNames,
    vantage: Vantage,
    read_settings: ReadServeSettings<'_>,
    now: fn() -> Timestamp,
) -> kube::Result<Facts> {
    let reader = ObjectReader::new(client.clone());
    let (version, api_clock) = reader.version(now).await?;
    let configurations = reader.webhook_configurations(&names.configuration).await;
    let admission_policy = reader.admission_policy(&names.configuration).await;
    let target = webhook_target(&names, &configurations);
    let (service, endpoints) = reader.service_and_endpoints(&target).await;
    let namespace = target.namespace(&names);
    let (deployment, pod) = reader.deployment(&namespace, service.found()).await;
    let serve_settings = serve_settings(&reader, &namespace, &deployment, pod, read_settings).await;
    let secret = match serve_settings.as_ref().ok().map(|settings| &settings.certificate_source) {
        Some(CertificateSource::Mounted(name) | CertificateSource::SelfManaged(name)) => {
            reader.secret(&namespace, name).await
        }
        Some(CertificateSource::None) | None => Observation::Absent,
    };
    let definition = reader.definition().await;
    let defaults = Settings::default();
    let policy = serve_settings.as_ref().map_or(&defaults, |settings| &settings.policy);
    let accounts = reader.accounts(&policy.service_accounts).await;
    let namespaces = reader.hobbyfarm_namespaces(&policy.service_accounts, &configurations).await;
    let rbac = reader.rbac().await;
    let (ca_bundles, authorities) = certificates::ca_bundles(&configurations);
    let endpoint_list = endpoints.found().map(Vec::as_slice);
    let servers = served_certificate::servers(&target, service.found(), endpoint_list, vantage, &namespace);
    let name = target.tls_name();
    let requests = servers
        .into_iter()
        .map(|server| served_certificate::request_certificate(client, server, &name, &authorities, now));
    let served = futures::future::join_all(requests).await;
    let probe = reader.probe(policy, &namespace, definition.found()).await;
    let now = now();
    Ok(Facts {
        names,
        version,
        configurations,
        admission_policy,
        namespaces,
        service,
        endpoints,
        deployment,
        serve_settings,
        ca_bundles,
        served,
        secret,
        definition,
        accounts,
        rbac,
        api_clock,
        probe,
        now,
    })
}

async fn serve_settings(
    reader: &ObjectReader,
    namespace: &str,
    deployment: &Observation<String>,
    pod: Option<PodSettings>,
    read_settings: ReadServeSettings<'_>,
) -> Result<ServeSettings, SettingsUnknown> {
    let pod = match (deployment, pod) {
        (Observation::Unknown(reason), _) => return Err(SettingsUnknown::Unobservable(reason.clone())),
        (_, None) => return Err(SettingsUnknown::NoDeployment),
        (_, Some(pod)) => pod,
    };
    let mut files = Vec::new();
    for (folder, name) in &pod.config_maps {
        match reader.config_map(namespace, name).await {
            Observation::Found(texts) => {
                files.extend(texts.into_iter().map(|(key, text)| (format!("{folder}/{key}"), text)));
            }
            Observation::Absent => {
                return Err(SettingsUnknown::Invalid(format!("there is no ConfigMap {namespace}/{name}")));
            }
            Observation::Unknown(reason) => return Err(SettingsUnknown::Unobservable(reason)),
        }
    }
    let file = |path: &str| files.iter().find(|(known, _)| known == path).map(|(_, text)| text.clone());
    read_settings(&pod, &file).map_err(SettingsUnknown::Invalid)
}
