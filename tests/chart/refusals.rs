//! What the chart does not take, and that it says which value is at fault.

use serde_json::Value;

use crate::helm::{chart, helm, refusal, template};

#[test]
fn the_chart_is_free_of_lint() {
    let chart = chart();
    for values in [&[][..], &["--values", crate::types::EVERYTHING]] {
        let output = helm(&[&["lint", "--strict", chart.to_str().unwrap()], values].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
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
        ("securityContext.runAsNonroot=true", "runAsNonroot"),
        ("podSecurityContext.fsgroup=1", "fsgroup"),
        ("podSecurityContext.seccompProfile.type=runtime/default", "seccompProfile"),
        ("topologySpreadConstraints[0].topologykey=x", "topologySpreadConstraints"),
        ("resources.limits.memory=lots", "memory"),
        ("networkPolicy.opsFrom[0].podselector.x=y", "opsFrom"),
        ("webhooks.timeoutSeconds.validate=30", "validate"),
        ("webhooks.namespaceSelector.matchlabels.a=b", "namespaceSelector"),
        ("podDisruptionBudget.unhealthyPodEvictionPolicy=Never", "unhealthyPodEvictionPolicy"),
        ("fullnameOverride=Two", "fullnameOverride"),
        ("globals.a=b", "globals"),
    ] {
        let said = refusal(&["--set", value]);
        assert!(said.contains("schema"), "{value}: {said}");
        assert!(said.contains(named), "{value}: {said}");
    }
}

#[test]
fn the_accounts_are_exact_names() {
    for account in ["*", "hobbyfarm-*", "system:serviceaccount:a:b", "a/b/c", "o'hara", ""] {
        let said = refusal(&["--set-string", &format!("hobbyfarm.serviceAccounts={{{account}}}")]);
        assert!(said.contains("serviceAccounts"), "{account}: {said}");
    }
    assert!(refusal(&["--set-json=hobbyfarm.serviceAccounts=[]"]).contains("serviceAccounts"));
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
                for path in paths {
                    let output = helm(&["template", "release", &chart, "--no-hooks", "--set", &format!("{path}=null")]);
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
    let said = refusal(&["--set=certificate.source=secret"]);
    assert!(said.contains("certificate.caBundle is needed"), "{said}");
    let said = refusal(&["--set=autoscaling.enabled=true,autoscaling.minReplicas=9"]);
    assert!(said.contains("minReplicas is greater than maxReplicas"), "{said}");
    let digest = format!("image.tag=v1,image.digest=sha256:{}", "a".repeat(64));
    let said = refusal(&["--set", &digest]);
    assert!(said.contains("image.tag and image.digest"), "{said}");
    for values in ["terminationGracePeriodSeconds=25", "config.drain-delay=20s", "config.drain-timeout=0.5m"] {
        let said = refusal(&["--set", values]);
        assert!(said.contains("not longer than drain-delay and drain-timeout together"), "{values}: {said}");
    }
    template(&["--set=config.drain-delay=1m,config.drain-timeout=1500ms,terminationGracePeriodSeconds=62"]);
    let said = refusal(&["--set=guard=policy-and-webhook", "--kube-version=1.29.0"]);
    assert!(said.contains("needs Kubernetes 1.30"), "{said}");
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    let said = refusal(&["--kube-version=1.19.16"]);
    assert!(said.contains("1.20"), "{said}");
}
