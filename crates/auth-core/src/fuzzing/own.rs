//! What the app itself has written and gets back, and its keys and URLs.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use url::{Host, Url};

use super::browser::Head;
use super::{APP, KEYS, NOW, bit, case};
use crate::clock::Timestamp;
use crate::jose::{Jws, SigningKey, parse_key_set};
use crate::seal::{Purpose, SecretKeys};
use crate::secret::SessionId;
use crate::session::SessionData;
use crate::step_up::Ask;
use crate::store::{IndexKey, Opened, Record, SessionKey};
use crate::types::{BaseUrl, Issuer};

const PURPOSES: [Purpose; 5] = [
    Purpose::Session,
    Purpose::Attempt,
    Purpose::StepUp,
    Purpose::Carrier,
    Purpose::AppData,
];

/// Sealed values: what was not sealed here never opens, what was sealed opens to the same, and one changed bit spoils it.
pub fn seal(data: &[u8]) {
    let (case, rest) = case(data);
    let text = String::from_utf8_lossy(rest);
    let incoming = APP.incoming(&Head::default());
    assert!(APP.open_session_id(&text, &incoming).is_none());
    assert!(Ask::open(&KEYS, &text, &SessionKey::from_bytes([7; 32]), NOW).is_none());
    if let Some(id) = SessionId::parse(&text) {
        assert_eq!(id.expose(), text);
        let sealed = APP.seal_session_id(&id);
        assert_eq!(APP.open_session_id(&sealed, &incoming), Some(id));
    }

    let purpose = PURPOSES[usize::from(case) % PURPOSES.len()];
    let (context, plain) = rest.split_at(usize::from(case).min(rest.len()));
    assert!(KEYS.open(purpose, context, rest).is_err());
    // With a header that is right, all is left to the cipher.
    let sealed = KEYS.seal(purpose, context, plain);
    assert!(
        KEYS.open(purpose, context, &[&sealed[..5], rest].concat())
            .is_err()
    );
    assert_eq!(
        KEYS.open(purpose, context, &sealed).as_deref().map(Vec::as_slice),
        Ok(plain)
    );

    let mut changed = sealed.clone();
    let at = plain.len() * 31 % changed.len();
    changed[at] ^= 1 << (case % 8);
    assert!(KEYS.open(purpose, context, &changed).is_err());
    assert!(KEYS.open(purpose, context, &sealed[..at]).is_err());
    assert!(KEYS.open(purpose, &[context, b"x"].concat(), &sealed).is_err());
    let other = PURPOSES[(usize::from(case) + 1) % PURPOSES.len()];
    assert!(KEYS.open(other, context, &sealed).is_err());
}

/// What a store gives back: the sealed body of a session, however odd its content, and a value of the Redis store.
pub fn record(data: &[u8]) {
    let key = SessionKey::from_bytes([7; 32]);
    let record = |sealed: Vec<u8>| Record {
        version: 1,
        subject: IndexKey::from_bytes([1; 32]),
        sid: None,
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW,
        lease: None,
        sealed: Arc::from(sealed),
        opened: Opened::default(),
    };
    assert!(SessionData::open(&KEYS, &key, &record(data.to_vec())).is_none());
    let sealed = KEYS.seal(Purpose::Session, key.as_bytes(), data);
    if let Some(session) = SessionData::open(&KEYS, &key, &record(sealed)) {
        assert!(session.last_end() <= session.ends_at);
        for now in [
            Timestamp::from_millis(i64::MIN),
            NOW,
            Timestamp::from_millis(i64::MAX),
        ] {
            let _ = session.freshness(now);
        }
        let again = record(session.seal(&KEYS, &key).to_vec());
        let again = SessionData::open(&KEYS, &key, &again).expect("what was sealed opens");
        assert_eq!(shown(&session), shown(&again));
    }
    #[cfg(feature = "redis")]
    redis_value(data);
}

/// A session without fractions, whose last digit JSON does not always keep.
fn shown(session: &SessionData) -> Value {
    fn without_fractions(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => *value = Value::Null,
            Value::Array(several) => several.iter_mut().for_each(without_fractions),
            Value::Object(members) => members.values_mut().for_each(without_fractions),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(session).expect("a session is an object");
    without_fractions(&mut value);
    value
}

#[cfg(feature = "redis")]
fn redis_value(data: &[u8]) {
    use crate::store::redis::{decode, encode};

    let Ok(record) = decode(data) else {
        return;
    };
    let again = encode(&record, record.version, NOW);
    let again = decode(&again).expect("what was written is read");
    assert_eq!(again.sealed, record.sealed);
    assert_eq!(
        (again.version, again.subject, again.sid),
        (record.version, record.subject, record.sid)
    );
    assert_eq!(again.created_at, record.created_at);
    assert_eq!(again.last_seen_at, record.last_seen_at);
    assert_eq!(again.expires_at, record.expires_at);
    assert!(again.lease.is_none());
}

/// A private key, as PEM text or as what stands inside of it: one that is taken signs what its public half verifies.
pub fn signing_key(data: &[u8]) {
    let (case, rest) = case(data);
    let text = if bit(case, 0) {
        let body = STANDARD.encode(rest);
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    } else {
        String::from_utf8_lossy(rest).into_owned()
    };
    let key = match SigningKey::from_pem(&text) {
        Ok(key) => key,
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.len() < 120 && shown.is_ascii(), "{shown}");
            return;
        }
    };
    assert!(format!("{key:?}").len() < 30);
    let set = json!({"keys": [key.public_jwk()]}).to_string();
    let keys = parse_key_set(set.as_bytes()).expect("a key set");
    assert_eq!(keys.keys().len(), 1, "our own key is one that we would take");
    for algorithm in key.algorithms() {
        let token = key
            .sign(*algorithm, Map::new(), &json!({"sub": "me"}))
            .expect("a token");
        let jws = Jws::parse(&token).expect("a JWS");
        assert!(jws.verify(&keys, &[*algorithm]).is_ok());
    }
}

/// `AUTH_SECRET`: keys of 256 bits or more in hexadecimal digits, and an error that shows none of it.
pub fn secret_keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let is_key = |key: &str| {
        let key = key.trim();
        key.len() >= 64 && key.len().is_multiple_of(2) && key.bytes().all(|b| b.is_ascii_hexdigit())
    };
    match SecretKeys::from_hex(&text) {
        Ok(keys) => {
            assert!(text.split(',').all(is_key), "{text}");
            let sealed = keys.seal(Purpose::Attempt, b"", data);
            assert!(keys.open(Purpose::Attempt, b"", &sealed).is_ok());
            // The first one seals.
            let first = text.split(',').next().unwrap_or_default();
            let first = SecretKeys::from_hex(first).expect("a key");
            assert!(first.open(Purpose::Attempt, b"", &sealed).is_ok());
            assert!(format!("{keys:?}").len() < 40);
        }
        Err(error) => {
            assert!(!text.split(',').all(is_key), "{text}");
            let shown = error.to_string();
            let known = ["", &"x".repeat(64)].map(|bad| SecretKeys::from_hex(bad).map_err(|e| e.to_string()));
            assert!(
                known
                    .iter()
                    .any(|known| known.as_ref().is_err_and(|known| *known == shown)),
                "{shown}"
            );
        }
    }
}

/// The issuer and the app's own origin.
pub fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(issuer) = Issuer::new(&*text) {
        assert_eq!(issuer.as_str(), text);
        let url = Url::parse(&text).expect("an issuer is a URL");
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        assert!(
            url.scheme() == "https" || (url.scheme() == "http" && is_loopback),
            "{url}"
        );
        assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        assert!(!text.contains(|c: char| c.is_whitespace() || c.is_control()));
    }
    if let Ok(base) = BaseUrl::new(&text) {
        let origin = Url::parse(base.origin()).expect("an origin is a URL");
        assert_eq!(origin.origin().ascii_serialization(), base.origin());
        assert_eq!(origin.scheme() == "https", base.is_https());
        let callback = Url::parse(&base.join("/auth/callback")).expect("a URL");
        assert_eq!(
            (callback.origin(), callback.path()),
            (origin.origin(), "/auth/callback")
        );
        let again = BaseUrl::new(base.origin()).expect("an origin");
        assert_eq!(again.origin(), base.origin());
    }
    // The session identifier, which is not sealed, in the same text form as `state` and `nonce`.
    if let Some(id) = SessionId::parse(&text) {
        assert_eq!(URL_SAFE_NO_PAD.decode(&*text).map(|bytes| bytes.len()), Ok(32));
        assert_eq!(id.expose(), text);
    }
}
