//! `doctor` on an installation that is sound, and on one that does not answer as it should: it names that fault, and
//! nothing else.

use std::process::{Command, Stdio};

use serde_json::json;

use super::definitions::version_4;
use super::doctor_entries::each;
use crate::diagnosis::doctor_for;
use crate::doctoring::{HOST, MUTATING, VALIDATING, installed, own, rbac, secret};
use crate::install::{self, CRDS};
use crate::kubelet::Kubelet;
use crate::world::World;

pub(super) async fn a_sound_installation_has_nothing_to_mend(world: &World) {
    installed(world, async |it| {
        // The people of these tests, who may do everything.
        it.delete(&rbac("clusterrolebindings", "e2e-cluster-admin")).await;
        let diagnosis = it.doctor(&["--output", "json"]).finds(&[]);
        let split = install::keeps_match_conditions(world).await;
        let odd: &[&str] = if split { &[] } else { &["split"] };
        assert_eq!(diagnosis.with_status("questionable"), odd, "{}", diagnosis.stdout);
        assert_eq!(diagnosis.with_status("skipped"), Vec::<String>::new(), "{}", diagnosis.stdout);
        assert_eq!(diagnosis.checks().len(), 24);

        let text = it.doctor(&[]);
        assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""), "{text:?}");
        assert_eq!(text.stdout.lines().filter(|line| line.starts_with('✔')).count(), 24 - odd.len(), "{}", text.stdout);
        assert!(!text.stdout.contains('\u{1b}'), "colour on no terminal");
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

pub(super) async fn a_missing_definition_is_named(world: &World) {
    installed(world, async |it| {
        it.delete(&format!("{CRDS}/sessions.hobbyfarm.io")).await;
        it.has("definition");
    })
    .await;
    world.await_definition().await;
}

pub(super) async fn another_version_that_is_served_is_told_of(world: &World) {
    installed(world, async |it| {
        it.change(&format!("{CRDS}/sessions.hobbyfarm.io"), |definition| {
            definition["spec"]["versions"].as_array_mut().unwrap().push(version_4());
        })
        .await;
        let diagnosis = it.is_odd_in("definition");
        let text = diagnosis.check("definition")["text"].to_string();
        assert!(text.contains("served as v4alpha1 besides v1") && text.contains("write nothing"), "{text}");
    })
    .await;
    world.await_definition().await;
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
