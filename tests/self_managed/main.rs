//! The state machine of `--tls self-managed`, held against its invariant: whatever any replica may serve is verified by
//! each `caBundle`, whoever stops between whichever two actions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod model;

use jiff::{SignedDuration, Timestamp};
use model::{Happening, World};
use proptest::prelude::*;
use rstest::rstest;
use session_webhook::cluster::self_managed::secret_contents::{CertificateAuthority, Lifetimes, SecretContents};
use x509_parser::prelude::{FromDer, X509Certificate};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const NOTHING: [&str; 0] = [];

#[test]
fn an_authority_and_its_certificates_live_and_go_step_by_step() {
    let mut world = World::new(1);
    assert_eq!(world.reconcile_until_stable(0), ["bootstrap", "set-bundle", "set-bundle"]);
    assert!(world.is_trusted(0));
    assert_eq!(world.reconcile_until_stable(0), NOTHING);

    world.pass(DAY * 59);
    assert_eq!(world.reconcile_until_stable(0), NOTHING);
    world.pass(DAY * 2);
    assert_eq!(world.reconcile_until_stable(0), ["renew-certificate"], "two thirds of its life are over");
    world.pass(DAY * 61);
    assert_eq!(world.reconcile_until_stable(0), ["renew-certificate"]);

    world.pass(DAY * 12);
    assert_eq!(
        world.reconcile_until_stable(0),
        ["prepare-authority", "set-bundle", "set-bundle"],
        "the authority's, too"
    );
    world.pass(SignedDuration::from_secs(59));
    assert_eq!(world.reconcile_until_stable(0), NOTHING, "not every API server may know it yet");
    world.pass(SignedDuration::from_secs(1));
    let before = world.served(0).unwrap();
    assert_eq!(world.reconcile_until_stable(0), ["promote-authority"]);
    assert_ne!(world.served(0).unwrap(), before);
    assert_eq!(world.trusted_in(0), 2, "a replica that cannot reach the API server still serves the old one");

    world.pass(DAY * 89);
    assert_eq!(world.reconcile_until_stable(0), ["renew-certificate"]);
    assert_eq!(world.trusted_in(0), 2);
    world.pass(DAY * 2);
    assert_eq!(world.reconcile_until_stable(0), ["drop-old-authorities", "set-bundle", "set-bundle"]);
    assert_eq!(world.trusted_in(0), 1);
}

/// Any spelling of a name is that name: it is no reason to renew for ever.
#[rstest]
#[case::ipv6("2001:DB8::0:1")]
#[case::upper_case("Webhook.Example")]
fn a_name_in_another_spelling_is_held(#[case] name: &str) {
    let mut world = World::new(1);
    world.want_name(0, name);
    assert_eq!(world.reconcile_until_stable(0), ["bootstrap", "set-bundle", "set-bundle"]);
    assert_eq!(world.reconcile_until_stable(0), NOTHING);
}

/// A look is three reads and a write; a bootstrap takes three rounds, and one to see that it is done.
#[test]
fn killed_at_any_moment_of_the_bootstrap_it_ends_in_one_authority() {
    for moment in 0..16 {
        let mut world = World::new(1);
        for _ in 0..moment {
            world.happens(Happening::Advance(0));
        }
        world.happens(Happening::Kill(0));
        world.reconcile_until_stable(0);
        assert!(world.is_trusted(0), "killed after {moment} actions");
        assert!(world.authorities() <= 1, "killed after {moment} actions");
    }
}

/// Every order in which two replicas can take their first eight actions: two rounds.
#[test]
fn of_two_that_start_at_once_one_makes_the_authority() {
    for order in 0_u32..1 << 8 {
        let mut world = World::new(2);
        for turn in 0..8 {
            world.happens(Happening::Advance(usize::from(order & 1 << turn != 0)));
        }
        world.reconcile_all_until_stable();
        assert_eq!(world.authorities(), 1, "{order:b}");
        assert_eq!(world.served(0), world.served(1));
    }
}

#[test]
fn a_changed_bundle_is_repaired_and_called_so() {
    let mut world = World::new(2);
    world.reconcile_all_until_stable();
    let served = world.served(0);
    world.happens(Happening::Empty(1));
    assert_eq!(world.reconcile_until_stable(0), ["repair-bundle"]);
    assert_eq!(world.reconcile_until_stable(1), NOTHING);
    assert_eq!(world.served(0), served);
}

#[test]
fn a_secret_that_vanishes_comes_back_with_the_same_authority() {
    let mut world = World::new(2);
    world.reconcile_all_until_stable();
    let served = world.served(0);
    world.happens(Happening::DeleteSecret);
    assert_eq!(world.reconcile_until_stable(1), ["restore-secret"]);
    world.reconcile_all_until_stable();
    assert_eq!((world.served(0), world.authorities()), (served, 1));
}

/// Nobody remembers the Secret, but a replica that is cut off still serves by it.
#[test]
fn a_new_secret_keeps_what_the_bundles_trusted() {
    let mut world = World::new(2);
    world.reconcile_all_until_stable();
    world.happens(Happening::DeleteSecret);
    world.happens(Happening::Kill(0));
    assert_eq!(world.reconcile_until_stable(0), ["bootstrap", "set-bundle", "set-bundle"]);
    assert_eq!(world.trusted_in(0), 2);
    world.reconcile_all_until_stable();
    assert_eq!(world.served(0), world.served(1));
}

#[test]
fn a_lost_key_means_another_authority_without_a_gap() {
    let mut world = World::new(1);
    world.reconcile_until_stable(0);
    world.happens(Happening::LoseKey);
    assert_eq!(world.reconcile_until_stable(0), ["prepare-authority", "set-bundle", "set-bundle"]);
    world.pass(SignedDuration::from_mins(1));
    assert_eq!(world.reconcile_until_stable(0), ["promote-authority"]);
}

#[test]
fn an_older_secret_from_a_backup_does_not_replace_a_newer_authority() {
    let mut world = World::new(1);
    world.reconcile_until_stable(0);
    let backup = world.secret();
    world.pass(DAY * 134);
    world.reconcile_until_stable(0);
    world.pass(SignedDuration::from_mins(1));
    world.reconcile_until_stable(0);
    let served = world.served(0);
    world.put_secret(backup);
    assert_eq!(world.reconcile_until_stable(0), ["restore-secret"]);
    assert_eq!(world.served(0), served);
}

#[test]
fn replicas_that_want_different_names_do_not_fight() {
    let mut world = World::new(2);
    world.replicas[1].desired.names.push("other.example".to_owned());
    world.reconcile_all_until_stable();
    world.reconcile_all_until_stable();
    assert_eq!(world.reconcile_until_stable(0), NOTHING);
    assert_eq!(world.reconcile_until_stable(1), NOTHING);
}

#[test]
fn after_years_without_anybody_it_goes_on() {
    let mut world = World::new(1);
    world.reconcile_until_stable(0);
    world.pass(DAY * 1000);
    world.reconcile_until_stable(0);
    world.pass(SignedDuration::from_mins(1));
    world.reconcile_until_stable(0);
    assert!(world.is_trusted(0));
}

#[rstest]
#[case::empty(&[], Some("generation"))]
#[case::no_authority(&["ca.crt"], Some("ca.crt"))]
#[case::no_key(&["ca.key"], None)]
#[case::no_certificate(&["tls.crt"], None)]
#[case::half_a_next(&["next-ca.key"], None)]
fn a_secret_is_this_programs_by_its_generation_and_authority(
    #[case] without: &[&str],
    #[case] refused: Option<&'static str>,
) {
    let mut world = World::new(1);
    world.reconcile_until_stable(0);
    world.happens(Happening::LoseKey);
    world.reconcile_until_stable(0);
    let mut data = world.secret().data();
    data.retain(|key, _| !without.is_empty() && !without.contains(&key.as_str()));
    assert_eq!(SecretContents::read(&data).err(), refused);
}

#[test]
fn what_is_written_is_what_is_read() {
    let mut world = World::new(1);
    world.reconcile_until_stable(0);
    world.happens(Happening::LoseKey);
    world.reconcile_until_stable(0);
    world.pass(SignedDuration::from_mins(1));
    world.reconcile_until_stable(0);
    let contents = world.secret();
    assert!(!contents.old.is_empty());
    assert_eq!(SecretContents::read(&contents.data()).unwrap(), contents);
}

#[test]
fn no_certificate_outlives_its_authority_and_no_foreign_key_signs() {
    let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
    let lifetimes = Lifetimes { authority: DAY * 10, ..Lifetimes::default() };
    let [one, other] = [1, 2].map(|generation| CertificateAuthority::make(generation, now, &lifetimes).unwrap());
    let pair = one.issue(&["a.example".to_owned()], now, &lifetimes).unwrap();
    assert_eq!(one.verifies(&pair, now).unwrap().not_after, one.not_after);
    assert_eq!(other.verifies(&pair, now), None);
    assert_eq!(one.verifies(&pair, now + DAY * 11), None);
    assert!(!format!("{one:?}").contains("PRIVATE"));
}

/// API servers look at the dates of an authority too, as webpki does not.
#[test]
fn an_authority_that_a_clock_ahead_has_made_is_valid_already() {
    let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
    let lifetimes = Lifetimes::default();
    let authority = CertificateAuthority::make(1, now + DAY, &lifetimes).unwrap();
    let pair = authority.issue(&["a.example".to_owned()], now, &lifetimes).unwrap();
    assert!(authority.verifies(&pair, now).is_some());
    let (_, certificate) = X509Certificate::from_der(&authority.certificate).unwrap();
    assert!(certificate.validity().not_before.timestamp() <= now.as_second());
}

fn happenings(replicas: usize, meddling: bool) -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        60 => (0..replicas).prop_map(Happening::Advance),
        10 => (0..replicas).prop_map(Happening::Round),
        4 => (0..replicas).prop_map(Happening::Kill),
        4 => (0_i64..40 * 86400).prop_map(Happening::Pass),
        4 => (0_i64..90).prop_map(Happening::Pass),
        1 => (0_usize..2).prop_map(move |at| if meddling { Happening::Empty(at) } else { Happening::DeleteSecret }),
        1 => Just(Happening::LoseKey),
    ];
    prop::collection::vec(one, 1..250)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// [`World::happens`] checks the invariant after each happening.
    #[test]
    fn whatever_is_served_is_verified_by_every_bundle(
        (replicas, happenings) in (1_usize..5, any::<bool>())
            .prop_flat_map(|(replicas, meddling)| (Just(replicas), happenings(replicas, meddling)))
    ) {
        let mut world = World::new(replicas);
        for happening in happenings {
            world.happens(happening);
        }
        // In peace everybody comes to serve the same, and then nobody writes any more.
        for _ in 0..4 {
            world.reconcile_all_until_stable();
            world.pass(SignedDuration::from_mins(1));
        }
        for replica in 0..replicas {
            prop_assert_eq!(world.reconcile_until_stable(replica), NOTHING);
            prop_assert!(world.is_trusted(replica));
            prop_assert_eq!(world.served(replica), world.served(0));
        }
    }
}
