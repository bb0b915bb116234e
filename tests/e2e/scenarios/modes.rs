//! What an operator may choose.

use serde_json::{Value, json};

use super::flows::starts;
use super::scope::{annotations, assert_decided};
use crate::verbs::{accepts, rejects, stored};
use crate::world::World;
use crate::writer::{Reply, Request};

/// Runs the webhook with these flags while one person labels a Session, then again as it is shipped.
async fn label_under(world: &World, flags: &[&str], who: usize) -> (Value, Reply) {
    let session = starts(world).await;
    let label = Request::merge(&session, json!({"metadata": {"labels": {"a": "b"}}}));
    let (_, stranger) = &world.strangers[who];
    rejects(stranger, label.clone()).await;
    world.webhook.lock().await.restart(flags).await;
    let reply = accepts(stranger, label).await;
    world.webhook.lock().await.restart(&[]).await;
    assert_eq!(stored(&world.admin, &session).await["metadata"]["labels"]["a"], "b");
    rejects(stranger, Request::merge(&session, json!({"metadata": {"labels": {"a": "c"}}}))).await;
    (session, reply)
}

const ALICE: usize = 0;
const DISGUISED: usize = 4;

pub(super) async fn warn_lets_pass_and_says_what_would_be_refused(world: &World) {
    let (_, reply) = label_under(world, &["--mode", "warn"], ALICE).await;
    assert!(reply.warnings.iter().any(|warning| warning.contains("alice")), "{:?}", reply.warnings);
}

pub(super) async fn audit_lets_pass_silently(world: &World) {
    world.webhook.lock().await.restart(&["--mode", "audit"]).await;
    let session = world.new_session();
    let reply = accepts(&world.alice, Request::create(&session)).await;
    world.webhook.lock().await.restart(&[]).await;
    assert_eq!(reply.warnings, Vec::<String>::new());
    assert_decided(&annotations(world, &session, "alice").await, "ManualCreate", "deny");
}

pub(super) async fn break_glass_lets_a_person_write_with_a_warning(world: &World) {
    let (_, reply) = label_under(world, &["--break-glass-user", "alice"], ALICE).await;
    assert!(!reply.warnings.is_empty(), "{reply:?}");
}

pub(super) async fn impersonation_can_be_allowed(world: &World) {
    label_under(world, &["--impersonation", "allow"], DISGUISED).await;
}
