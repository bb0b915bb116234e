//! The watches on Sessions, one for each namespace that is looked at, and whether they go on.
//!
//! `watcher` tells when a watch has failed, and not that it has begun again: while no Session changes, there is nothing to tell. What
//! the API server answered to the request tells it.

use std::time::{Duration, Instant};

use axum::http::Request;
use futures::stream::{BoxStream, SelectAll, Stream, StreamExt, TryStreamExt};
use kube::client::Body;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use crate::cluster::client::is_answer;
use crate::cluster::sessions::{PAGE, Sessions, StoredSession};

/// A watch that has begun again, and has not failed for so long, goes on: one that can only begin fails at once.
const SETTLED: Duration = Duration::from_secs(5);

/// How one watch fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no answer, or has been none yet.
    Unanswered,
    /// The API server answers, be it with a refusal, or the list is being read.
    Answered,
    /// All is known, and what changes is told.
    Watching,
}

/// One watch.
struct Health {
    state: State,
    failed: Instant,
    /// When the API server has last taken a watch up.
    begun: watch::Receiver<Option<Instant>>,
}

impl Health {
    fn new(begun: watch::Receiver<Option<Instant>>) -> Self {
        Self { state: State::Unanswered, failed: Instant::now(), begun }
    }

    fn refresh(&mut self, now: Instant) {
        let begun = *self.begun.borrow();
        if begun.is_some_and(|begun| begun > self.failed && now.duration_since(begun) >= SETTLED) {
            self.state = State::Watching;
        }
    }
}

/// An event, or what the API server or the way to it made a watch fail with; nothing where its list had no version.
pub(super) type WatchResult = Result<Event<StoredSession>, Option<kube::Error>>;

/// All watches.
pub(super) struct Watches {
    /// Each with the index of its watch.
    events: SelectAll<BoxStream<'static, (usize, WatchResult)>>,
    health: Vec<Health>,
}

impl Watches {
    /// Of these namespaces, or of all where there are none.
    pub(super) fn start(client: &Client, sessions: &Sessions, namespaces: &[String]) -> Self {
        let scopes = match namespaces {
            [] => vec![None],
            some => some.iter().map(|namespace| Some(namespace.as_str())).collect(),
        };
        let (mut events, mut health) = (SelectAll::new(), Vec::new());
        for (index, namespace) in scopes.into_iter().enumerate() {
            let (sender, begun) = watch::channel(None);
            let api = sessions.with_client(telling_of_watches(client, sender)).api(namespace);
            events.push(watch_sessions(api).map(move |event| (index, event)).boxed());
            health.push(Health::new(begun));
        }
        Self { events, health }
    }

    /// What happens next to a Session, beginning with those that are there, or why a watch has failed.
    pub(super) async fn next(&mut self) -> Option<WatchResult> {
        let (index, event) = self.events.next().await?;
        let health = self.health.get_mut(index)?;
        match &event {
            Ok(Event::InitDone) => health.state = State::Watching,
            Ok(_) if health.state == State::Unanswered => health.state = State::Answered,
            Ok(_) => {}
            Err(cause) => {
                // A refusal is an answer: no other replica would fare better.
                let is_refusal = cause.as_ref().is_some_and(is_answer);
                health.state = if is_refusal { State::Answered } else { State::Unanswered };
                health.failed = Instant::now();
            }
        }
        Some(event)
    }

    /// Whether each of them gets on.
    pub(super) fn are_answered(&mut self) -> bool {
        let now = Instant::now();
        self.health.iter_mut().for_each(|health| health.refresh(now));
        self.health.iter().all(|health| health.state != State::Unanswered)
    }

    /// Whether each of them tells what changes.
    pub(super) fn go_on(&self) -> bool {
        self.health.iter().all(|health| health.state == State::Watching)
    }
}

fn watch_sessions(api: Api<StoredSession>) -> impl Stream<Item = WatchResult> + Send {
    // That a list begins is no success, after which a backoff would begin anew.
    let is_news = |event: &Event<StoredSession>| std::future::ready(!matches!(event, Event::Init));
    watcher(api, watcher::Config::default().page_size(PAGE)).try_filter(is_news).default_backoff().map_err(api_error)
}

fn api_error(error: watcher::Error) -> Option<kube::Error> {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => Some(error),
        WatchError(status) => Some(kube::Error::Api(status)),
        NoResourceVersion => None,
    }
}

/// Between the beginnings of two watches.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// A client that tells when the API server has taken a watch up.
fn telling_of_watches(client: &Client, begun: watch::Sender<Option<Instant>>) -> Client {
    let (client, namespace) = (client.clone(), client.default_namespace().to_owned());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, begun) = (client.clone(), begun.clone());
        async move {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let last = *begun.borrow();
            if is_watch && let Some(last) = last {
                // One that ends at once, in order and without an event, has no backoff.
                tokio::time::sleep_until((last + SHORTEST_WATCH).into()).await;
            }
            let response = client.send(request).await?;
            if is_watch && response.status().is_success() {
                begun.send_replace(Some(Instant::now()));
            }
            Ok::<_, kube::Error>(response)
        }
    });
    Client::new(service, namespace)
}
