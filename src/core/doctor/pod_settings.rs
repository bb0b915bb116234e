//! What a Deployment gives its pods: arguments, environment variables, and the objects that their files come from.

use serde_json::Value;

use super::entries::string_at;

/// What a Deployment gives the webhook's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSettings {
    /// The arguments, the program's name left out.
    pub arguments: Vec<String>,
    /// The variables that have a value in the Deployment itself.
    pub variables: Vec<(String, String)>,
    /// Where files come from: a mounted folder, and the `ConfigMap` behind it.
    pub config_maps: Vec<(String, String)>,
    /// The same for Secrets.
    pub secrets: Vec<(String, String)>,
    /// The pods' account.
    pub account: String,
}

/// Whether this Deployment's pods are those that a Service selects.
fn is_selected(deployment: &Value, selector: &Value) -> bool {
    let labels = deployment.pointer("/spec/template/metadata/labels");
    let selector = selector.as_object();
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    })
}

/// Reads the container that runs `serve`.
pub fn pod_settings(deployment: &Value, selector: &Value) -> Option<PodSettings> {
    if !is_selected(deployment, selector) {
        return None;
    }
    let namespace = string_at(deployment, "/metadata/namespace").unwrap_or_default();
    let pod = deployment.pointer("/spec/template/spec")?;
    let list = |object: &Value, key: &str| object.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let words = |container: &Value, key: &str| -> Vec<String> {
        list(container, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let arguments = |container: &Value| -> Vec<String> {
        let all = [words(container, "command"), words(container, "args")].concat();
        let serve = all.iter().position(|word| word == "serve");
        serve.map_or_else(Vec::new, |at| all.into_iter().skip(at).collect())
    };
    let container = list(pod, "containers").into_iter().find(|container| !arguments(container).is_empty())?;
    let mut variables: Vec<(String, String)> = Vec::new();
    for variable in list(&container, "env") {
        let Some(name) = string_at(&variable, "/name") else { continue };
        let field = string_at(&variable, "/valueFrom/fieldRef/fieldPath");
        let given = string_at(&variable, "/value").map(str::to_owned);
        let value = given.or_else(|| (field == Some("metadata.namespace")).then(|| namespace.to_owned()));
        let Some(mut value) = value else { continue };
        // A variable can use those before it.
        for (earlier, known) in &variables {
            value = value.replace(&format!("$({earlier})"), known);
        }
        variables.push((name.to_owned(), value));
    }
    let mounted = |kind: &str, key: &str| -> Vec<(String, String)> {
        let volume = |mount: &Value| {
            let folder = string_at(mount, "/mountPath")?.trim_end_matches('/').to_owned();
            let volumes = list(pod, "volumes");
            let volume = volumes.iter().find(|volume| volume.get("name") == mount.get("name"))?;
            Some((folder, string_at(volume, &format!("/{kind}/{key}"))?.to_owned()))
        };
        list(&container, "volumeMounts").iter().filter_map(volume).collect()
    };
    Some(PodSettings {
        arguments: arguments(&container),
        config_maps: mounted("configMap", "name"),
        secrets: mounted("secret", "secretName"),
        account: string_at(pod, "/serviceAccountName").unwrap_or("default").to_owned(),
        variables,
    })
}
