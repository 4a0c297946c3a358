//! Bytes on a connection in place of an HTTP answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What [`Fault::Wire`](crate::Fault::Wire) writes to a connection in place of an HTTP answer: anything at all.
///
/// ```
/// use std::time::Duration;
///
/// use auth_testing::{Fault, Wire};
///
/// // A head, then a body that comes drop by drop and never ends.
/// let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
/// let trickle = Fault::Wire(Wire::silence_after(head).repeat(" ", u64::MAX, Duration::from_millis(50)));
/// ```
#[derive(Clone)]
pub struct Wire {
    start: Arc<[u8]>,
    repeated: Option<Repeated>,
    end: End,
}

#[derive(Clone)]
struct Repeated {
    bytes: Arc<[u8]>,
    times: u64,
    pause: Duration,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
    Silence,
}

impl Wire {
    /// Writes these bytes, then closes the connection.
    #[must_use]
    pub fn close_after(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes, End::Close)
    }

    /// Writes these bytes, then resets the connection (TCP RST): what was not read yet may be lost.
    #[must_use]
    pub fn reset_after(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes, End::Reset)
    }

    /// Writes these bytes, then nothing; the connection stays open until the client closes it or the provider stops.
    #[must_use]
    pub fn silence_after(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes, End::Silence)
    }

    /// Writes `bytes` so many times after the first ones, with a `pause` before each, in place of an earlier repetition.
    /// `u64::MAX` times is for ever, and a `pause` of zero none; it is by tokio's clock.
    #[must_use]
    pub fn repeat(mut self, bytes: impl Into<Vec<u8>>, times: u64, pause: Duration) -> Self {
        self.repeated = Some(Repeated {
            bytes: bytes.into().into(),
            times,
            pause,
        });
        self
    }

    fn new(bytes: impl Into<Vec<u8>>, end: End) -> Self {
        Self {
            start: bytes.into().into(),
            repeated: None,
            end,
        }
    }

    /// Writes it all, or as much as the client takes before it goes.
    pub(crate) async fn write(self, mut stream: TcpStream) {
        let (mut reader, mut writer) = stream.split();
        let gone = async {
            let mut rest = [0; 1024];
            while reader.read(&mut rest).await.is_ok_and(|n| n > 0) {}
        };
        let written = async {
            writer.write_all(&self.start).await?;
            if let Some(Repeated { bytes, times, pause }) = &self.repeated {
                for _ in 0..*times {
                    if !pause.is_zero() {
                        tokio::time::sleep(*pause).await;
                    }
                    writer.write_all(bytes).await?;
                }
            }
            if matches!(self.end, End::Silence) {
                std::future::pending::<()>().await;
            }
            std::io::Result::Ok(())
        };
        tokio::select! {
            () = gone => {}
            _ = written => {}
        }
        if matches!(self.end, End::Reset) {
            // Without this the connection is closed in the usual way, which is a fault too.
            let _ = stream.set_zero_linger();
        }
    }
}

/// Shows how much there is, not what.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut wire = f.debug_struct("Wire");
        wire.field("start", &self.start.len());
        if let Some(Repeated { bytes, times, pause }) = &self.repeated {
            wire.field("repeated", &(bytes.len(), times, pause));
        }
        wire.field("end", &self.end).finish()
    }
}
