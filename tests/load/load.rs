//! The load: several of HobbyFarm's keep-alives at a time, one after the other, until told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, form};
use crate::verbs::accepts;
use crate::writer::{Request, Writer};

/// Writers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Starts this many writers, each with a Session of its own.
    pub(crate) async fn start(cluster: &Cluster, writers: u64) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for index in 0..writers {
            let name = format!("load-{index}");
            accepts(&cluster.hobbyfarm, Request::create(&form().session(&name))).await;
            let task = keep_alive(cluster.hobbyfarm.clone(), name, Arc::clone(&stop), Arc::clone(&written));
            tasks.push(tokio::spawn(task));
        }
        Self { stop, written, writers: tasks }
    }

    /// Status writes so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Stops the writers; how many writes they made, and what became of those that failed.
    pub(crate) async fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for writer in self.writers {
            failures.extend(writer.await.unwrap());
        }
        (self.written.load(Ordering::Relaxed), failures)
    }
}

async fn keep_alive(writer: Writer, name: String, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) -> Vec<String> {
    let mut failures = Vec::new();
    let session = form().session(&name);
    let mut minutes = 5;
    while !stop.load(Ordering::Relaxed) {
        let now = Timestamp::now();
        minutes = if minutes == 5 { 6 } else { 5 };
        let times = [now, now + SignedDuration::from_mins(minutes)].map(|time| form().time(time));
        let status = form().status(false, "", true, false, times.each_ref().map(String::as_str));
        // Without a start, which may not move.
        let end = json!({"status": {"end_time": status["end_time"], "active": true}});
        let reply = writer.sends(&Request::merge_status(&session, end)).await;
        written.fetch_add(1, Ordering::Relaxed);
        if reply.code != 200 {
            failures.push(format!("{} {}", reply.code, reply.message()));
        }
    }
    failures
}
