//! What a provider, or somebody in its place, answers.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::{CLIENT, ISSUER, NOW, bit, case};
use crate::config::EndpointOverrides;
use crate::http::Answer;
use crate::jarm;
use crate::jose::{
    self, ALGORITHMS, Algorithm, DecryptionKey, DecryptionKeys, Jws, KeySet, SigningKey, parse_key_set,
};
use crate::metadata::{self, Metadata};
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::token::{TokenResponse, read_introspection};
use crate::types::{Issuer, Scopes};
use crate::{id_token as validation, logout_token as logout, userinfo as answer};

/// The private half of the first of [`KEYS`]: RFC 8037, appendix A.1. Its signatures are the same every time.
static SIGNER: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pem(include_str!("ed25519.pem")).expect("a private key"));

/// One key of each kind.
pub(super) static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| parse_key_set(include_bytes!("keys.json")).expect("a key set"));

/// Tokens that were signed with the private halves, which nobody has any more.
static SIGNED: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("signed.txt").lines().collect());

pub(super) fn sign(header: &[u8], payload: &[u8]) -> String {
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = SIGNER.signature(Algorithm::EdDSA, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.expect("Ed25519 signs anything"), &mut token);
    token
}

/// Whether the owner of the keys made this token, to the byte.
fn is_signed_by_us(token: &str) -> bool {
    if SIGNED.contains(&token) {
        return true;
    }
    let Some((input, signature)) = token.rsplit_once('.') else {
        return false;
    };
    let own = SIGNER.signature(Algorithm::EdDSA, input.as_bytes());
    own.is_ok_and(|own| URL_SAFE_NO_PAD.encode(own) == signature)
}

/// Any text as a signed token: nothing that the keys' owner did not sign is ever accepted, as a JWS or as an ID token.
pub fn jws(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(jws) = Jws::parse(&text) {
        assert_eq!(text.split('.').count(), 3);
        let verified = jws.verify(&KEYS, &ALGORITHMS);
        assert_eq!(verified.is_ok(), is_signed_by_us(&text), "{text}");
        assert!(jws.verify(&KEYS, &[]).is_err());
    }
    let as_id_token = validation::verify(&text, &KEYS, &expected(0), NOW);
    assert!(as_id_token.is_err() || is_signed_by_us(&text), "{text}");
}

/// An encrypted token is decrypted exactly if it is one that was encrypted for us, to the byte.
pub fn jwe(data: &[u8]) {
    static KEYS_AND_TOKENS: LazyLock<(DecryptionKeys, Vec<String>)> = LazyLock::new(encrypted);
    let (keys, tokens) = &*KEYS_AND_TOKENS;
    let text = String::from_utf8_lossy(data);
    let decrypted = keys.decrypt(&text);
    assert_eq!(
        decrypted.is_ok(),
        tokens.iter().any(|token| *token == text),
        "{text}"
    );
    assert!(decrypted.is_err() || jose::is_encrypted(&text));
}

/// Keys, and all tokens that were encrypted for them.
fn encrypted() -> (DecryptionKeys, Vec<String>) {
    let vectors: Value = serde_json::from_str(include_str!("../jose/jwe/vectors.json")).expect("JSON");
    let keys = ["rsa", "ec"].map(|name| vectors["keys"][name].as_str().expect("a key"));
    let keys = DecryptionKey::all_from_pem(&keys.join("\n")).expect("keys");
    let keys = DecryptionKeys::new(keys.into_iter().map(Arc::new).collect()).expect("a key");
    let tokens = vectors["tokens"].as_array().expect("an array").iter();
    let tokens = tokens.map(|one| one["token"].as_str().expect("text").to_owned());
    (keys, tokens.collect())
}

fn expected(case: u8) -> validation::Expected<'static> {
    validation::Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        nonce: (!bit(case, 0)).then_some("the nonce"),
        access_token: bit(case, 1).then_some("the access token"),
        algorithms: if bit(case, 2) {
            &[Algorithm::EdDSA]
        } else {
            &ALGORITHMS
        },
        tolerance: Duration::from_secs(60),
        max_age: bit(case, 3).then_some(Duration::from_secs(300)),
    }
}

/// An ID token with any header and any claims, signed by its provider. The input is a case, the header, a line feed and the
/// claims.
pub fn id_token(data: &[u8]) {
    let (case, text) = case(data);
    let mut parts = text.splitn(2, |byte| *byte == b'\n');
    let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let token = sign(header, payload);
    let expected = expected(case);
    let Ok(accepted) = validation::verify(&token, &KEYS, &expected, NOW) else {
        return;
    };

    let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    assert!(
        matches!(header["alg"].as_str(), Some("EdDSA" | "Ed25519")),
        "{header}"
    );
    for name in ["crit", "b64", "zip"] {
        assert_eq!(header.get(name), None, "{header}");
    }
    let is_jwt = |typ: &str| typ.eq_ignore_ascii_case("jwt");
    assert!(
        header
            .get("typ")
            .is_none_or(|typ| typ.as_str().is_some_and(is_jwt))
    );

    let claims: Value = serde_json::from_slice(payload).expect("accepted claims are JSON");
    assert_eq!(claims.as_object(), Some(accepted.all()));
    assert_eq!(claims["iss"], ISSUER);
    let audience = match &claims["aud"] {
        Value::Array(several) => several.clone(),
        one => vec![one.clone()],
    };
    assert!(audience.contains(&CLIENT.into()), "{claims}");
    assert!(
        audience.iter().all(|one| one == CLIENT) || claims["azp"] == CLIENT,
        "{claims}"
    );
    assert!(claims.get("azp").is_none_or(|azp| azp == CLIENT), "{claims}");
    let now = NOW.as_secs() as f64;
    let seconds = |name: &str| claims[name].as_f64();
    assert!(seconds("exp").is_some_and(|exp| exp + 60.0 > now), "{claims}");
    // A millisecond: instants are kept in whole ones.
    let iat = seconds("iat").expect("a number");
    assert!(iat <= now + 60.001 && iat >= now - 3600.0, "{claims}");
    assert!(
        claims
            .get("nbf")
            .is_none_or(|nbf| nbf.as_f64().is_some_and(|nbf| nbf <= now + 60.001))
    );
    if let Some(nonce) = expected.nonce {
        assert_eq!(claims["nonce"], nonce);
    }
    if expected.max_age.is_some() {
        assert!(
            seconds("auth_time").is_some_and(|at| at >= now - 300.0),
            "{claims}"
        );
    }
    if let (Some(hash), Some(token)) = (claims.get("at_hash"), expected.access_token) {
        assert_eq!(hash, &Algorithm::EdDSA.left_half_hash(token));
    }
    let subject = claims["sub"].as_str().expect("a string");
    assert!(!subject.is_empty() && subject.chars().count() <= 255 && !subject.contains(char::is_control));
    assert_eq!(accepted.subject(), subject);
    assert_eq!(
        format!("{accepted:?}").contains("the nonce"),
        subject.contains("the nonce")
    );

    // The same token with one bit of it changed is none.
    let mut altered = token.clone().into_bytes();
    let at = payload.len() * 31 % altered.len();
    altered[at] ^= 1;
    if let Ok(altered) = String::from_utf8(altered) {
        assert!(
            validation::verify(&altered, &KEYS, &expected, NOW).is_err(),
            "{altered}"
        );
    }
}

/// A logout token with any header and any claims, signed by its provider, as in [`id_token`].
pub fn logout_token(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let token = sign(header, payload);
    as_response(&token, payload);
    let expected = logout::Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        algorithms: &ALGORITHMS,
        tolerance: Duration::from_secs(60),
    };
    let Ok(accepted) = logout::verify(&token, &KEYS, &expected, NOW) else {
        return;
    };
    let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    let typ = header.get("typ").map(|typ| typ.as_str().unwrap_or_default());
    assert!(typ.is_none_or(|typ| ["jwt", "logout+jwt"].contains(&typ.to_ascii_lowercase().as_str())));
    let claims: Value = serde_json::from_slice(payload).expect("accepted claims are JSON");
    assert_eq!(claims["iss"], ISSUER);
    assert!(
        claims["aud"] == CLIENT
            || claims["aud"]
                .as_array()
                .is_some_and(|aud| aud.contains(&CLIENT.into()))
    );
    let now = NOW.as_secs() as f64;
    let iat = claims["iat"].as_f64().expect("a number");
    assert!(iat <= now + 60.001 && iat >= now - 600.0, "{claims}");
    assert!(
        claims["exp"].as_f64().is_some_and(|exp| exp + 60.0 > now),
        "{claims}"
    );
    assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
    assert_eq!(claims.get("nonce"), None);
    assert_eq!(claims["jti"], accepted.id.as_str());
    assert!(!accepted.id.is_empty());
    assert_eq!(
        claims.get("sub").and_then(Value::as_str),
        accepted.subject.as_deref()
    );
    assert_eq!(claims.get("sid").and_then(Value::as_str), accepted.sid.as_deref());
    assert!(accepted.subject.is_some() || accepted.sid.is_some());
    // It never passes for an ID token.
    assert!(validation::verify(&token, &KEYS, &self::expected(0), NOW).is_err());
}

/// The same token as a signed authorization response (JARM): what passes is this issuer's, for this client, in time, and its
/// `state` is the one that the attempt was looked for by.
fn as_response(token: &str, payload: &[u8]) {
    let state = jarm::unverified_state(token);
    let expected = jarm::Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        algorithms: &ALGORITHMS,
        tolerance: Duration::from_secs(60),
    };
    let Ok(parameters) = jarm::verify(token, &KEYS, &expected, NOW) else {
        return;
    };
    let claims: Value = serde_json::from_slice(payload).expect("accepted claims are JSON");
    assert_eq!(parameters.get("iss"), Some(ISSUER));
    let exp = claims["exp"].as_f64().expect("a number");
    assert!(exp + 60.0 > NOW.as_secs() as f64, "{claims}");
    let audience = claims["aud"].as_array();
    assert!(claims["aud"] == CLIENT || audience.is_some_and(|aud| aud.contains(&CLIENT.into())));
    assert_eq!(state.as_deref(), claims["state"].as_str());
}

/// A key set: what comes out is strong enough, an odd key does not spoil the others, and no key verifies nonsense.
pub fn key_set(data: &[u8]) {
    let parsed = parse_key_set(data);
    // Read twice, so that a member which is named twice is gone.
    if let Ok(document) = serde_json::from_slice::<Value>(data) {
        let plain = parse_key_set(document.to_string().as_bytes());
        assert_eq!(
            plain.is_ok(),
            document.get("keys").is_some_and(Value::is_array),
            "{document}"
        );
    }
    let Ok(keys) = parsed else {
        return;
    };
    for key in keys.keys().iter().take(20) {
        let shown = serde_json::to_value(key).expect("a key is an object");
        check_strength(&shown);
        let debug = format!("{key:?}");
        for number in ["n", "x", "y"] {
            let number = shown[number].as_str().filter(|number| number.len() > 20);
            let is_shown = number.is_some_and(|number| debug.contains(number));
            // The provider may have written the number into the key's name as well.
            assert!(
                !is_shown || shown["kid"].as_str().is_some_and(|kid| kid.len() > 20),
                "{debug}"
            );
        }
    }
    let again = serde_json::to_vec(&keys).expect("a key set is an object");
    assert_eq!(
        parse_key_set(&again).map(|again| again.keys().len()),
        Ok(keys.keys().len())
    );

    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ] {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
        for signature in [vec![0; 64], vec![1; 256], data.to_vec()] {
            let token = format!("{header}.e30.{}", URL_SAFE_NO_PAD.encode(signature));
            let accepted = Jws::parse(&token).is_ok_and(|jws| jws.verify(&keys, &ALGORITHMS).is_ok());
            assert!(!accepted, "{token}");
        }
    }
}

fn check_strength(key: &Value) {
    let number = |name: &str| {
        let text = key[name].as_str().expect("a number");
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let mut bytes = bytes.expect("a number is base64url");
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.drain(..zeros);
        bytes
    };
    let width = |name: &str| {
        let text = key[name].as_str().expect("a coordinate");
        URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map(|bytes| bytes.len())
    };
    match (key["kty"].as_str(), key["crv"].as_str()) {
        (Some("RSA"), _) => {
            let (n, e) = (number("n"), number("e"));
            let bits = n.len() * 8 - n[0].leading_zeros() as usize;
            assert!((2048..=8192).contains(&bits), "{bits} bits");
            assert!(e.len() > 1 || e[0] >= 3, "the exponent is {e:?}");
        }
        (Some("EC"), Some("P-256")) => assert_eq!((width("x"), width("y")), (Ok(32), Ok(32))),
        (Some("EC"), Some("P-384")) => assert_eq!((width("x"), width("y")), (Ok(48), Ok(48))),
        (Some("EC"), Some("P-521")) => assert_eq!((width("x"), width("y")), (Ok(66), Ok(66))),
        (Some("OKP"), Some("Ed25519")) => assert_eq!(width("x"), Ok(32)),
        other => panic!("a key of type {other:?}"),
    }
}

/// A discovery document: whoever is accepted is the issuer that was asked, and its endpoints can be trusted with a secret.
pub fn discovery(data: &[u8]) {
    let (case, body) = case(data);
    let configured = if bit(case, 0) {
        "http://127.0.0.1:9000"
    } else {
        ISSUER
    };
    let issuer = Issuer::new(configured).expect("an issuer");
    let Ok(accepted) = metadata::accept(body, &issuer, EndpointOverrides::default()) else {
        return;
    };
    let document: Value = serde_json::from_slice(body).expect("an accepted document is JSON");
    assert_eq!(document["issuer"], configured);
    assert_eq!(accepted.issuer, issuer);
    let Metadata {
        authorization_endpoint,
        token_endpoint,
        userinfo_endpoint,
        revocation_endpoint,
        introspection_endpoint,
        end_session_endpoint,
        jwks_uri,
        ..
    } = &accepted;
    assert!(jwks_uri.is_some());
    let optional = [
        userinfo_endpoint,
        revocation_endpoint,
        introspection_endpoint,
        end_session_endpoint,
        jwks_uri,
    ];
    for url in optional
        .into_iter()
        .flatten()
        .chain([authorization_endpoint, token_endpoint])
    {
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => panic!("an endpoint without a host"),
        };
        assert!(
            url.scheme() == "https" || (bit(case, 0) && url.scheme() == "http" && is_loopback),
            "{url}"
        );
        assert!(url.fragment().is_none(), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(url));
    }
    if let Some(methods) = document
        .get("code_challenge_methods_supported")
        .filter(|m| !m.is_null() && *m != "")
    {
        let methods = methods.as_array().expect("a list");
        assert!(methods.contains(&"S256".into()), "{document}");
    }
}

/// An answer of the token endpoint: whatever is taken from it can be used, and `Debug` shows none of it. The same bytes are
/// read as an introspection response.
pub fn token_response(data: &[u8]) {
    let (case, body) = case(data);
    let status = [200, 201, 302, 400, 401, 404, 500, 503][usize::from(case % 8)];
    let answer = Answer {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body),
    };
    if let Ok(Some(members)) = read_introspection(&answer) {
        assert!(status < 300 && members["active"] == true);
    }
    let response = match TokenResponse::read(&answer, NOW) {
        Ok(response) => response,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 100 && text.is_ascii(), "{text}");
            return;
        }
    };
    assert!(status < 300);
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).unwrap_or_default();
    assert!(
        members.get("error").is_none_or(|error| error.get() == "null"),
        "{members:?}"
    );
    assert!(response.access_token.is_some() || response.refresh_token.is_some());
    if let Some(token) = &response.access_token {
        let token = token.expose();
        assert!(!token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()));
        assert!(HeaderValue::try_from(format!("Bearer {token}")).is_ok());
    }
    assert!(
        response
            .refresh_token
            .as_ref()
            .is_none_or(|token| !token.expose().is_empty())
    );
    assert!(
        response
            .id_token
            .as_ref()
            .is_none_or(|token| !token.expose().is_empty())
    );
    if let Some(usable) = response.usable_access_token(crate::dpop::Scheme::Bearer) {
        assert_eq!(Some(usable), response.access_token.as_ref());
        let kind = response.token_type.as_deref().unwrap_or("bearer");
        assert!(kind.eq_ignore_ascii_case("bearer"), "{kind}");
    }
    let ten_years = Duration::from_secs(10 * 366 * 24 * 3600);
    for (length, end) in [
        (response.expires_in, response.expires_at()),
        (response.refresh_expires_in, response.refresh_expires_at()),
    ] {
        assert!(length.is_none_or(|length| length <= ten_years));
        assert_eq!(end.map(|end| end.since(NOW)), length);
        assert!(end.is_none_or(|end| end >= NOW));
    }
    for name in ["access_token", "refresh_token", "id_token"] {
        assert!(!response.extra.contains_key(name));
    }
    let other = TokenResponse {
        access_token: response.access_token.as_ref().map(|_| AccessToken::new("other")),
        refresh_token: response
            .refresh_token
            .as_ref()
            .map(|_| RefreshToken::new("other")),
        id_token: response.id_token.as_ref().map(|_| IdToken::new("other")),
        token_type: None,
        scope: Some(Scopes::parse("other")),
        extra: Map::new(),
        ..response.clone()
    };
    assert_eq!(
        format!("{response:?}"),
        format!("{other:?}"),
        "Debug shows no text of the provider"
    );
}

/// A userinfo answer, plain or signed: it is about the user who signs in, and cannot say who that is.
pub fn userinfo(data: &[u8]) {
    let (case, body) = case(data);
    let signed = sign(br#"{"alg":"EdDSA"}"#, body);
    let (is_signed, is_jwt) = (bit(case, 0), bit(case, 1));
    let sent = if is_signed { signed.as_bytes() } else { body };
    let status = if bit(case, 2) {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::OK
    };
    let received = answer::Answer {
        status,
        content_type: is_jwt
            .then_some("Application/JWT; a=b")
            .or(Some("application/json")),
        body: sent,
    };
    let expected = answer::Expected {
        subject: "ada",
        issuer: ISSUER,
        client_id: CLIENT,
        keys: &KEYS,
        algorithms: &ALGORITHMS,
        now: NOW,
        tolerance: Duration::from_secs(60),
    };
    let claims = match answer::parse(&received, &expected) {
        Ok(claims) => claims,
        Err(error) => {
            let is_about_somebody_else = matches!(
                error,
                answer::UserinfoError::SubjectMismatch | answer::UserinfoError::SignatureInvalid(_)
            );
            assert!(!is_about_somebody_else || error.fails_sign_in());
            return;
        }
    };
    assert_eq!(status, StatusCode::OK);
    assert_eq!(claims["sub"], "ada");
    if is_jwt {
        let token = std::str::from_utf8(sent)
            .expect("an accepted token is text")
            .trim_ascii();
        assert!(is_signed_by_us(token));
        assert!(claims.get("iss").is_none_or(|iss| iss == ISSUER));
    } else {
        assert!(!is_signed);
    }
    let id_token: Value = serde_json::json!({"iss": ISSUER, "sub": "ada", "email": "ada@id.example"});
    let before = id_token.as_object().cloned().unwrap_or_default();
    let mut merged = before.clone();
    answer::merge(&mut merged, claims.clone());
    for (name, value) in &merged {
        assert!(before.get(name).or(claims.get(name)) == Some(value), "{name}");
        let is_reserved = ["iss", "sub", "aud", "exp", "iat", "nonce", "roles"].contains(&name.as_str());
        assert!(!is_reserved || before.contains_key(name), "{name}");
    }
    assert!(before.iter().all(|(name, value)| merged.get(name) == Some(value)));
}

/// `Retry-After` and `Content-Type` of an answer. The input is both, a line each.
pub fn answer_headers(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [header::RETRY_AFTER, header::CONTENT_TYPE] {
        if let Ok(value) = HeaderValue::from_bytes(lines.next().unwrap_or_default()) {
            headers.insert(name, value);
        }
    }
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let answer = Answer {
        status: StatusCode::SERVICE_UNAVAILABLE,
        headers: headers.clone(),
        body: Bytes::new(),
    };
    let wait = answer.retry_after();
    assert!(wait.is_none_or(|wait| (1..=3600).contains(&wait.as_secs())));
    let digits = text(header::RETRY_AFTER).map(str::trim).unwrap_or_default();
    if (1..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        assert!(wait.is_some(), "{digits}");
    }
    if let Some(media) = answer.media_type() {
        assert_eq!(media, media.trim().to_ascii_lowercase());
        assert!(!media.contains(';'));
    }
}
