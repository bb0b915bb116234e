//! What the chart does not take, and that it says which value is at fault.

use serde_json::Value;

use crate::helm::{assert_refused, chart, helm, helm4, template};

#[test]
fn the_chart_is_free_of_lint() {
    let chart = chart();
    for helm in [helm as fn(&[&str]) -> std::process::Output, helm4] {
        for values in [&[][..], &["--values", crate::types::EVERYTHING]] {
            let output = helm(&[&["lint", "--strict", chart.to_str().unwrap()], values].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn a_value_that_does_not_exist_or_makes_no_sense_is_refused_by_its_name() {
    for (value, named) in [
        ("replica=3", "replica"),
        ("image.tagg=1", "tagg"),
        ("mode=off", "mode"),
        ("replicas=two", "replicas"),
        ("replicas=-1", "replicas"),
        ("certificate.source=self-signed", "source"),
        ("certificate.caBundle=ca.crt", "caBundle"),
        ("certificate.issuerRef.kind=ClusterIssuer", "issuerRef"),
        ("webhooks.failurePolicy=Ignore", "failurePolicy"),
        ("webhooks.matchConditions=true", "matchConditions"),
        ("backfill.after=soon", "after"),
        ("config.sesion-timeout=5m", "sesion-timeout"),
        ("config.mode=warn", "config"),
        ("config.dialect=latin", "dialect"),
        ("image.digest=sha256:123", "digest"),
        ("image.repository=registry/image:tag", "repository"),
        ("networkPolicy.apiServer.cidrs[0]=everywhere", "cidrs"),
        ("metrics.monitor=Probe", "monitor"),
        ("podAnnotations.number=1", "podAnnotations"),
        ("extraArgs[0]=verbose", "extraArgs"),
        ("config.session-timeout=soon", "session-timeout"),
        ("config.session-timeout=0s", "session-timeout"),
        ("config.max-connections=many", "max-connections"),
        ("audit.interval=0s", "interval"),
        ("metrics.interval=1.5m", "interval"),
        ("certificate.duration=90d", "duration"),
        ("certificate.duration=720h", "duration"),
        ("certificate.renewBefore=90m0s", "renewBefore"),
        ("securityContext.runAsNonroot=true", "runAsNonroot"),
        ("podSecurityContext.fsgroup=1", "fsgroup"),
        ("podSecurityContext.seccompProfile.type=runtime/default", "seccompProfile"),
        ("topologySpreadConstraints[0].topologykey=x", "topologySpreadConstraints"),
        ("resources.limits.memory=lots", "memory"),
        ("networkPolicy.opsFrom[0].podselector.x=y", "opsFrom"),
        ("networkPolicy.opsFrom[0].podSelector.matchLabel.x=y", "matchLabel"),
        ("networkPolicy.extraEgress[0].port=53", "extraEgress"),
        ("affinity.podAntiAffinity.preferred[0].weight=1", "preferred"),
        ("extraEnv[0].name=A,extraEnv[0].valueFrom.secretRef.name=x", "secretRef"),
        ("extraVolumes[0].name=a,extraVolumes[0].secrets.secretName=x", "secrets"),
        ("extraVolumeMounts[0].name=a,extraVolumeMounts[0].mountpath=/x", "mountpath"),
        ("webhooks.timeoutSeconds.validate=30", "validate"),
        ("webhooks.namespaceSelector.matchlabels.a=b", "namespaceSelector"),
        ("podDisruptionBudget.unhealthyPodEvictionPolicy=Never", "unhealthyPodEvictionPolicy"),
        ("fullnameOverride=Two", "fullnameOverride"),
        ("globals.a=b", "globals"),
    ] {
        assert_refused(&["--set", value], &["schema", named]);
    }
}

/// But for `global`, which Helm adds where the chart is another's, and for what a volume is made of, which has more kinds than a chart can follow.
#[test]
fn an_unknown_key_is_refused_at_every_level() {
    fn open(schema: &Value, path: &str, found: &mut Vec<String>) {
        let is_object = schema["type"] == "object" || schema.get("properties").is_some();
        let is_closed = schema["additionalProperties"] == false || schema["additionalProperties"].is_object();
        if is_object && !is_closed {
            found.push(path.to_owned());
        }
        for (key, inner) in schema.as_object().into_iter().flatten() {
            open(inner, &format!("{path}/{key}"), found);
        }
        for inner in schema.as_array().into_iter().flatten() {
            open(inner, &format!("{path}/#"), found);
        }
    }
    let text = std::fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let mut found = Vec::new();
    open(&serde_json::from_str(&text).unwrap(), "", &mut found);
    found.retain(|path| path != "/properties/global" && !path.starts_with("/$defs/volume/properties/"));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_accounts_are_exact_names() {
    for account in ["*", "hobbyfarm-*", "system:serviceaccount:a:b", "a/b/c", "o'hara", ""] {
        assert_refused(&["--set-string", &format!("hobbyfarm.serviceAccounts={{{account}}}")], &["serviceAccounts"]);
    }
    assert_refused(&["--set-json=hobbyfarm.serviceAccounts=[]"], &["serviceAccounts"]);
}

/// `--set x=null` takes the default away. Nothing may be rendered as `<nil>` for it.
#[test]
fn a_value_that_is_taken_away_is_asked_for_or_was_none() {
    fn paths(value: &Value, path: &str, all: &mut Vec<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{}", key.replace('.', "\\.")) };
            all.push(path.clone());
            paths(value, &path, all);
        }
    }
    let values = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    let mut all = Vec::new();
    paths(&serde_saphyr::from_str(&values).unwrap(), "", &mut all);
    assert!(all.len() > 100, "{all:?}");
    let chart = chart().display().to_string();
    let threads: Vec<_> = all
        .chunks(all.len().div_ceil(2))
        .map(|paths| {
            let (paths, chart) = (paths.to_vec(), chart.clone());
            std::thread::spawn(move || {
                let engines = [helm as fn(&[&str]) -> _, helm4];
                for (path, helm) in paths.iter().flat_map(|path| engines.map(|helm| (path, helm))) {
                    let output: std::process::Output =
                        helm(&["template", "release", &chart, "--no-hooks", "--set", &format!("{path}=null")]);
                    let (stdout, stderr) =
                        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
                    if output.status.success() {
                        for sign in ["<nil>", "<no value>", ": null", "%!"] {
                            assert!(!stdout.contains(sign), "{path}: {sign}");
                        }
                    } else {
                        assert!(stderr.contains("schema") && !stderr.contains("nil pointer"), "{path}: {stderr}");
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn what_only_makes_sense_together_is_asked_for_together() {
    assert_refused(&["--set=certificate.source=secret"], &["certificate.caBundle is needed"]);
    assert_refused(
        &["--set=autoscaling.enabled=true,autoscaling.minReplicas=9"],
        &["minReplicas is greater than maxReplicas"],
    );
    let digest = format!("image.tag=v1,image.digest=sha256:{}", "a".repeat(64));
    assert_refused(&["--set", &digest], &["image.tag and image.digest"]);
    for values in ["terminationGracePeriodSeconds=25", "config.drain-delay=20s", "config.drain-timeout=0.5m"] {
        assert_refused(&["--set", values], &["not longer than drain-delay and drain-timeout together"]);
    }
    template(&["--set=config.drain-delay=1m,config.drain-timeout=1500ms,terminationGracePeriodSeconds=62"]);
    assert_refused(&["--set=guard=policy-and-webhook", "--kube-version=1.29.0"], &["needs Kubernetes 1.30"]);
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    assert_refused(&["--kube-version=1.19.16"], &["1.20"]);
}
