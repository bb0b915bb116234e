//! `doctor` on an installation that is sound, and on one with a fault: it names that fault, and nothing else.

use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::doctoring::{HOST, MUTATING, VALIDATING, doctor_for, installed, own, rbac, secret};
use crate::impostor::Impostor;
use crate::install::{self, CRDS};
use crate::kubelet::Kubelet;
use crate::pki::Authority;
use crate::world::World;
use crate::writer::HOBBYFARM;

/// Does something to each entry of a configuration.
fn each(configuration: &mut Value, change: impl Fn(&mut Value)) {
    configuration["webhooks"].as_array_mut().unwrap().iter_mut().for_each(change);
}

pub(super) async fn a_sound_installation_has_nothing_to_mend(world: &World) {
    installed(world, async |it| {
        // The people of these tests, who may do everything.
        it.delete(&rbac("clusterrolebindings", "e2e-cluster-admin")).await;
        let diagnosis = it.doctor(&["--output", "json"]).finds(&[]);
        let split = install::keeps_match_conditions(world).await;
        let odd: &[&str] = if split { &[] } else { &["split"] };
        assert_eq!(diagnosis.with_status("questionable"), odd, "{}", diagnosis.stdout);
        assert_eq!(diagnosis.with_status("skipped"), Vec::<String>::new(), "{}", diagnosis.stdout);
        assert_eq!(diagnosis.checks().len(), 22);

        let text = it.doctor(&[]);
        assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""), "{text:?}");
        assert_eq!(text.stdout.lines().filter(|line| line.starts_with('✔')).count(), 22 - odd.len(), "{}", text.stdout);
        assert!(!text.stdout.contains('\u{1b}'), "colour on no terminal");
    })
    .await;
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
        let but = json!({"matchExpressions": [{"key": "exempt", "operator": "DoesNotExist"}]});
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
        if world.admin.sends(&crate::writer::Request::get(&old)).await.code == 200 {
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

pub(super) async fn an_installation_without_ready_replicas_is_named(world: &World) {
    installed(world, async |it| {
        let ports = it.ports().await;
        it.lead_to(&ports[..1], &ports[1..]).await;
        it.is_odd_in("endpoints");
        it.lead_to(&[], &ports).await;
        it.has("endpoints");
    })
    .await;
}

pub(super) async fn replicas_that_do_not_answer_are_named(world: &World) {
    installed(world, async |it| {
        it.kill_all().await;
        it.has("served-certificate");
    })
    .await;
}

/// A `caBundle` of one entry or of all.
async fn with_bundle(world: &World, bundle: Option<&[u8]>) {
    for configurations in [&[MUTATING, VALIDATING][..], &[MUTATING]] {
        installed(world, async |it| {
            for configuration in configurations {
                it.change(configuration, |object| {
                    each(object, |entry| {
                        let client = entry["clientConfig"].as_object_mut().unwrap();
                        match bundle {
                            Some(bundle) => client.insert("caBundle".to_owned(), json!(STANDARD.encode(bundle))),
                            None => client.remove("caBundle"),
                        };
                    });
                })
                .await;
            }
            it.has("ca-bundle");
        })
        .await;
    }
}

pub(super) async fn a_ca_bundle_of_another_authority_is_named(world: &World) {
    with_bundle(world, Some(Authority::new("session-webhook").pem().as_bytes())).await;
}

pub(super) async fn an_empty_ca_bundle_is_named(world: &World) {
    with_bundle(world, None).await;
}

pub(super) async fn a_ca_bundle_that_is_no_certificate_is_named(world: &World) {
    with_bundle(world, Some(b"garbage")).await;
}

pub(super) async fn a_certificate_for_another_name_is_named(world: &World) {
    installed(world, async |it| {
        let other = it.authority.server_for("session-webhook.elsewhere.svc", 90);
        it.put(&own("secrets", "session-webhook-tls"), secret(&other)).await;
        it.serve(&other, &[]).await;
        let diagnosis = it.has("served-certificate");
        let text = diagnosis.check("served-certificate")["text"].to_string();
        assert!(text.contains("session-webhook.elsewhere.svc") && text.contains(HOST), "{text}");
    })
    .await;
}

/// The program itself would not serve it.
pub(super) async fn an_expired_certificate_is_named(world: &World) {
    installed(world, async |it| {
        let expired = it.authority.server_for(HOST, -1);
        it.put(&own("secrets", "session-webhook-tls"), secret(&expired)).await;
        let impostor = Impostor::start(it, &expired, 0).await;
        it.lead_to(&[impostor.port, impostor.port], &[]).await;
        let diagnosis = it.has("served-certificate");
        assert!(diagnosis.check("served-certificate")["text"].to_string().contains("expired"));
    })
    .await;
}

pub(super) async fn a_certificate_that_ends_soon_is_told_of(world: &World) {
    installed(world, async |it| {
        let short = it.authority.server_for(HOST, 3);
        it.put(&own("secrets", "session-webhook-tls"), secret(&short)).await;
        it.serve(&short, &[]).await;
        it.is_odd_in("served-certificate");
    })
    .await;
}

pub(super) async fn a_clock_that_is_wrong_is_named(world: &World) {
    installed(world, async |it| {
        let identity = it.authority.server_for(HOST, 90);
        it.put(&own("secrets", "session-webhook-tls"), secret(&identity)).await;
        for (seconds, broken) in [(-3600, true), (30, false)] {
            let impostor = Impostor::start(it, &identity, seconds).await;
            it.lead_to(&[impostor.port, impostor.port], &[]).await;
            if broken {
                it.has("clock");
            } else {
                it.is_odd_in("clock");
            }
        }
    })
    .await;
}

pub(super) async fn a_secret_that_holds_another_certificate_is_named(world: &World) {
    installed(world, async |it| {
        let newer = it.authority.server_for(HOST, 90);
        it.put(&own("secrets", "session-webhook-tls"), secret(&newer)).await;
        it.has("secret");
        it.delete(&own("secrets", "session-webhook-tls")).await;
        it.has("secret");
    })
    .await;
}

pub(super) async fn a_missing_definition_is_named(world: &World) {
    installed(world, async |it| {
        it.delete(&format!("{CRDS}/sessions.hobbyfarm.io")).await;
        it.has("definition");
    })
    .await;
    world.await_definition().await;
}

pub(super) async fn accounts_that_may_not_write_are_named(world: &World) {
    installed(world, async |it| {
        it.delete(&rbac("clusterrolebindings", "e2e-hobbyfarm")).await;
        let diagnosis = it.has("accounts");
        assert!(diagnosis.check("accounts")["text"].to_string().contains("hobbyfarm-session"));
    })
    .await;
}

pub(super) async fn an_account_that_may_write_status_alone_is_named(world: &World) {
    installed(world, async |it| {
        it.change(&rbac("clusterroles", "hobbyfarm"), |role| role["rules"][0]["resources"] = json!(["sessions"])).await;
        // Without the subresource nothing is amiss.
        if world.form.status_subresource {
            it.has("accounts");
        } else {
            it.is_sound();
        }
    })
    .await;
}

pub(super) async fn an_account_that_does_not_exist_is_told_of(world: &World) {
    installed(world, async |it| {
        it.delete(&format!("/api/v1/namespaces/{HOBBYFARM}/serviceaccounts/hobbyfarm-user")).await;
        let diagnosis = it.is_odd_in("accounts");
        assert!(diagnosis.check("accounts")["text"].to_string().contains("hobbyfarm-user"));
    })
    .await;
}

pub(super) async fn others_who_may_write_are_told_of(world: &World) {
    installed(world, async |it| {
        let diagnosis = it.is_odd_in("other-writers");
        let text = diagnosis.check("other-writers")["text"].to_string();
        assert!(text.contains("user alice") && text.contains("service account elsewhere/intruder"), "{text}");
        assert!(!text.contains("hobbyfarm-gargantua") && !text.contains("kube-system"), "{text}");
    })
    .await;
}

pub(super) async fn rights_that_the_webhook_lacks_are_named_and_superfluous_ones_told_of(world: &World) {
    installed(world, async |it| {
        let binding = rbac("clusterrolebindings", "hobbyfarm-session-webhook-backfill");
        let wide = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "e2e-wide"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "hobbyfarm"},
            "subjects": [{"kind": "ServiceAccount", "namespace": install::NAMESPACE, "name": "session-webhook"}],
        });
        it.put(&rbac("clusterrolebindings", "e2e-wide"), wide).await;
        it.is_odd_in("own-rights");
        it.delete(&rbac("clusterrolebindings", "e2e-wide")).await;
        it.delete(&binding).await;
        let diagnosis = it.has("own-rights");
        assert!(diagnosis.check("own-rights")["text"].to_string().contains("patch sessions/status.hobbyfarm.io"));
    })
    .await;
}

pub(super) async fn a_configuration_that_the_program_refuses_is_named(world: &World) {
    installed(world, async |it| {
        let deployment = own("deployments", "session-webhook");
        it.change(&deployment, |object| {
            let args = &mut object["spec"]["template"]["spec"]["containers"][0]["args"];
            args.as_array_mut().unwrap().push(json!("--mode=enfroce"));
        })
        .await;
        let diagnosis = it.has("deployment");
        assert!(diagnosis.check("deployment")["text"].to_string().contains("enfroce"));
    })
    .await;
}

pub(super) async fn a_mode_that_lets_pass_is_named_and_a_chosen_one_told_of(world: &World) {
    installed(world, async |it| {
        let identity = it.authority.server_for(HOST, 90);
        it.put(&own("secrets", "session-webhook-tls"), secret(&identity)).await;
        it.serve(&identity, &["--mode", "warn"]).await;
        let diagnosis = it.has("probe");
        assert!(diagnosis.check("probe")["text"].to_string().contains("--mode warn"));
        it.change(&own("deployments", "session-webhook"), |object| {
            let args = &mut object["spec"]["template"]["spec"]["containers"][0]["args"];
            args.as_array_mut().unwrap().push(json!("--mode=warn"));
        })
        .await;
        it.is_odd_in("probe");
    })
    .await;
}

pub(super) async fn a_break_glass_user_is_let_pass_and_that_is_sound(world: &World) {
    installed(world, async |it| {
        let identity = it.authority.server_for(HOST, 90);
        it.put(&own("secrets", "session-webhook-tls"), secret(&identity)).await;
        it.serve(&identity, &["--break-glass-user", "alice"]).await;
        let (_, kubeconfig) = world.cluster.person("alice");
        let diagnosis = doctor_for(&kubeconfig, &["--output", "json"]).finds(&[]);
        assert!(diagnosis.check("probe")["text"].to_string().contains("break-glass"), "{}", diagnosis.stdout);
    })
    .await;
}

pub(super) async fn who_may_not_look_is_told_which_right_is_missing(world: &World) {
    installed(world, async |_| {
        let (_, kubeconfig) = world.cluster.person("nobody-in-particular");
        let diagnosis = doctor_for(&kubeconfig, &["--output", "json"]);
        assert_eq!(diagnosis.code, Some(2), "{diagnosis:?}");
        assert_eq!(diagnosis.with_status("faulty"), Vec::<String>::new(), "{}", diagnosis.stdout);
        let text = diagnosis.check("validating-configuration")["text"].to_string();
        assert!(
            text.contains("get validatingwebhookconfigurations.admissionregistration.k8s.io/hobbyfarm-session-webhook"),
            "{text}"
        );
        let probe = diagnosis.check("definition")["text"].to_string();
        assert!(probe.contains("get customresourcedefinitions"), "{probe}");
    })
    .await;
}

pub(super) async fn it_waits_until_the_installation_is_sound(world: &World) {
    installed(world, async |it| {
        let ports = it.ports().await;
        it.lead_to(&[], &ports).await;
        it.has("endpoints");
        let impatient = it.doctor(&["--output", "json", "--wait", "1ms"]);
        impatient.finds(&["endpoints"]);
        let kubeconfig = world.cluster.admin_kubeconfig();
        let mut command = Command::new(env!("CARGO_BIN_EXE_session-webhook"));
        command.env_clear().env("KUBECONFIG", kubeconfig).args(["doctor", "--wait", "60s"]);
        let mut waiting = command.stdout(Stdio::null()).spawn().unwrap();
        it.lead_to(&ports, &[]).await;
        let ended = tokio::task::spawn_blocking(move || waiting.wait().unwrap()).await.unwrap();
        assert_eq!(ended.code(), Some(0));
    })
    .await;
}

/// From outside each pod is reached through the API server, and from a pod directly.
pub(super) async fn pods_are_reached_through_the_api_server(world: &World) {
    installed(world, async |it| {
        let kubelet = Kubelet::start(it.address).await;
        it.run_in_pods(kubelet.port).await;
        it.is_sound();
        let other = it.authority.server_for("session-webhook.elsewhere.svc", 90);
        it.put(&own("secrets", "session-webhook-tls"), secret(&other)).await;
        it.serve(&other, &[]).await;
        it.run_in_pods(kubelet.port).await;
        let diagnosis = it.has("served-certificate");
        assert!(diagnosis.check("served-certificate")["text"].to_string().contains("pod session-webhook-0"));
        drop(kubelet);
        it.has("served-certificate");
        let inside = it.doctor_inside(&["--output", "json"]).finds(&["served-certificate"]);
        let text = inside.check("served-certificate")["text"].to_string();
        assert!(text.contains(&it.address.to_string()) && text.contains("session-webhook.elsewhere.svc"), "{text}");
    })
    .await;
}

pub(super) async fn without_the_right_to_reach_pods_it_says_which(world: &World) {
    installed(world, async |it| {
        let kubelet = Kubelet::start(it.address).await;
        it.run_in_pods(kubelet.port).await;
        let (_, kubeconfig) = world.cluster.person("carol");
        let role = json!({
            "metadata": {"name": "e2e-all-but-portforward"},
            "rules": [
                {"apiGroups": ["admissionregistration.k8s.io"], "verbs": ["get"],
                 "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]},
                {"apiGroups": [""], "verbs": ["get"],
                 "resources": ["services", "endpoints", "configmaps", "secrets", "serviceaccounts"]},
                {"apiGroups": ["discovery.k8s.io"], "verbs": ["list"], "resources": ["endpointslices"]},
                {"apiGroups": ["apps"], "verbs": ["list"], "resources": ["deployments"]},
                {"apiGroups": ["apiextensions.k8s.io"], "verbs": ["get"], "resources": ["customresourcedefinitions"]},
                {"apiGroups": ["rbac.authorization.k8s.io"], "verbs": ["list"],
                 "resources": ["clusterroles", "roles", "clusterrolebindings", "rolebindings"]},
                {"apiGroups": ["authorization.k8s.io"], "verbs": ["create"], "resources": ["subjectaccessreviews"]},
                {"apiGroups": ["hobbyfarm.io"], "verbs": ["create"], "resources": ["sessions"]},
            ],
        });
        it.put(&rbac("clusterroles", "e2e-all-but-portforward"), role).await;
        let binding = json!({
            "metadata": {"name": "e2e-all-but-portforward"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "e2e-all-but-portforward"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "carol"}],
        });
        it.put(&rbac("clusterrolebindings", "e2e-all-but-portforward"), binding).await;
        let diagnosis = doctor_for(&kubeconfig, &["--output", "json"]);
        assert_eq!(diagnosis.with_status("unknown"), ["served-certificate"], "{}", diagnosis.stdout);
        assert_eq!(diagnosis.code, Some(2), "{diagnosis:?}");
        let text = diagnosis.check("served-certificate")["text"].to_string();
        assert!(text.contains("get and create pods/portforward in the namespace hobbyfarm-session-webhook"), "{text}");
    })
    .await;
}

pub(super) async fn entries_may_call_by_url(world: &World) {
    installed(world, async |it| {
        let identity = it.authority.server_for(&it.address.to_string(), 90);
        it.put(&own("secrets", "session-webhook-tls"), secret(&identity)).await;
        it.serve(&identity, &[]).await;
        let server = format!("https://{}:{}", it.address, it.ports().await[0]);
        for (configuration, path) in [(MUTATING, "/mutate"), (VALIDATING, "/validate")] {
            it.change(configuration, |object| {
                each(object, |entry| {
                    let client = entry["clientConfig"].as_object_mut().unwrap();
                    client.remove("service");
                    client.insert("url".to_owned(), json!(format!("{server}{path}")));
                });
            })
            .await;
        }
        it.is_sound();
    })
    .await;
}
