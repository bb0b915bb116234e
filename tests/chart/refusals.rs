//! What the chart does not take, and that it says which value is at fault.

use crate::helm::{chart, helm, refusal};

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

#[test]
fn what_only_makes_sense_together_is_asked_for_together() {
    let said = refusal(&["--set=certificate.source=secret"]);
    assert!(said.contains("certificate.caBundle is needed"), "{said}");
    let said = refusal(&["--set=autoscaling.enabled=true,autoscaling.minReplicas=9"]);
    assert!(said.contains("minReplicas is greater than maxReplicas"), "{said}");
    let said = refusal(&["--set=guard=policy-and-webhook", "--kube-version=1.29.0"]);
    assert!(said.contains("needs Kubernetes 1.30"), "{said}");
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    let said = refusal(&["--kube-version=1.19.16"]);
    assert!(said.contains("1.20"), "{said}");
}
