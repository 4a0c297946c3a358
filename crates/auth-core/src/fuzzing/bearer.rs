//! What callers of an API bring along: the `Authorization` header, access tokens, DPoP proofs.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::provider::{KEYS, sign};
use super::{CLIENT, ISSUER, NOW, bit, case};
use crate::bearer::{Binding, Candidate, Expected, ExpectedProof, TokenTypes, check_proof, credentials};
use crate::jose::{ALGORITHMS, Jws};

const API: &str = "https://api.example";

/// A value of `Authorization`: what is taken for a token is one `token68`, and stands there after its scheme.
pub fn authorization(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(presented) = credentials(&text) else {
        return;
    };
    if presented.check_form().is_err() {
        return;
    }
    let token = presented.token.expose();
    assert!((1..=32 * 1024).contains(&token.len()));
    assert!(
        token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)),
        "{text}"
    );
    let (scheme, rest) = text.split_once(' ').expect("a scheme and a token");
    assert!(
        ["bearer", "dpop"].contains(&scheme.to_ascii_lowercase().as_str()),
        "{text}"
    );
    assert_eq!(rest.trim_matches(' '), token);
}

/// Header and claims of an access token, which is then signed: what is accepted is what RFC 9068 §4 demands, by a second
/// reading.
pub fn access_token(data: &[u8]) {
    let (case, data) = case(data);
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let types = if bit(case, 0) {
        TokenTypes::Declared
    } else {
        TokenTypes::Usual
    };
    let token = sign(header, payload);
    let Ok(jws) = Jws::parse(&token) else {
        return;
    };
    let Ok(candidate) = Candidate::of(&jws, types) else {
        return;
    };
    let Ok(signed) = candidate.check_signature(&KEYS, &ALGORITHMS) else {
        return;
    };
    let audiences = [API.to_owned()];
    let expected = Expected {
        issuer: ISSUER,
        audiences: &audiences,
        client_id: Some(CLIENT),
        tolerance: Duration::from_secs(60),
    };
    let Ok(facts) = candidate.accept(&signed, &expected, NOW) else {
        return;
    };
    let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    let claims: Value = serde_json::from_slice(payload).expect("accepted claims are JSON");
    let typ = header
        .get("typ")
        .map(|typ| typ.as_str().expect("text").to_ascii_lowercase());
    let is_declared = typ.as_deref().is_some_and(|typ| typ.ends_with("at+jwt"));
    assert!(is_declared || !bit(case, 0), "{header}");
    assert_eq!(claims["iss"], ISSUER);
    assert!(
        claims["aud"] == API
            || claims["aud"]
                .as_array()
                .is_some_and(|aud| aud.contains(&API.into()))
    );
    let now = NOW.as_secs() as f64;
    assert!(
        claims["exp"].as_f64().is_some_and(|exp| exp + 60.0 > now),
        "{claims}"
    );
    for name in ["nbf", "iat"] {
        assert!(
            claims
                .get(name)
                .is_none_or(|at| at.as_f64().is_some_and(|at| at <= now + 60.001)),
            "{claims}"
        );
    }
    assert!(
        claims["sub"].as_str().is_some_and(|sub| !sub.is_empty()),
        "{claims}"
    );
    assert_eq!(claims.get("events"), None);
    if !is_declared {
        let says = |name: &str| claims.get(name).is_some();
        assert!(
            says("typ") || says("token_use") || !(says("nonce") || says("at_hash")),
            "{claims}"
        );
    }
    assert_eq!(facts.subject.as_deref(), claims["sub"].as_str());
    assert_eq!(Value::Object(facts.claims.as_map().clone()), claims);
    let cnf = |name: &str| claims["cnf"][name].as_str().map(str::to_owned);
    let binding = match (cnf("jkt"), cnf("x5t#S256")) {
        (Some(key), None) => Binding::Key(key),
        (None, Some(certificate)) => Binding::Certificate(certificate),
        (None, None) => Binding::Nothing,
        both => panic!("two bindings: {both:?}"),
    };
    assert_eq!(facts.binding, binding);
}

/// A DPoP proof: its claims, which are then put under a good signature; or the whole proof.
pub fn dpop_proof(data: &[u8]) {
    let url = Url::parse("https://api.example/orders").expect("a URL");
    let expected = ExpectedProof {
        method: "GET",
        url: &url,
        token: "the access token",
        tolerance: Duration::from_secs(60),
    };
    let (case, data) = case(data);
    let proof = if bit(case, 0) {
        String::from_utf8_lossy(data).into_owned()
    } else {
        let mut parts = data.splitn(2, |byte| *byte == b'\n');
        sign(parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    };
    let Ok(accepted) = check_proof(&proof, &expected, NOW) else {
        return;
    };
    let mut parts = proof.split('.').map(|part| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
        serde_json::from_slice::<Value>(&bytes.expect("base64url")).ok()
    });
    let header = parts.next().flatten().expect("an accepted header is JSON");
    let claims = parts.next().flatten().expect("accepted claims are JSON");
    assert!(
        header["typ"]
            .as_str()
            .expect("text")
            .to_ascii_lowercase()
            .ends_with("dpop+jwt")
    );
    assert!(
        header["jwk"].is_object() && header["jwk"].get("d").is_none(),
        "{header}"
    );
    assert_eq!(claims["htm"], "GET");
    let htu = Url::parse(claims["htu"].as_str().expect("text")).expect("a URL");
    assert_eq!(
        (
            htu.origin(),
            htu.path().to_ascii_lowercase().contains("orders") || htu.path().contains('%')
        ),
        (url.origin(), true)
    );
    let iat = claims["iat"].as_f64().expect("a number");
    let now = NOW.as_secs() as f64;
    assert!(iat <= now + 60.001 && iat >= now - 120.001, "{claims}");
    assert_eq!(claims["jti"], accepted.id.as_str());
    assert_eq!(accepted.thumbprint.len(), 43);
}
