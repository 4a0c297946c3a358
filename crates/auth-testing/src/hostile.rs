//! Answers of a server that means no good.

use std::time::Duration;

use crate::control::Fault;
use crate::wire::Wire;

/// An answer that no client may be harmed by: neither kept waiting, nor made to use up memory, nor to believe anything.
///
/// Most are written to a connection ([`Fault::Wire`]), so they need a [`DevProvider`](crate::DevProvider).
///
/// ```
/// use auth_testing::{DevProvider, Endpoint, HostileAnswer};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let provider = DevProvider::builder().start().await?;
/// for HostileAnswer { name, fault } in HostileAnswer::malformed() {
///     provider.control().fail(Endpoint::Userinfo, fault);
///     // Sign in, and see that the app holds out against `name`.
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HostileAnswer {
    /// What it is, for messages of a test.
    pub name: &'static str,
    /// What the provider does, for [`Control::fail`](crate::Control::fail).
    pub fault: Fault,
}

impl HostileAnswer {
    fn new(name: &'static str, fault: Fault) -> Self {
        Self { name, fault }
    }

    /// Bytes that are no HTTP answer (RFC 9112), or not all of one. Each is over at once.
    #[must_use]
    pub fn broken() -> Vec<Self> {
        let close = |name, bytes: &str| Self::new(name, Fault::Wire(Wire::close_after(bytes)));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
        let many_headers = (0..10_000).fold(head.to_owned(), |text, n| format!("{text}x-{n}: y\r\n"));
        vec![
            close("nothing", ""),
            close("another protocol", "SSH-2.0-OpenSSH_9.9\r\n"),
            close("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\x7f\x03\x03"),
            close("HTTP/0.9", "<html>hello</html>\n"),
            close("HTTP/3.7", "HTTP/3.7 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
            close("half a status line", "HTTP/1.1 2"),
            close("half a head", "HTTP/1.1 200 OK\r\ncontent-type: appl"),
            close(
                "a status of two digits",
                "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\n{}",
            ),
            close("a header without a colon", "HTTP/1.1 200 OK\r\nhello\r\n\r\n{}"),
            close(
                "a header with a NUL",
                "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\n{}",
            ),
            close(
                "a length that is no number",
                &format!("{head}content-length: many\r\n\r\n{{}}"),
            ),
            close(
                "a negative length",
                &format!("{head}content-length: -2\r\n\r\n{{}}"),
            ),
            close(
                "two lengths",
                &format!("{head}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}} "),
            ),
            close(
                "less than was announced",
                &format!("{head}content-length: 100\r\n\r\n{{}}"),
            ),
            close(
                "a chunk size that is none",
                &format!("{chunked}two\r\n{{}}\r\n0\r\n\r\n"),
            ),
            close(
                "a chunk size beyond all numbers",
                &format!("{chunked}fffffffffffffffff\r\n{{}}\r\n"),
            ),
            close("no last chunk", &format!("{chunked}2\r\n{{}}\r\n")),
            close(
                "an endless line of a chunk",
                &format!("{chunked}2;{}\r\n{{}}\r\n", "x".repeat(1 << 20)),
            ),
            close(
                "a header of a mebibyte",
                &format!("{head}x: {}\r\n\r\n{{}}", "x".repeat(1 << 20)),
            ),
            close("ten thousand headers", &format!("{many_headers}\r\n{{}}")),
            close(
                "a thousand interim answers",
                &"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000),
            ),
            Self::new(
                "a reset in the middle",
                Fault::Wire(Wire::reset_after(format!("{head}content-length: 100\r\n\r\n{{"))),
            ),
        ]
    }

    /// Complete answers that are not the JSON object that was asked for, or cannot be read as one. Each is over at once,
    /// and smaller than a mebibyte.
    #[must_use]
    pub fn malformed() -> Vec<Self> {
        let json = |name, body: Vec<u8>| Self::new(name, Fault::body(200, "application/json", body));
        let nested =
            |open: &str, close: &str| (open.repeat(100_000) + "0" + &close.repeat(100_000)).into_bytes();
        let members = (0..80_000).map(|n| format!("\"{n:x}\":0")).collect::<Vec<_>>();
        vec![
            Self::new(
                "a page",
                Fault::body(200, "text/html", "<h1>words of the provider</h1>"),
            ),
            Self::new(
                "a page called JSON",
                Fault::body(200, "application/json", "<h1>words of the provider</h1>"),
            ),
            Self::new("no content", Fault::status(204)),
            Self::new("not modified", Fault::status(304)),
            Self::new(
                "a status beyond all classes",
                Fault::body(799, "application/json", "{}"),
            ),
            json("an empty body", vec![]),
            json("null", b"null".to_vec()),
            json("a number", b"17".to_vec()),
            json("a text", b"\"words of the provider\"".to_vec()),
            json("a list", b"[]".to_vec()),
            json(
                "a list of a hundred thousand",
                format!("[{}0]", "0,".repeat(100_000)).into_bytes(),
            ),
            json("half an object", b"{\"issuer\":".to_vec()),
            json("two objects", b"{} {}".to_vec()),
            json("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
            json("UTF-16", b"{\0}\0".to_vec()),
            json("invalid UTF-8", b"{\"a\":\"\xff\xfe\"}".to_vec()),
            json("half a surrogate pair", b"{\"\\ud800\":0}".to_vec()),
            json("a control character", b"{\"a\":\"\n\"}".to_vec()),
            json("lists that are too deep", nested("[", "]")),
            json("objects that are too deep", nested("{\"a\":", "}")),
            json("a list without end", vec![b'['; 1_000_000]),
            json("a number beyond all numbers", b"{\"a\":1e999999}".to_vec()),
            json(
                "a number of half a million digits",
                format!("{{\"a\":{}}}", "9".repeat(500_000)).into_bytes(),
            ),
            json(
                "eighty thousand members and no end",
                format!("{{{}", members.join(",")).into_bytes(),
            ),
            Self::new(
                "another protocol from here on",
                Fault::Wire(Wire::close_after(
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
                )),
            ),
        ]
    }

    /// More than a client may read. The first are small on the way and become 64 MiB where somebody decodes them
    /// (`Content-Encoding`, RFC 9110 §8.4); the others would never end.
    #[must_use]
    pub fn oversized() -> Vec<Self> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let mebibyte = vec![b' '; 1 << 20];
        let chunk = [b"100000\r\n".as_slice(), &mebibyte, b"\r\n"].concat();
        let flood = |name, head: String, bytes: Vec<u8>| {
            Self::new(
                name,
                Fault::Wire(Wire::close_after(head).repeat(bytes, u64::MAX, Duration::ZERO)),
            )
        };
        let mut answers = bombs();
        answers.extend([
            flood("a body without end", format!("{head}\r\n"), mebibyte.clone()),
            flood(
                "a length beyond all sense",
                format!("{head}content-length: 9223372036854775807\r\n\r\n"),
                mebibyte.clone(),
            ),
            flood(
                "chunks without end",
                format!("{head}transfer-encoding: chunked\r\n\r\n"),
                chunk,
            ),
            flood("a header without end", format!("{head}x: "), mebibyte),
        ]);
        answers
    }

    /// Redirects with each status that has a `Location`, to this URL.
    #[must_use]
    pub fn redirects(to: &str) -> Vec<Self> {
        [
            ("moved permanently", 301),
            ("found", 302),
            ("see other", 303),
            ("temporary redirect", 307),
            ("permanent redirect", 308),
        ]
        .map(|(name, status)| {
            let answer =
                format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
            Self::new(name, Fault::Wire(Wire::close_after(answer)))
        })
        .into()
    }

    /// Answers that never come to an end: the client has to give them up.
    #[must_use]
    pub fn slow() -> Vec<Self> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let drop_by_drop = |name, start: String, drop: &str| {
            let wire = Wire::silence_after(start).repeat(drop, u64::MAX, Duration::from_millis(30));
            Self::new(name, Fault::Wire(wire))
        };
        let silence = |name, start: String| Self::new(name, Fault::Wire(Wire::silence_after(start)));
        vec![
            silence("silence", String::new()),
            silence("a head and silence", format!("{head}content-length: 100\r\n\r\n")),
            silence("half a head and silence", head.to_owned()),
            silence(
                "half a body and silence",
                format!("{head}content-length: 100\r\n\r\n{{"),
            ),
            drop_by_drop("a header drop by drop", format!("{head}x: "), "x"),
            drop_by_drop("a body drop by drop", format!("{head}\r\n"), " "),
            drop_by_drop(
                "chunks drop by drop",
                format!("{head}transfer-encoding: chunked\r\n\r\n"),
                "1\r\n \r\n",
            ),
            drop_by_drop(
                "interim answers drop by drop",
                String::new(),
                "HTTP/1.1 103 Early Hints\r\n\r\n",
            ),
            drop_by_drop(
                "interim answers in crowds",
                String::new(),
                &"HTTP/1.1 100 Continue\r\n\r\n".repeat(50),
            ),
        ]
    }
}

/// 64 MiB of spaces in each of these codings (RFC 9110 §8.4.1), whatever the request accepts.
fn bombs() -> Vec<HostileAnswer> {
    let deflated = deflated_spaces();
    let gzip = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff".as_slice(), &deflated].concat();
    let zlib = [b"\x78\x9c".as_slice(), &deflated].concat();
    [
        ("a gzip bomb", "gzip", gzip),
        ("a deflate bomb", "deflate", zlib),
        ("a Brotli bomb", "br", BROTLI_BOMB.to_vec()),
        ("a Zstandard bomb", "zstd", zstd_bomb()),
    ]
    .map(|(name, coding, body)| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let answer = [head.as_bytes(), &body].concat();
        HostileAnswer::new(name, Fault::Wire(Wire::close_after(answer)))
    })
    .into()
}

/// A block of RFC 1951 §3.2.6 that never ends: a space, then "258 bytes from one byte ago" again and again. What would
/// come behind it, a checksum in gzip, nobody gets to see.
fn deflated_spaces() -> Vec<u8> {
    const TIMES: usize = (64 << 20) / 258;
    // Bits in the order of the stream: last block, fixed codes; the code of a space; then length 258 and distance 1.
    let start = "1".to_owned() + "10" + "01010000";
    let bits = start
        .chars()
        .chain("1100010100000".chars().cycle().take(13 * TIMES));
    let mut bytes = Vec::new();
    for (at, bit) in bits.enumerate() {
        if at % 8 == 0 {
            bytes.push(0);
        }
        if let (Some(byte), '1') = (bytes.last_mut(), bit) {
            *byte |= 1 << (at % 8);
        }
    }
    bytes
}

/// A frame of RFC 8878 §3.1.1 with a window of 128 KiB, and 512 blocks which each say "a space, 128 Ki times".
fn zstd_bomb() -> Vec<u8> {
    let block = |is_last: bool| [2 | u8::from(is_last), 0, 0x10, b' '];
    let mut frame = b"\x28\xb5\x2f\xfd\x00\x38".to_vec();
    frame.extend((1..=512).flat_map(|n| block(n == 512)));
    frame
}

/// What the reference encoder makes of 64 MiB of spaces.
const BROTLI_BOMB: &[u8] = &[
    0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x25, 0x40, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff, 0x7f,
    0xf0, 0x4b, 0x00, 0xc4, 0x61, 0x11, 0x80, 0xee, 0xfd, 0x1f, 0xff, 0xff, 0xff, 0xe0, 0x97, 0x00, 0x88,
    0xc3, 0x02, 0x00, 0xdd, 0xfb, 0x3f, 0xfe, 0xff, 0xff, 0xc1, 0x2f, 0x01, 0x10, 0x87, 0x05, 0x00, 0xba,
    0xf7, 0x7f, 0xfc, 0xff, 0xff, 0x83, 0x5f, 0x02, 0x20, 0x0e, 0x0b, 0x00, 0x74, 0xef, 0xff, 0xf8, 0xff,
    0xff, 0x07, 0xbf, 0x04, 0x40, 0x1c, 0x16, 0x00, 0xe8, 0xde, 0xff, 0xf1, 0xff, 0xff, 0x0f, 0x7e, 0x09,
    0x80, 0x38, 0x2c, 0x00, 0xd0, 0xbd, 0xff, 0xe3, 0xff, 0xff, 0x1f, 0xfc, 0x12, 0x00, 0x71, 0x58, 0x00,
    0xa0, 0x7b, 0xff, 0x37,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `zstd -d`, `gzip -d` and Python's `zlib` and `brotli` make 64 MiB of these; here, that they stay as they were then.
    #[test]
    fn bombs_are_small_on_the_way() {
        assert_eq!(deflated_spaces().len(), 422_682);
        assert_eq!(deflated_spaces()[..4], [0x53, 0x18, 0x05, 0xa3]);
        assert_eq!(zstd_bomb().len(), 6 + 4 * 512);
        assert_eq!(BROTLI_BOMB.len(), 106);
    }
}
