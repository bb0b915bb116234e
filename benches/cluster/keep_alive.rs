//! Writers that do what HobbyFarm does for each keep-alive of a user: move `end_time` of a Session forward.

use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::{Cluster, form};
use crate::verbs::accepts;
use crate::writer::{Request, Writer};

/// Writers, each with a Session of its own.
pub(crate) struct Writers {
    hobbyfarm: Writer,
    sessions: Vec<Value>,
}

impl Writers {
    pub(crate) async fn new(cluster: &Cluster, count: usize) -> Self {
        let hobbyfarm = cluster.hobbyfarm.clone();
        let mut sessions = Vec::new();
        for number in 0..count {
            let session = form().session(&format!("bench-{number}"));
            accepts(&hobbyfarm, Request::create(&session)).await;
            let times =
                [Timestamp::now(), Timestamp::now() + SignedDuration::from_mins(5)].map(|time| form().time(time));
            let status = form().status(false, "", true, false, times.each_ref().map(String::as_str));
            accepts(&hobbyfarm, Request::merge_status(&session, json!({"status": status}))).await;
            sessions.push(session);
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

async fn keep_alive(hobbyfarm: &Writer, session: &Value, until: Instant) -> Vec<Duration> {
    let mut taken = Vec::new();
    while Instant::now() < until {
        // Another value each time, or nothing would be written.
        let ahead = SignedDuration::from_secs(300 + i64::try_from(taken.len()).unwrap());
        let end = form().time(Timestamp::now() + ahead);
        let request = Request::merge_status(session, json!({"status": {"end_time": end}}));
        let began = Instant::now();
        let reply = hobbyfarm.sends(&request).await;
        taken.push(began.elapsed());
        assert_eq!(reply.code, 200, "{reply:?}");
    }
    taken
}
