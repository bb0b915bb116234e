//! What `doctor` sees of an installation: [`gather`].

mod accounts;
mod look;
mod objects;
mod probe;
mod tls;

use jiff::Timestamp;
use kube::Client;

use self::look::Looker;
use crate::core::doctor::{Facts, Installed, Look, Names, PodSays, SecretSource, Told, place};
use crate::core::settings::Settings;

/// What makes of the pods' arguments, variables and files what the program makes of them.
pub type ReadPod<'a> = &'a (dyn Fn(&PodSays, &dyn Fn(&str) -> Option<String>) -> Result<Installed, String> + Sync);

/// Where this program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standpoint {
    /// In a pod, from where Services and pods are reached.
    Inside,
    /// Elsewhere: pods are reached through the API server.
    Outside,
}

/// Looks at everything, one thing after the other.
///
/// # Errors
///
/// When the API server does not answer at all.
pub async fn gather(
    client: &Client,
    names: Names,
    standpoint: Standpoint,
    read_pod: ReadPod<'_>,
    now: fn() -> Timestamp,
) -> kube::Result<Facts> {
    let looker = Looker::new(client.clone());
    let (version, api_clock) = looker.version(now).await?;
    let configurations = looker.configurations(&names.configuration).await;
    let admission_policy = looker.admission_policy().await;
    let place = place(&names, &configurations);
    let (service, endpoints) = looker.behind(&place).await;
    let namespace = place.namespace(&names);
    let (deployment, pod) = looker.deployment(&namespace, service.found()).await;
    let installed = installed(&looker, &namespace, &deployment, pod, read_pod).await;
    let secret = match installed.as_ref().ok().map(|installed| &installed.secret) {
        Some(SecretSource::Mounted(name) | SecretSource::SelfManaged(name)) => looker.secret(&namespace, name).await,
        Some(SecretSource::None) | None => Look::Absent,
    };
    let definition = looker.definition().await;
    let defaults = Settings::default();
    let settings = installed.as_ref().map_or(&defaults, |installed| &installed.settings);
    let accounts = looker.accounts(&settings.service_accounts).await;
    let rbac = looker.rbac().await;
    let (bundles, authorities) = tls::bundles(&configurations);
    let servers = tls::servers(&place, service.found(), endpoints.found().map(Vec::as_slice), standpoint, &namespace);
    let name = place.tls_name();
    let ask = servers.into_iter().map(|server| tls::ask(client, server, &name, &authorities, now));
    let served = futures::future::join_all(ask).await;
    let probe = looker.probe(settings, &namespace, definition.found()).await;
    let now = now();
    Ok(Facts {
        names,
        version,
        configurations,
        admission_policy,
        service,
        endpoints,
        deployment,
        installed,
        bundles,
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

async fn installed(
    looker: &Looker,
    namespace: &str,
    deployment: &Look<String>,
    pod: Option<PodSays>,
    read_pod: ReadPod<'_>,
) -> Result<Installed, Told> {
    let pod = match (deployment, pod) {
        (Look::Unknown(obstacle), _) => return Err(Told::Unknown(obstacle.clone())),
        (_, None) => return Err(Told::Nothing),
        (_, Some(pod)) => pod,
    };
    let mut files = Vec::new();
    for (folder, name) in &pod.config_maps {
        match looker.config_map(namespace, name).await {
            Look::Found(texts) => files.extend(texts.into_iter().map(|(key, text)| (format!("{folder}/{key}"), text))),
            Look::Absent => return Err(Told::Malformed(format!("there is no ConfigMap {namespace}/{name}"))),
            Look::Unknown(obstacle) => return Err(Told::Unknown(obstacle)),
        }
    }
    let file = |path: &str| files.iter().find(|(known, _)| known == path).map(|(_, text)| text.clone());
    read_pod(&pod, &file).map_err(Told::Malformed)
}
