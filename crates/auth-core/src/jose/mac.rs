//! Client assertions that the client's secret signs (`client_secret_jwt`, RFC 7523). Nothing that comes in is ever checked
//! so: a signature that its reader can make proves nothing to others.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// The shortest secret, in bytes (RFC 7518 §3.2).
pub(crate) const SHORTEST_SECRET: usize = 32;

/// Signs claims with HMAC and SHA-256; the key is the secret's bytes.
pub(crate) fn hs256(secret: &[u8], claims: &Map<String, Value>) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let claims = Value::Object(claims.clone()).to_string();
    let message = format!("{}.{}", encode(&header.to_string()), encode(&claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // RFC 4231 §4.2 for the MAC; RFC 7515 §7.1 for the form
    fn it_is_a_token_in_compact_serialization() {
        let claims = Map::from_iter([("iss".to_owned(), json!("joe"))]);
        let token = hs256(&[0x0b; 32], &claims);
        let parts: Vec<_> = token
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"))
            .collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], br#"{"alg":"HS256","typ":"JWT"}"#);
        assert_eq!(parts[1], br#"{"iss":"joe"}"#);
        let (message, _) = token.rsplit_once('.').expect("three parts");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[0x0b; 32]);
        assert!(hmac::verify(&key, message.as_bytes(), &parts[2]).is_ok());
    }
}
