//! The policy installed in place of the webhook, or beside it; and everything put back.

use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};

use crate::install;
use crate::process::eventually;
use crate::verbs::accepts;
use crate::world::World;
use crate::writer::{Request, Writer};

/// Where policies are.
pub(crate) const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
/// The name of the policy, of its binding and of the webhook configurations.
pub(crate) const NAME: &str = "hobbyfarm-session-webhook";
const KINDS: &str = "validatingadmissionpolicy,validatingadmissionpolicybinding";
const CONFIGURATIONS: &str = "mutatingwebhookconfiguration,validatingwebhookconfiguration";
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a scenario with the policy that `session-webhook policy` prints for the shipped configuration and these options.
pub(crate) async fn with_policy(world: &World, options: &[&str], scenario: impl Future<Output = ()>) {
    let outcome = AssertUnwindSafe(async {
        world.admin_kubectl.run_with(&["apply", "-f", "-"], &printed(world, options), "false").succeeds();
        is_in_force(world, options).await;
        scenario.await;
    })
    .catch_unwind()
    .await;
    world.admin_kubectl.run(&["delete", KINDS, NAME, "--ignore-not-found"]).succeeds();
    eventually("the policy is no longer asked", PATIENCE, async || {
        let session = world.new_session();
        world.admin.sends(&Request::create(&session).dry_run()).await;
        rule(world, &session, &world.admin).await.is_none().then_some(())
    })
    .await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// The same with the webhook configurations deleted.
pub(crate) async fn with_policy_alone(world: &World, options: &[&str], scenario: impl Future<Output = ()>) {
    let outcome = AssertUnwindSafe(with_policy(world, options, async {
        world.admin_kubectl.run(&["delete", CONFIGURATIONS, NAME]).succeeds();
        eventually("no webhook is asked", PATIENCE, async || {
            let session = world.new_session();
            world.hobbyfarm.sends(&Request::create(&session).dry_run()).await;
            let asked = audit_annotations(world, &session, &world.hobbyfarm.user).await;
            let webhooks = asked.as_object().unwrap().keys().any(|key| key.contains(".session-webhook.hobbyfarm.io"));
            (!webhooks).then_some(())
        })
        .await;
        scenario.await;
    }))
    .catch_unwind()
    .await;
    install::apply(world).await;
    world.await_in_force().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn printed(world: &World, options: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_session-webhook"))
        .env_clear()
        .args(["policy", "--own-service-account", "hobbyfarm-session-webhook/session-webhook", "--config"])
        .arg(world.folder().join("config.yaml"))
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The policy is asked, and this one, not the one before.
async fn is_in_force(world: &World, options: &[&str]) {
    let mode = options.iter().position(|option| *option == "--mode").map(|at| Value::from(options[at + 1]));
    let mode = mode.filter(|mode| mode != "enforce");
    eventually("the policy is in force", PATIENCE, async || {
        let session = world.new_session();
        world.alice.sends(&Request::create(&session).dry_run()).await;
        let told = audit_annotations(world, &session, "alice").await;
        let says = |key: &str| told.get(format!("{NAME}/{key}"));
        (says("rule") == Some(&json!("ManualCreate")) && says("mode") == mode.as_ref()).then_some(())
    })
    .await;
}

/// Which rule the policy found for the last write of this Session by somebody.
pub(crate) async fn rule(world: &World, session: &Value, writer: &Writer) -> Option<Value> {
    audit_annotations(world, session, &writer.user).await.get(format!("{NAME}/rule")).cloned()
}

/// What the audit log says of the last write of this Session by this user; an object.
pub(crate) async fn audit_annotations(world: &World, session: &Value, user: &str) -> Value {
    let told = crate::scenarios::annotations(world, session, user).await;
    if told.is_null() { json!({}) } else { told }
}

/// What the policy's status says, once the controller has looked at it as it is now.
pub(crate) async fn status(world: &World) -> Value {
    eventually("the policy's types are checked", PATIENCE, async || {
        let policy = accepts(&world.admin, Request::get(format!("{POLICIES}/{NAME}"))).await.body;
        let checked = policy["status"]["observedGeneration"] == policy["metadata"]["generation"];
        checked.then(|| policy["status"].clone())
    })
    .await
}
