//! The body of a request on its way up: a stream that can be sent once more while little of it has gone.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until, timeout};

use super::ProxyError;

/// As much of a body is kept while it goes up, so that it can be sent again after a 401.
pub(crate) const KEPT: usize = 64 * 1024;

/// A request's body did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body of the request broke off")]
pub struct BodyBroken;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyBroken>> + Send>>;

/// The body of a request that is to be forwarded.
pub struct ProxyBody {
    chunks: Chunks,
    length: Option<u64>,
}

impl fmt::Debug for ProxyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBody")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl ProxyBody {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(stream::empty(), Some(0))
    }

    /// A body of this many bytes, or of a number that is not known yet.
    #[must_use]
    pub fn new(
        chunks: impl Stream<Item = Result<Bytes, BodyBroken>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self {
            chunks: Box::pin(chunks),
            length,
        }
    }

    pub(crate) fn has_length(&self) -> bool {
        self.length.is_some()
    }

    /// The same body, after a wait for its first bytes where its length is not known: it may have none, and is
    /// [empty](Self::empty) then.
    pub(crate) async fn begun(mut self, idle: Duration) -> Result<Self, ProxyError> {
        if self.has_length() {
            return Ok(self);
        }
        loop {
            let first = timeout(idle, self.chunks.next()).await;
            return match first.map_err(|_| ProxyError::SenderStalled)? {
                None => Ok(Self::empty()),
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(first) => Ok(Self::new(stream::iter([first]).chain(self.chunks), None)),
            };
        }
    }
}

/// A request's body while it goes up. Clones are one.
#[derive(Clone)]
pub(crate) struct Upload(Arc<Mutex<State>>);

struct State {
    /// `None` at its end, once it has broken off, and once it was taken away to be sent again.
    chunks: Option<Chunks>,
    length: Option<u64>,
    limit: Option<u64>,
    gone: u64,
    /// What has gone, while that is little.
    kept: Option<Vec<Bytes>>,
    is_ended: bool,
    is_held: bool,
    /// Since when nothing has gone up, and whose turn it is.
    since: Instant,
    waits_for_sender: bool,
    fault: Option<Fault>,
    waker: Option<Waker>,
}

/// Why a body did not come to its end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the body broke off")]
    Broken,
    #[error("the body is too large")]
    TooLarge,
    #[error("the body was taken away")]
    Taken,
}

impl Upload {
    /// `limit` is how many bytes it may have.
    pub(crate) fn new(body: ProxyBody, limit: Option<u64>) -> Self {
        Self::of(body.chunks, body.length, limit, Some(Vec::new()))
    }

    fn of(chunks: Chunks, length: Option<u64>, limit: Option<u64>, kept: Option<Vec<Bytes>>) -> Self {
        Self(Arc::new(Mutex::new(State {
            is_ended: length == Some(0),
            chunks: (length != Some(0)).then_some(chunks),
            length,
            limit,
            gone: 0,
            kept,
            is_held: false,
            since: Instant::now(),
            waits_for_sender: false,
            fault: None,
            waker: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of the request's own body made the call fail, if it did.
    pub(crate) fn fault(&self) -> Option<ProxyError> {
        match self.lock().fault? {
            Fault::TooLarge => Some(ProxyError::TooLarge),
            Fault::Broken | Fault::Taken => Some(ProxyError::SenderBroken),
        }
    }

    /// When something went up last.
    pub(crate) fn progress_at(&self) -> Instant {
        self.lock().since
    }

    /// Stops what is under way, if the body can still be sent again; says whether it can.
    pub(crate) fn hold(&self) -> bool {
        let mut state = self.lock();
        state.is_held = state.kept.is_some() && state.fault.is_none();
        state.is_held
    }

    /// Goes on after [`hold`](Self::hold).
    pub(crate) fn go_on(&self) {
        let mut state = self.lock();
        state.is_held = false;
        state.wake();
    }

    /// The same body from its beginning, if that is still there. This one breaks off.
    pub(crate) fn again(&self) -> Option<Self> {
        let mut state = self.lock();
        if state.fault.is_some() {
            return None;
        }
        let kept = state.kept.take()?;
        let rest = state.chunks.take();
        if !state.is_ended {
            state.fault = Some(Fault::Taken);
        }
        state.is_held = false;
        state.wake();
        let chunks = stream::iter(kept.into_iter().map(Ok)).chain(stream::iter(rest).flatten());
        Some(Self::of(
            Box::pin(chunks),
            state.length,
            state.limit,
            Some(Vec::new()),
        ))
    }

    /// Waits until the call has stood still for too long: `first_byte` where the upstream should answer or take more,
    /// `idle` where the sender should send more.
    pub(crate) async fn stands_still(&self, first_byte: Duration, idle: Duration) -> ProxyError {
        loop {
            let (since, waits_for_sender) = {
                let state = self.lock();
                (state.since, state.waits_for_sender)
            };
            let (limit, error) = if waits_for_sender {
                (idle, ProxyError::SenderStalled)
            } else {
                (first_byte, ProxyError::Timeout)
            };
            let now = Instant::now();
            if now >= since + limit {
                return error;
            }
            // It may become the other's turn meanwhile.
            sleep_until((since + limit).min(now + first_byte)).await;
        }
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn take(&mut self, chunk: Bytes) -> Result<Bytes, Fault> {
        self.waits_for_sender = false;
        self.since = Instant::now();
        self.gone += chunk.len() as u64;
        if self.limit.is_some_and(|limit| self.gone > limit) {
            return Err(self.fail(Fault::TooLarge));
        }
        if self.gone > KEPT as u64 {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            kept.push(chunk.clone());
        }
        Ok(chunk)
    }

    fn fail(&mut self, fault: Fault) -> Fault {
        self.chunks = None;
        self.kept = None;
        *self.fault.get_or_insert(fault)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let mut state = self.lock();
        loop {
            if state.is_ended {
                return Poll::Ready(None);
            }
            if state.is_held {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let Some(chunks) = &mut state.chunks else {
                return Poll::Ready(Some(Err(state.fail(Fault::Broken))));
            };
            return match chunks.as_mut().poll_next(cx) {
                Poll::Pending => {
                    if !state.waits_for_sender {
                        state.waits_for_sender = true;
                        state.since = Instant::now();
                    }
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                Poll::Ready(Some(Ok(chunk))) if chunk.is_empty() => continue,
                Poll::Ready(Some(Ok(chunk))) => Poll::Ready(Some(state.take(chunk).map(Frame::data))),
                Poll::Ready(Some(Err(BodyBroken))) => Poll::Ready(Some(Err(state.fail(Fault::Broken)))),
                Poll::Ready(None) => {
                    state.waits_for_sender = false;
                    state.since = Instant::now();
                    state.chunks = None;
                    state.is_ended = true;
                    Poll::Ready(None)
                }
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_ended
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.lock();
        match state.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(state.gone)),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn upload(chunks: &[&'static [u8]], length: Option<u64>, limit: Option<u64>) -> Upload {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
        Upload::new(ProxyBody::new(stream::iter(chunks), length), limit)
    }

    async fn next(upload: &mut Upload) -> Option<Result<Bytes, Fault>> {
        let frame = poll_fn(|cx| Pin::new(&mut *upload).poll_frame(cx)).await?;
        Some(frame.map(|frame| frame.into_data().expect("no trailers")))
    }

    async fn read(mut upload: Upload) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        while let Some(chunk) = next(&mut upload).await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_small_body_can_be_sent_again_from_wherever_it_was() {
        for taken in 0..=4 {
            let mut first = upload(&[b"a", b"", b"bc", b"d"], Some(4), None);
            for _ in 0..taken {
                next(&mut first).await;
            }
            let again = first.again().expect("little has gone");
            assert_eq!(again.size_hint().exact(), Some(4));
            assert_eq!(read(again).await.expect("whole"), b"abcd", "{taken}");
            assert!(first.again().is_none(), "once");
            assert_eq!(read(first).await.is_err(), taken < 4, "{taken}");
        }
    }

    #[tokio::test]
    async fn a_large_body_cannot() {
        static LARGE: [u8; KEPT] = [0; KEPT];
        let mut at_the_limit = upload(&[&LARGE], None, None);
        next(&mut at_the_limit).await;
        assert!(at_the_limit.hold());
        let mut beyond = upload(&[&LARGE, b"x"], None, None);
        next(&mut beyond).await;
        next(&mut beyond).await;
        assert!(!beyond.hold() && beyond.again().is_none());
        assert!(beyond.fault().is_none());
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_or_broken_is_not_sent_to_its_end() {
        let large = upload(&[b"ab", b"c"], None, Some(2));
        assert!(read(large.clone()).await.is_err());
        assert!(matches!(large.fault(), Some(ProxyError::TooLarge)));
        assert!(large.again().is_none());
        let broken = [Ok(Bytes::from_static(b"a")), Err(BodyBroken)];
        let broken = Upload::new(ProxyBody::new(stream::iter(broken), Some(9)), None);
        assert!(read(broken.clone()).await.is_err());
        assert!(matches!(broken.fault(), Some(ProxyError::SenderBroken)));
        assert!(!broken.hold());
    }

    #[tokio::test]
    async fn a_body_that_is_held_waits_until_it_may_go_on() {
        let mut held = upload(&[b"ab"], Some(2), None);
        assert!(held.hold());
        assert!(futures_util::poll!(std::pin::pin!(next(&mut held))).is_pending());
        held.go_on();
        assert_eq!(read(held).await.expect("whole"), b"ab");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stands_still_is_told_apart() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(5));
        let began = Instant::now();
        let idle_upstream = upload(&[b"a"], None, None);
        assert!(matches!(
            idle_upstream.stands_still(short, long).await,
            ProxyError::Timeout
        ));
        assert_eq!(began.elapsed(), short);

        let began = Instant::now();
        let mut idle_sender = Upload::new(ProxyBody::new(stream::pending(), None), None);
        assert!(futures_util::poll!(std::pin::pin!(next(&mut idle_sender))).is_pending());
        assert!(matches!(
            idle_sender.stands_still(short, long).await,
            ProxyError::SenderStalled
        ));
        assert_eq!(began.elapsed(), long);
    }
}
