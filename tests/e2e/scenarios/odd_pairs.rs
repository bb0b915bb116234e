//! Stored Sessions that end before they start, or would once they have an end: what repairs them passes the webhook itself.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::auditing::audit;
use crate::backfilling::{Replica, plant, prepare};
use crate::process::eventually;
use crate::verbs::stored;
use crate::world::World;

const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);
/// The defaulted end lies so far ahead.
const SESSION_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);
const END_BEFORE_START: (&str, &str) = ("EndBeforeStart", "status.end_time");

/// What is to become of a time.
#[derive(Clone, Copy)]
enum Becomes {
    /// Byte for byte.
    Same,
    /// The same instant in HobbyFarm's layout.
    Instant(Timestamp),
    /// So much later than now.
    Default,
}

/// A stored Session with such a pair, what is found in it, and what is to become of both times.
struct OddPair {
    session: Value,
    findings: Vec<(&'static str, &'static str)>,
    start: Becomes,
    end: Becomes,
}

impl OddPair {
    fn name(&self) -> &str {
        self.session["metadata"]["name"].as_str().unwrap()
    }

    /// Whether there is anything that HobbyFarm cannot use.
    fn is_repaired(&self) -> bool {
        !matches!((self.start, self.end), (Becomes::Same, Becomes::Same))
    }

    /// The Session is stored as it is to be, after it was looked at since this time.
    async fn assert_is_as_it_should_be(&self, world: &World, since: Timestamp) {
        let object = stored(&world.admin, &self.session).await;
        for (key, expected) in [("start_time", self.start), ("end_time", self.end)] {
            let (before, after) = (&self.session["status"][key], &object["status"][key]);
            let told = format!("{key} was {before}: {object}");
            match expected {
                Becomes::Same => assert_eq!(before, after, "{told}"),
                Becomes::Instant(instant) => assert_eq!(world.form.parse_time(after), instant, "{told}"),
                Becomes::Default => {
                    let end = world.form.parse_time(after);
                    // The gargantua dialect knows whole seconds.
                    assert!(end > since + SESSION_TIMEOUT - SignedDuration::from_secs(2), "{told}");
                    assert!(end <= Timestamp::now() + SESSION_TIMEOUT, "{told}");
                }
            }
        }
    }
}

/// One of each kind, none of which names anything else that might be missing. Those that are to be left alone come first.
fn odd_pairs(world: &World) -> Vec<OddPair> {
    let form = world.form;
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let [start, end] = [90, 60].map(|minutes| now + SignedDuration::from_mins(minutes));
    let far: Timestamp = "2099-11-24T09:00:00Z".parse().unwrap();
    let foreign = |time: Timestamp| time.to_string();
    let pair = |times: [String; 2], findings: &[_], becomes: [Becomes; 2]| {
        let mut session = world.new_session();
        for key in ["user", "course", "scenario"] {
            session["spec"][key] = json!("");
        }
        session["spec"]["vm_claim"] = if session["spec"]["vm_claim"].is_array() { json!([]) } else { json!("") };
        session["status"] = form.status(false, "", true, false, [&times[0], &times[1]]);
        let [start, end] = becomes;
        OddPair { session, findings: findings.to_vec(), start, end }
    };
    let (missing_end, bad_end) = (("MissingTime", "status.end_time"), ("BadTime", "status.end_time"));
    let (foreign_start, foreign_end) = (("ForeignTime", "status.start_time"), ("ForeignTime", "status.end_time"));
    let (same, default) = (Becomes::Same, Becomes::Default);
    vec![
        pair([form.time(start), form.time(end)], &[END_BEFORE_START], [same, same]),
        pair([form.time(far), form.time(end)], &[END_BEFORE_START], [same, same]),
        pair([foreign(start), form.time(end)], &[foreign_start, END_BEFORE_START], [Becomes::Instant(start), same]),
        pair(
            [foreign(start), foreign(end)],
            &[foreign_start, foreign_end, END_BEFORE_START],
            [Becomes::Instant(start), Becomes::Instant(end)],
        ),
        pair([form.time(far), String::new()], &[missing_end], [same, default]),
        pair([foreign(far), String::new()], &[missing_end, foreign_start], [Becomes::Instant(far), default]),
        pair([form.time(far), "soon".to_owned()], &[bad_end], [same, default]),
        pair([foreign(far), "soon".to_owned()], &[bad_end, foreign_start], [Becomes::Instant(far), default]),
    ]
}

/// What `audit` finds of them, each by Session, kind and field.
fn expected<'a>(
    pairs: &'a [OddPair],
    findings: impl Fn(&'a OddPair) -> &'a [(&'static str, &'static str)],
) -> BTreeSet<[String; 3]> {
    let of_pair = |pair: &'a OddPair| {
        findings(pair).iter().map(|(kind, field)| [pair.name().to_owned(), (*kind).to_owned(), (*field).to_owned()])
    };
    pairs.iter().flat_map(of_pair).collect()
}

pub(super) async fn audit_tells_of_them_and_mends_those_whose_end_cannot_be_used(world: &World) {
    world.delete_all_sessions().await;
    let pairs = odd_pairs(world);
    plant(world, &pairs.iter().map(|pair| pair.session.clone()).collect::<Vec<_>>()).await;
    let audited = audit(world, "admin", &[]).await;
    assert_eq!(audited.findings(), expected(&pairs, |pair| &pair.findings), "{}", audited.stderr);

    let since = Timestamp::now();
    let repaired: BTreeSet<_> = pairs.iter().filter(|pair| pair.is_repaired()).map(OddPair::name).collect();
    let mut webhook = world.webhook.lock().await;
    webhook.restart(&["--break-glass-user", "alice"]).await;
    let audited = audit(world, "alice", &["--fix", "--yes"]).await;
    let passed = webhook.reviews_with(&[("webhook", "validate"), ("rule", "BreakGlass"), ("decision", "allow")]).await;
    webhook.restart(&[]).await;
    drop(webhook);
    assert_eq!(
        audited.fixes(),
        repaired.iter().map(|name| [(*name).to_owned(), "repaired".to_owned()]).collect(),
        "{}",
        audited.report
    );
    assert!(passed >= 2 * repaired.len() as u64, "{passed}: each is asked for as a dry run, and written");
    for pair in &pairs {
        pair.assert_is_as_it_should_be(world, since).await;
    }
    // What the start should have been nobody knows.
    let audited = audit(world, "admin", &[]).await;
    assert_eq!(audited.findings(), expected(&pairs, |_| &[END_BEFORE_START]), "{}", audited.stderr);
    world.delete_all_sessions().await;
}

pub(super) async fn the_backfill_mends_those_whose_end_cannot_be_used(world: &World) {
    prepare(world).await;
    // Its repairs are counted.
    world.delete_all_sessions().await;
    let pairs = odd_pairs(world);
    plant(world, &pairs.iter().map(|pair| pair.session.clone()).collect::<Vec<_>>()).await;
    let versions = async || {
        let left_alone = pairs.iter().filter(|pair| !pair.is_repaired());
        let read = left_alone.map(|pair| stored(&world.admin, &pair.session));
        let objects = futures::future::join_all(read).await;
        objects.into_iter().map(|object| object["metadata"]["resourceVersion"].clone()).collect::<Vec<_>>()
    };
    let (since, before) = (Timestamp::now(), versions().await);
    let mut replica = Replica::start(world, "odd-pairs", &[]).await;
    replica.leads().await;
    let repaired = pairs.iter().filter(|pair| pair.is_repaired()).count();
    replica.has_repaired(repaired).await;
    eventually("nothing is left to be done", PATIENCE, async || {
        (replica.metric("backfill_waiting_sessions").await == 0).then_some(())
    })
    .await;
    replica.has_repaired(repaired).await;
    for pair in &pairs {
        pair.assert_is_as_it_should_be(world, since).await;
    }
    assert_eq!(versions().await, before, "what HobbyFarm can use is not written to");
    let decided = [("webhook", "validate"), ("rule", "HobbyFarm"), ("decision", "allow")];
    let passed = world.webhook.lock().await.reviews_with(&decided).await;
    assert!(passed >= repaired as u64, "{passed}");
    assert_eq!(replica.metric("backfill_sessions_total{result=\"failed\"}").await, 0);
    drop(replica);
    world.delete_all_sessions().await;
}
