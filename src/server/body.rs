//! Reading a body within limits: its size, the bytes of all bodies together, and time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Bytes, HttpBody as Body};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::timeout;

use super::MAX_BODY;
use super::request_error::RequestError;

/// An amount that requests in flight share.
#[derive(Debug)]
pub(super) struct InFlightBudget {
    limit: i64,
    /// What is taken.
    gauge: Gauge,
}

impl InFlightBudget {
    /// `gauge` is where what is taken is counted, and nowhere else.
    pub(super) fn new(limit: usize, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { limit: to_i64(limit), gauge })
    }

    /// Takes `amount` until the permit is dropped; `None` when that is more than is left.
    pub(super) fn acquire(self: &Arc<Self>, amount: usize) -> Option<InFlightPermit> {
        let mut permit = InFlightPermit { budget: Arc::clone(self), amount: 0 };
        permit.acquire_more(amount).then_some(permit)
    }
}

/// What one request has taken; given back on drop.
#[derive(Debug)]
pub(super) struct InFlightPermit {
    budget: Arc<InFlightBudget>,
    amount: i64,
}

impl InFlightPermit {
    /// Takes `more` as well; false when that is more than is left.
    fn acquire_more(&mut self, more: usize) -> bool {
        let InFlightBudget { limit, gauge } = &*self.budget;
        let more = to_i64(more);
        let add = |taken: i64| taken.checked_add(more).filter(|sum| sum <= limit);
        let fits = gauge.inner().fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_ok();
        if fits {
            self.amount += more;
        }
        fits
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.budget.gauge.dec_by(self.amount);
    }
}

fn to_i64(amount: usize) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Most of a refused body that is read and forgotten, bytes.
const MAX_DISCARDED: usize = 2 * MAX_BODY;

/// How long that may take. Within the API server's timeouts for these webhooks, so that it gets the reason.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// What is set aside for a body before any of it has arrived.
const FIRST_BUFFER: usize = 64 << 10;

/// Reads the whole body, and returns it with the permit for its bytes: for those that have arrived, not those that are declared, or a few
/// clients that declare much and send nothing would lock everybody else out.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    body: &mut B,
    bytes: &Arc<InFlightBudget>,
    limit: Duration,
) -> Result<(Bytes, InFlightPermit), RequestError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let declared = declared.unwrap_or(0);
    if declared > MAX_BODY {
        return Err(RequestError::TooLarge);
    }
    let permit = bytes.acquire(0).ok_or(RequestError::TooManyBytes)?;
    let mut reading = pin!(collect(body, declared.min(FIRST_BUFFER), permit));
    // Most bodies come along with their headers, and need no timer.
    match poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
        Poll::Ready(read) => read,
        Poll::Pending => timeout(limit, reading).await.map_err(|_| RequestError::BodyTimeout)?,
    }
}

async fn collect<B>(
    body: &mut B,
    room: usize,
    mut permit: InFlightPermit,
) -> Result<(Bytes, InFlightPermit), RequestError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut buffer = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| RequestError::BodyBroken)?.into_data() else { continue };
        let total = buffer.len() + data.len();
        if total > MAX_BODY {
            return Err(RequestError::TooLarge);
        }
        if !permit.acquire_more(data.len()) {
            return Err(RequestError::TooManyBytes);
        }
        if buffer.is_empty() && body.is_end_stream() {
            return Ok((data, permit));
        }
        buffer.reserve(room.saturating_sub(buffer.len()));
        buffer.extend_from_slice(&data);
    }
    Ok((buffer.into(), permit))
}

/// Reads what is left of a refused request's body and forgets it, within limits. Over HTTP/1.1 a connection that is closed
/// on unread bytes is reset, and the answer with the reason is lost on the way.
pub(super) async fn discard<B>(headers: &HeaderMap, body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    // Such a client sends its body only when it is asked to.
    if headers.contains_key(EXPECT) {
        return;
    }
    let all = async {
        let mut left = MAX_DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // In vain for a client that is slower or sends more: it does not get to know the reason.
    let _ = timeout(DISCARD_TIMEOUT, all).await;
}
