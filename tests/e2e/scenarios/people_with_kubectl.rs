//! What a person sees.

use serde_json::Value;

use super::flows::starts;
use crate::verbs::{goes, rejects, stored};
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
        let server_side = ["apply", "--server-side", "--validate=false", dry_run, "-f", "-"];
        kubectl.run_on(&server_side, std::slice::from_ref(&new)).refuses("alice");
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
    // Nothing else: a uid may hold the same letters.
    let outcome = kubectl.run_with(&edit, "", "sed -i 's/course: c-1/course: c-9/'");
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

/// The schema is looked at before anybody is asked, so an unknown field comes first; told to warn of it, the API server says both.
pub(super) async fn kubectl_prints_what_strict_validation_finds_and_what_we_refuse(world: &World) {
    let mut unknown = world.new_session();
    unknown["spec"]["machines"] = "many".into();
    let create = |object: &Value| {
        world.kubectl.run_on(&["create", "-n", HOBBYFARM, "--validate=strict", "-f", "-"], std::slice::from_ref(object))
    };
    let strict = create(&unknown);
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert!(strict.stderr.contains("unknown field") && strict.stderr.contains("machines"), "{strict:?}");
    assert!(!strict.stderr.contains("denied the request"), "the webhook is not asked: {strict:?}");
    create(&world.new_session()).refuses("alice");

    let strict = world.alice.sends(&Request::create(&unknown).with("fieldValidation=Strict")).await;
    assert_eq!(strict.code, 400, "{strict:?}");
    assert!(strict.message().contains("strict decoding error: unknown field \"spec.machines\""), "{strict:?}");
    let warned = rejects(&world.alice, Request::create(&unknown).with("fieldValidation=Warn")).await;
    assert!(warned.warnings.iter().any(|warning| warning == "unknown field \"spec.machines\""), "{warned:?}");
}

pub(super) async fn kubectl_diff_and_scale_say_why_they_do_not_work(world: &World) {
    let session = starts(world).await;
    let name = session["metadata"]["name"].as_str().unwrap();
    let mut changed = world.form.session(name);
    changed["spec"]["course"] = "c-9".into();
    // diff is a dry run of apply
    for arguments in [&["diff", "-f", "-"][..], &["diff", "--server-side", "--force-conflicts", "-f", "-"]] {
        let diff = world.kubectl.run_on(arguments, std::slice::from_ref(&changed));
        assert!(diff.code.is_some_and(|code| code > 1), "more than a difference: {diff:?}");
        assert!(diff.stderr.contains("denied the request: ") && diff.stderr.contains("alice"), "{diff:?}");
    }
    let scale = world.kubectl.run(&["-n", HOBBYFARM, "scale", "session", name, "--replicas=2", "--dry-run=server"]);
    assert_eq!(scale.code, Some(1), "a Session has no replicas: {scale:?}");
    assert_eq!(stored(&world.admin, &session).await, session);
}

/// Break-glass goes through, and the person sees that it was seen.
pub(super) async fn kubectl_prints_the_warning_of_break_glass(world: &World) {
    let session = starts(world).await;
    let name = session["metadata"]["name"].as_str().unwrap();
    world.webhook.lock().await.restart(&["--break-glass-user", "alice"]).await;
    let label = world.kubectl.run(&["-n", HOBBYFARM, "label", "session", name, "seen=yes"]);
    let merge = r#"{"status":{"paused":"maybe"}}"#;
    let patch = ["-n", HOBBYFARM, "patch", "session", name, "--subresource=status", "--type=merge", "-p", merge];
    let invalid = world.kubectl.run(&patch);
    world.webhook.lock().await.restart(&[]).await;
    let label = label.succeeds();
    assert!(label.stderr.contains("Warning: ") && label.stderr.contains("break-glass"), "{label:?}");
    assert_eq!(invalid.code, Some(1), "{invalid:?}");
    assert!(invalid.stderr.contains("status.paused") && invalid.stderr.contains("is invalid"), "{invalid:?}");
}
