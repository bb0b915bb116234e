//! Writers that do what HobbyFarm does for each keep-alive of a user: put the status of a Session with another `end_time`.

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

/// A Session as it was stored last, and how often it was kept alive.
struct Session {
    object: Value,
    written: i64,
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
            let stored = accepts(&hobbyfarm, Request::merge_status(&session, json!({"status": status}))).await;
            sessions.push(Session { object: stored.body, written: 0 });
        }
        Self { hobbyfarm, sessions }
    }

    /// Lets so many of them write for this long, each as soon as it is answered; how long each write took.
    pub(crate) async fn write(&mut self, count: usize, time: Duration) -> Vec<Duration> {
        let until = Instant::now() + time;
        let writers = self.sessions.iter_mut().take(count).map(|session| keep_alive(&self.hobbyfarm, session, until));
        join_all(writers).await.into_iter().flatten().collect()
    }
}

async fn keep_alive(hobbyfarm: &Writer, session: &mut Session, until: Instant) -> Vec<Duration> {
    let mut taken = Vec::new();
    while Instant::now() < until {
        // Another value each time, or nothing would be written.
        session.written += 1;
        assert!(session.written < 24 * 3600, "fewer writes, or the day ends");
        session.object["status"]["end_time"] = json!(at(session.written));
        let request = Request::replace_status(&session.object);
        let began = Instant::now();
        let reply = hobbyfarm.sends(&request).await;
        taken.push(began.elapsed());
        assert_eq!(reply.code, 200, "{reply:?}");
        session.object = reply.body;
    }
    taken
}
