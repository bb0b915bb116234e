//! `doctor` on webhook configurations and a Service with a fault: it names that fault, and nothing else.

use serde_json::{Value, json};

use crate::doctoring::{MUTATING, VALIDATING, installed, own};
use crate::world::World;
use crate::writer::Request;

/// Does something to each entry of a configuration.
pub(super) fn each(configuration: &mut Value, change: impl Fn(&mut Value)) {
    configuration["webhooks"].as_array_mut().unwrap().iter_mut().for_each(change);
}

pub(super) async fn a_configuration_that_is_missing_is_named(world: &World) {
    for (path, fault) in [(MUTATING, "mutating-configuration"), (VALIDATING, "validating-configuration")] {
        installed(world, async |it| {
            it.delete(path).await;
            it.has(fault);
        })
        .await;
    }
}

pub(super) async fn an_entry_that_is_missing_is_named(world: &World) {
    installed(world, async |it| {
        it.change(VALIDATING, |object| drop(object["webhooks"].as_array_mut().unwrap().remove(0))).await;
        it.has("validating-configuration");
    })
    .await;
}

pub(super) async fn rules_without_status_are_named(world: &World) {
    installed(world, async |it| {
        it.change(VALIDATING, |object| each(object, |entry| entry["rules"][0]["resources"] = json!(["sessions"])))
            .await;
        let diagnosis = it.has("rules");
        assert!(diagnosis.check("rules")["text"].as_str().unwrap().contains("UPDATE of sessions/status"));
    })
    .await;
}

pub(super) async fn rules_without_update_are_named(world: &World) {
    installed(world, async |it| {
        it.change(MUTATING, |object| each(object, |entry| entry["rules"][0]["operations"] = json!(["CREATE"]))).await;
        it.has("rules");
    })
    .await;
}

pub(super) async fn rules_that_reach_beyond_sessions_are_named(world: &World) {
    installed(world, async |it| {
        let pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
        it.change(MUTATING, |object| each(object, |entry| entry["rules"].as_array_mut().unwrap().push(pods.clone())))
            .await;
        it.has("rules");
        it.change(MUTATING, |object| {
            each(object, |entry| {
                entry["rules"].as_array_mut().unwrap().pop();
                entry["rules"][0]["operations"] = json!(["CREATE", "UPDATE", "DELETE"]);
            });
        })
        .await;
        it.has("rules");
    })
    .await;
}

pub(super) async fn a_selector_that_exempts_a_namespace_is_named(world: &World) {
    installed(world, async |it| {
        let but = json!({"matchLabels": {"guarded": "yes"}});
        it.change(VALIDATING, |object| each(object, |entry| entry["namespaceSelector"] = but.clone())).await;
        it.has("selectors");
    })
    .await;
}

pub(super) async fn a_failure_policy_that_refuses_hobbyfarm_is_named_and_fail_open_is_a_choice(world: &World) {
    installed(world, async |it| {
        it.change(VALIDATING, |object| object["webhooks"][0]["failurePolicy"] = json!("Ignore")).await;
        it.is_odd_in("failure-policy");
        it.change(MUTATING, |object| each(object, |entry| entry["failurePolicy"] = json!("Fail"))).await;
        it.has("failure-policy");
    })
    .await;
}

pub(super) async fn side_effects_that_there_are_not_are_told_of(world: &World) {
    installed(world, async |it| {
        it.change(VALIDATING, |object| each(object, |entry| entry["sideEffects"] = json!("NoneOnDryRun"))).await;
        it.is_odd_in("side-effects");
        // Only the old version of the API takes it.
        let old = VALIDATING.replace("/v1/", "/v1beta1/");
        if world.admin.sends(&Request::get(&old)).await.code == 200 {
            it.change(&old, |object| each(object, |entry| entry["sideEffects"] = json!("Some"))).await;
            it.has("side-effects");
        }
    })
    .await;
}

pub(super) async fn a_long_timeout_is_named(world: &World) {
    installed(world, async |it| {
        it.change(MUTATING, |object| each(object, |entry| entry["timeoutSeconds"] = json!(30))).await;
        it.has("timeouts");
    })
    .await;
}

pub(super) async fn another_version_of_reviews_is_named(world: &World) {
    installed(world, async |it| {
        let versions = json!(["v1beta1", "v1"]);
        it.change(VALIDATING, |object| each(object, |entry| entry["admissionReviewVersions"] = versions.clone())).await;
        it.has("review-versions");
    })
    .await;
}

pub(super) async fn a_path_that_is_not_served_is_named(world: &World) {
    installed(world, async |it| {
        it.change(MUTATING, |object| {
            each(object, |entry| entry["clientConfig"]["service"]["path"] = json!("/validate"));
        })
        .await;
        it.has("client-config");
    })
    .await;
}

pub(super) async fn a_service_that_is_missing_is_named(world: &World) {
    installed(world, async |it| {
        for configuration in [MUTATING, VALIDATING] {
            it.change(configuration, |object| {
                each(object, |entry| entry["clientConfig"]["service"]["name"] = json!("session-webhok"));
            })
            .await;
        }
        it.has("service");
        assert_eq!(
            it.doctor(&["--tls-service", "session-webhook"]).code,
            Some(1),
            "named, it is the entries that are wrong"
        );
        let told = it.doctor(&["--tls-service", "session-webhook", "--output", "json"]);
        told.finds(&["client-config"]);
    })
    .await;
}

pub(super) async fn a_service_without_the_port_is_named(world: &World) {
    installed(world, async |it| {
        it.change(&own("services", "session-webhook"), |service| service["spec"]["ports"][0]["port"] = json!(8443))
            .await;
        it.has("service");
    })
    .await;
}
