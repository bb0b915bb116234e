//! `doctor` on certificates, authorities and clocks with a fault: it names that fault, and nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::doctor_entries::each;
use crate::doctoring::{HOST, MUTATING, VALIDATING, installed, own, secret};
use crate::impostor::Impostor;
use crate::pki::Authority;
use crate::world::World;

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
