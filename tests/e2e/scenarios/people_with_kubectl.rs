//! What a person sees.

use super::flows::starts;
use crate::verbs::{goes, stored};
use crate::world::World;
use crate::writer::{HOBBYFARM, Request};

pub(super) async fn kubectl_shows_the_refusal_whatever_the_command(world: &World) {
    let kubectl = &world.kubectl;
    let new = world.new_session();
    // --validate=false: the API server publishes a changed schema a while after it has begun to use it
    for dry_run in ["--dry-run=none", "--dry-run=server"] {
        for command in ["create", "apply"] {
            let arguments = [command, "-n", HOBBYFARM, "--validate=false", dry_run, "-f", "-"];
            kubectl.run_on(&arguments, std::slice::from_ref(&new)).refuses("alice");
        }
        kubectl.run_on(&["apply", "--server-side", dry_run, "-f", "-"], std::slice::from_ref(&new)).refuses("alice");
    }

    let session = starts(world).await;
    let name = session["metadata"]["name"].as_str().unwrap();
    let mut replaced = session.clone();
    replaced["spec"]["course"] = "c-9".into();
    let replace = ["replace", "--validate=false", "-f", "-"];
    kubectl.run_on(&replace, std::slice::from_ref(&replaced)).refuses("alice");
    let merge = r#"{"spec":{"course":"c-9"}}"#;
    let patch = r#"[{"op":"replace","path":"/spec/course","value":"c-9"}]"#;
    for arguments in [
        &["label", "session", name, "a=b"][..],
        &["annotate", "session", name, "a=b"],
        &["patch", "session", name, "--type=merge", "-p", merge],
        &["patch", "session", name, "--type=json", "-p", patch],
        &["patch", "session", name, "--type=merge", "--dry-run=server", "-p", merge],
    ] {
        kubectl.run(&[&["-n", HOBBYFARM], arguments].concat()).refuses("alice");
    }
    let account = "system:serviceaccount:hobbyfarm-system:hobbyfarm-session";
    let disguised = ["-n", HOBBYFARM, "--as", account, "label", "session", name, "a=b"];
    kubectl.run(&disguised).refuses(account);
    let edit = ["-n", HOBBYFARM, "edit", "session", name, "--validate=false"];
    let outcome = kubectl.run_with(&edit, "", "sed -i s/c-1/c-9/");
    assert!(outcome.stderr.contains("denied the request"), "{outcome:?}");
    assert_eq!(stored(&world.admin, &session).await, session);
}

pub(super) async fn kubectl_deletes(world: &World) {
    let session = starts(world).await;
    let name = session["metadata"]["name"].as_str().unwrap();
    world.kubectl.run(&["-n", HOBBYFARM, "delete", "session", name, "--dry-run=server"]).succeeds();
    stored(&world.admin, &session).await;
    world.kubectl.run(&["-n", HOBBYFARM, "delete", "session", name]).succeeds();
    goes(&world.admin, "the Session", Request::read(&session)).await;
}
