//! Writers that do what HobbyFarm does for each keep-alive of a user: move `end_time` of a Session forward.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::{Cluster, form};
use crate::verbs::accepts;
use crate::writer::{Request, Writer};

/// The day of all times: a keep-alive that goes on to the next one, or back, is a call.
const MIDNIGHT: &str = "2026-11-26T00:00:00Z";

/// Writers, each with a Session of its own.
pub(crate) struct Writers {
    hobbyfarm: Writer,
    sessions: Vec<Session>,
}

/// A Session, and how often it was kept alive.
struct Session {
    object: Value,
    written: AtomicI64,
}

/// This many seconds into the day.
fn at(seconds: i64) -> String {
    form().time(MIDNIGHT.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds))
}

impl Writers {
    pub(crate) async fn new(cluster: &Cluster, count: usize) -> Self {
        let hobbyfarm = cluster.hobbyfarm.clone();
        let mut sessions = Vec::new();
        for number in 0..count {
            let session = form().session(&format!("bench-{number}"));
            accepts(&hobbyfarm, Request::create(&session)).await;
            let times = [at(0), at(0)];
            let status = form().status(false, "", true, false, times.each_ref().map(String::as_str));
            accepts(&hobbyfarm, Request::merge_status(&session, json!({"status": status}))).await;
            sessions.push(Session { object: session, written: AtomicI64::new(0) });
        }
        Self { hobbyfarm, sessions }
    }

    /// Lets so many of them write for this long, each as soon as it is answered; how long each write took.
    pub(crate) async fn write(&self, count: usize, time: Duration) -> Vec<Duration> {
        let until = Instant::now() + time;
        let writers = self.sessions.iter().take(count).map(|session| keep_alive(&self.hobbyfarm, session, until));
        join_all(writers).await.into_iter().flatten().collect()
    }
}

async fn keep_alive(hobbyfarm: &Writer, session: &Session, until: Instant) -> Vec<Duration> {
    let mut taken = Vec::new();
    while Instant::now() < until {
        // Another value each time, or nothing would be written.
        let seconds = session.written.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(seconds < 24 * 3600, "fewer writes, or the day ends");
        let request = Request::merge_status(&session.object, json!({"status": {"end_time": at(seconds)}}));
        let began = Instant::now();
        let reply = hobbyfarm.sends(&request).await;
        taken.push(began.elapsed());
        assert_eq!(reply.code, 200, "{reply:?}");
    }
    taken
}
