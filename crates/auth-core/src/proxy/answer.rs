//! An upstream's answer on its way down.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::upload::Upload;
use crate::auth::Auth;
use crate::session::Session;

/// An answer that is over sooner is not watched for the end of its session, which would ask the store once more. That end
/// is then found by the look-up with which the watch begins.
const UNWATCHED: Duration = Duration::from_secs(1);

/// An upstream's answer, to be passed on.
pub struct ProxyAnswer {
    /// The status code, the upstream's own.
    pub status: StatusCode,
    /// The headers that go through. `Content-Length` is not among them: it is [`Download::length`].
    pub headers: HeaderMap,
    /// What follows the headers: a body, or a WebSocket.
    pub rest: Rest,
}

/// Shows no header.
impl fmt::Debug for ProxyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyAnswer")
            .field("status", &self.status)
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

/// What follows the headers of an answer.
#[derive(Debug)]
pub enum Rest {
    /// A body, which may be empty.
    Body(Download),
    /// A WebSocket: the status is 101, and bytes go both ways until one side ends.
    Tunnel(Tunnel),
}

/// An answer's body did not come to its end, so what the browser is sent must not seem to: the upstream broke off, or the
/// session has ended.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct AnswerBroken;

/// What an answer under way needs to go on: its session, and its place among those that are under way at once.
pub(crate) struct Leave {
    /// Completes with the session; `None` once it has.
    ended: Option<BoxFuture<'static, ()>>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Leave {
    pub(crate) fn new(auth: &Auth, session: &Session, slot: Option<OwnedSemaphorePermit>) -> Self {
        let (auth, session) = (auth.clone(), session.clone());
        let ended = async move {
            sleep(UNWATCHED).await;
            auth.until_ended(&session).await;
            tracing::info!(session = ?session.key, "an answer under way ends with its session");
        };
        Self {
            ended: Some(ended.boxed()),
            _slot: slot,
        }
    }

    /// Ready once the session has ended, and from then on.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(ended) = &mut self.ended {
            ready!(ended.as_mut().poll(cx));
            self.ended = None;
        }
        Poll::Ready(())
    }
}

/// The body of an answer: a stream that takes no more from the upstream than is asked of it, and breaks off when the session
/// ends. Dropping it ends the call.
pub struct Download {
    incoming: Incoming,
    length: Option<u64>,
    upload: Upload,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
    leave: Leave,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Download {
    pub(crate) fn new(
        incoming: Incoming,
        length: Option<u64>,
        upload: Upload,
        idle: Duration,
        leave: Leave,
    ) -> Self {
        Self {
            incoming,
            length,
            upload,
            idle,
            timer: Box::pin(sleep(idle)),
            is_waiting: false,
            leave,
        }
    }

    /// What `Content-Length` says, where it says something. An answer to `HEAD` has a length and no bytes.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    fn broken(cause: &str) -> AnswerBroken {
        tracing::warn!(code = "api.unreachable", cause, "an upstream's answer broke off");
        AnswerBroken
    }
}

impl Stream for Download {
    type Item = Result<Bytes, AnswerBroken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.leave.poll_ended(cx).is_ready() {
            return Poll::Ready(Some(Err(AnswerBroken)));
        }
        loop {
            match Pin::new(&mut this.incoming).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Ok(frame))) => {
                    this.is_waiting = false;
                    // Trailers stay behind.
                    match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                        _ => {}
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(Self::broken(&crate::error::chain(&error)))));
                }
                Poll::Pending => {
                    if !this.is_waiting {
                        this.is_waiting = true;
                        this.timer.as_mut().reset(Instant::now() + this.idle);
                    }
                    ready!(this.timer.as_mut().poll(cx));
                    // An upstream that still takes the request is not idle.
                    let until = this.upload.progress_at() + this.idle;
                    if until <= Instant::now() {
                        return Poll::Ready(Some(Err(Self::broken("nothing came for too long"))));
                    }
                    this.timer.as_mut().reset(until);
                }
            }
        }
    }
}

/// The upstream's end of a WebSocket.
pub struct Tunnel {
    pub(crate) upstream: OnUpgrade,
    pub(crate) leave: Leave,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}

impl Tunnel {
    /// Carries bytes both ways until both sides have ended, one fails, or the session ends. Dropping the future ends it.
    ///
    /// At the end of the session both connections end without a closing frame: nobody here knows where in a frame they are.
    pub async fn run(self, browser: impl AsyncRead + AsyncWrite + Unpin) {
        let mut leave = self.leave;
        tokio::select! {
            () = carry(self.upstream, browser) => {}
            () = poll_fn(|cx| leave.poll_ended(cx)) => {}
        }
    }
}

async fn carry(upstream: OnUpgrade, mut browser: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(upstream) = upstream.await else {
        return;
    };
    // How it ends is nobody's fault: whoever is left learns of it by the end of the connection.
    let _ = copy_bidirectional(&mut browser, &mut TokioIo::new(upstream)).await;
}
