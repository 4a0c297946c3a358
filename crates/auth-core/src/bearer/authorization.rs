//! The `Authorization` header of a request for a protected resource (RFC 6750 §2.1, RFC 9449 §7.1).
//!
//! Tokens in a form or a query (RFC 6750 §2.2, §2.3) are not looked at: they end in logs.

use std::fmt;

use super::certificate::PeerCertificate;
use super::error::{BearerError, InvalidRequest};
use crate::dpop::Scheme;
use crate::request::RequestHead;
use crate::secret::AccessToken;

/// Longer credentials are refused unread. Providers that list groups come to some 10 KiB.
pub(crate) const MAX_TOKEN: usize = 32 * 1024;
/// A longer proof is refused unread. One with an RSA key of 8192 bits is half of that.
pub(crate) const MAX_PROOF: usize = 8 * 1024;

/// A token as it was presented: nothing about it is known yet, not even its [form](Self::check_form).
#[derive(Clone)]
pub(crate) struct Presented {
    pub(crate) scheme: Scheme,
    pub(crate) token: AccessToken,
}

impl Presented {
    /// Whether the token has a token's form. To be asked before anything is done with it but to compare it with others: one
    /// that is equal to a good one has its form.
    pub(crate) fn check_form(&self) -> Result<(), BearerError> {
        if is_token68(self.token.expose()) {
            Ok(())
        } else {
            Err(InvalidRequest::Malformed.into())
        }
    }
}

/// What a request says that bears on its token: an owned copy, so that the token can be checked when somebody asks for it.
///
/// `Debug` shows none of it.
#[derive(Clone)]
pub struct BearerRequest {
    pub(crate) presented: Result<Presented, BearerError>,
    /// For requests with the scheme `DPoP`.
    pub(crate) proof: Option<Box<ProofRequest>>,
    /// The certificate of the connection, where it is known.
    pub(crate) certificate: Option<PeerCertificate>,
}

/// What a DPoP proof is compared with.
#[derive(Clone)]
pub(crate) struct ProofRequest {
    pub(crate) method: String,
    /// The path as it came.
    pub(crate) path: String,
    /// The values of the header `DPoP`.
    pub(crate) proofs: Vec<String>,
}

impl fmt::Debug for BearerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerRequest")
            .field("has_token", &self.presented.is_ok())
            .finish_non_exhaustive()
    }
}

impl BearerRequest {
    /// Copies what matters. A request without a token costs nothing.
    #[must_use]
    pub fn of(head: &impl RequestHead) -> Self {
        let presented = presented(head);
        let is_dpop = (presented.as_ref()).is_ok_and(|presented| presented.scheme == Scheme::Dpop);
        let proof = is_dpop.then(|| {
            let mut proofs = Vec::new();
            head.header_values("dpop", &mut |value| {
                // One is allowed; a second one is enough to know that there are too many.
                if proofs.len() < 2 {
                    proofs.push(value.get(..=MAX_PROOF).unwrap_or(value).to_owned());
                }
            });
            Box::new(ProofRequest {
                method: head.method().to_owned(),
                path: head.path().to_owned(),
                proofs,
            })
        });
        Self {
            certificate: presented.as_ref().ok().and_then(|_| head.peer_certificate()),
            presented,
            proof,
        }
    }

    /// Whether the request brings no credentials of a kind that this library reads.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.presented, Err(BearerError::NoToken))
    }
}

fn presented(head: &impl RequestHead) -> Result<Presented, BearerError> {
    let mut count = 0;
    let mut read = Err(BearerError::NoToken);
    head.header_values("authorization", &mut |value| {
        count += 1;
        if count == 1 {
            read = credentials(value);
        }
    });
    if count > 1 {
        return Err(InvalidRequest::SeveralCredentials.into());
    }
    read
}

/// `Bearer` or `DPoP`, in any case (RFC 9110 §11.1), one space or more, and what has to be a `token68`.
///
/// Another scheme is no attempt to use a token: the answer is the bare challenge (RFC 6750 §3.1).
pub(crate) fn credentials(value: &str) -> Result<Presented, BearerError> {
    let (name, rest) = value.split_once(' ').unwrap_or((value, ""));
    let scheme = [Scheme::Bearer, Scheme::Dpop]
        .into_iter()
        .find(|scheme| scheme.is(name))
        .ok_or(BearerError::NoToken)?;
    let token = rest.trim_start_matches(' ').trim_end_matches(' ');
    if token.len() > MAX_TOKEN {
        return Err(InvalidRequest::TooLong.into());
    }
    Ok(Presented {
        scheme,
        token: AccessToken::new(token),
    })
}

/// RFC 9110 §11.2, RFC 6750 §2.1 (`b64token`).
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    // To the end, whatever is found on the way: so the compiler takes many bytes at once, of the thousand in each request.
    !body.is_empty()
        && body
            .bytes()
            .fold(true, |is_good, byte| is_good & is_in_token68(byte))
}

/// Letters, digits and `-._~+/`, without a branch.
fn is_in_token68(byte: u8) -> bool {
    // From `-` to `9` there are `-`, `.`, `/` and the digits.
    byte.is_ascii_alphabetic()
        | (byte.wrapping_sub(b'-') <= b'9' - b'-')
        | (byte == b'+')
        | (byte == b'_')
        | (byte == b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Head(Vec<(&'static str, &'static str)>);

    impl RequestHead for Head {
        fn method(&self) -> &'static str {
            "GET"
        }
        fn path(&self) -> &'static str {
            "/api"
        }
        fn query(&self) -> Option<&str> {
            Some("access_token=in-the-query")
        }
        fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
            for (held, value) in &self.0 {
                if *held == name {
                    each(value);
                }
            }
        }
    }

    fn read(headers: &[(&'static str, &'static str)]) -> Result<(Scheme, String), BearerError> {
        let presented = BearerRequest::of(&Head(headers.to_vec())).presented?;
        presented.check_form()?;
        Ok((presented.scheme, presented.token.expose().to_owned()))
    }

    #[test] // RFC 6750 §2.1
    fn a_token_is_read_from_the_header_by_either_scheme_in_any_case() {
        for (value, scheme) in [
            ("Bearer mF_9.B5f-4.1JqM", Scheme::Bearer),
            ("bearer mF_9.B5f-4.1JqM", Scheme::Bearer),
            ("BEARER   mF_9.B5f-4.1JqM ", Scheme::Bearer),
            ("DPoP mF_9.B5f-4.1JqM", Scheme::Dpop),
            ("dpop mF_9.B5f-4.1JqM", Scheme::Dpop),
        ] {
            assert_eq!(
                read(&[("authorization", value)]).ok(),
                Some((scheme, "mF_9.B5f-4.1JqM".to_owned())),
                "{value}"
            );
        }
        let padded = read(&[("authorization", "Bearer YWJj+/~==")]).expect("a token68");
        assert_eq!(padded.1, "YWJj+/~==");
    }

    #[test] // RFC 9110 §11.2
    fn a_token68_is_of_these_characters_and_no_others() {
        for byte in 0..=u8::MAX {
            let listed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_in_token68(byte), listed, "{byte:#x}");
        }
        for at in [0, 1, 40, 99] {
            let mut text = "a".repeat(100);
            assert!(is_token68(&text));
            text.replace_range(at..=at, ",");
            assert!(!is_token68(&text), "at {at}");
        }
    }

    #[test] // RFC 6750 §2.2, §2.3, §3
    fn without_the_header_there_is_no_token_whatever_the_query_says() {
        assert!(matches!(read(&[]), Err(BearerError::NoToken)));
        for other in [
            "Basic dXNlcjpwYXNz",
            "Digest a=b",
            "Bearerx",
            "Bearertoken x",
            "",
            "token",
        ] {
            assert!(
                matches!(read(&[("authorization", other)]), Err(BearerError::NoToken)),
                "{other}"
            );
        }
    }

    #[test] // RFC 6750 §3.1
    fn malformed_and_doubled_credentials_are_a_bad_request() {
        for bad in [
            "Bearer",
            "Bearer ",
            "bearer =",
            "Bearer a b",
            "Bearer a,Bearer b",
            "Bearer a, b",
            "Bearer \"a\"",
            "Bearer a=b",
            "Bearer \u{fffd}",
            "Bearer a\tb",
            "DPoP",
        ] {
            assert!(
                matches!(
                    read(&[("authorization", bad)]),
                    Err(BearerError::InvalidRequest(InvalidRequest::Malformed))
                ),
                "{bad}"
            );
        }
        for (first, second) in [
            ("Bearer a", "Bearer a"),
            ("Bearer a", "Basic b"),
            ("Basic b", "Bearer a"),
        ] {
            assert!(matches!(
                read(&[("authorization", first), ("authorization", second)]),
                Err(BearerError::InvalidRequest(InvalidRequest::SeveralCredentials))
            ));
        }
    }

    #[test]
    fn credentials_have_a_greatest_length() {
        let longest = format!("Bearer {}", "a".repeat(MAX_TOKEN));
        assert!(credentials(&longest).is_ok_and(|presented| presented.check_form().is_ok()));
        assert!(matches!(
            credentials(&format!("{longest}a")),
            Err(BearerError::InvalidRequest(InvalidRequest::TooLong))
        ));
    }

    #[test]
    fn debug_shows_no_token() {
        let request = BearerRequest::of(&Head(vec![
            ("authorization", "DPoP s3cret-token"),
            ("dpop", "s3cret-proof"),
        ]));
        assert_eq!(request.proof.as_ref().map(|proof| proof.proofs.len()), Some(1));
        assert!(!format!("{request:?}").contains("s3cret"));
    }
}
