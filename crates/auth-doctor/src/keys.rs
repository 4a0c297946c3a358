//! The provider's key set (RFC 7517), as far as a person should know of it. Which keys verify a token is the library's matter.

use auth_core::jose::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::catalogue as c;
use crate::finding::Findings;
use crate::http::{Http, NoAnswer, shown, words};
use crate::provider::{Document, id_token_algorithms};
use crate::settings::Settings;

/// RSA moduli of fewer bits are too weak (RFC 7518 §3.3).
const RSA_BITS: usize = 2048;

pub(crate) async fn examine(settings: &Settings, document: &Document, http: &Http, findings: &mut Findings) {
    let Some(address) = document.url("jwks_uri") else {
        return;
    };
    let asked = shown(&address);
    let answer = match http.get(&address, "application/json").await {
        Ok(answer) if (200..300).contains(&answer.status) => answer,
        Ok(answer) => {
            findings.say(
                &c::KEYS_UNREACHABLE,
                format!("{asked}: status {}.", answer.status),
            );
            return;
        }
        Err(NoAnswer::Tls(check, reason)) => {
            findings.say(check, format!("{asked} (jwks_uri): {reason}."));
            return;
        }
        Err(reason) => {
            findings.say(&c::KEYS_UNREACHABLE, format!("{asked}: {}.", reason.in_words()));
            return;
        }
    };
    let set: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match set["keys"].as_array() {
        Some(keys) => judge(keys, &id_token_algorithms(settings, document), findings),
        None => findings.say(&c::KEYS_MALFORMED, format!("{asked} was asked for.")),
    }
}

fn judge(keys: &[Value], algorithms: &[Algorithm], findings: &mut Findings) {
    if keys.is_empty() {
        findings.add(&c::KEYS_EMPTY);
        return;
    }
    let name = |key: &Value| match key["kid"].as_str() {
        Some(kid) => format!("the key {}", words(kid)),
        None => "a key without a name".to_owned(),
    };
    if let Some(key) = keys.iter().find(|key| is_private(key)) {
        findings.say(&c::KEYS_PRIVATE, format!("It is {}.", name(key)));
    }
    if let Some((key, bits)) = keys
        .iter()
        .find_map(|key| Some((key, rsa_bits(key).filter(|bits| *bits < RSA_BITS)?)))
    {
        findings.say(&c::KEYS_WEAK, format!("It is {}, RSA of {bits} bits.", name(key)));
    }
    let signing = |key: &&Value| key["use"].as_str() != Some("enc");
    let (mut of_signatures, mut nameless) = (0, 0);
    for key in keys.iter().filter(signing) {
        of_signatures += 1;
        nameless += usize::from(key["kid"].as_str().is_none());
    }
    if of_signatures > 1 && nameless > 0 {
        findings.say(
            &c::KEYS_NO_KID,
            format!("{nameless} of {of_signatures} have none."),
        );
    }
    let fits = keys
        .iter()
        .filter(signing)
        .any(|key| algorithms.iter().any(|algorithm| fits(key, *algorithm)));
    if !fits && !algorithms.is_empty() {
        let names: Vec<_> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        findings.say(
            &c::KEYS_NONE_FOR_ALGORITHM,
            format!("They may be signed with {}.", names.join(", ")),
        );
    }
    if findings.is_good("keys") {
        findings.add(&c::KEYS_GOOD);
    }
}

/// Whether a key holds what only its owner may have (RFC 7518 §6.2.2, §6.3.2, §6.4).
fn is_private(key: &Value) -> bool {
    ["d", "p", "q", "k"].iter().any(|name| key.get(name).is_some())
}

fn rsa_bits(key: &Value) -> Option<usize> {
    let modulus = (key["kty"] == "RSA").then(|| key["n"].as_str())??;
    let bytes = URL_SAFE_NO_PAD.decode(modulus).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let first = bytes.get(zeros)?;
    let unused = usize::try_from(first.leading_zeros()).ok()?;
    Some((bytes.len() - zeros) * 8 - unused)
}

/// Whether a key can verify what is signed so (RFC 7518 §3.1, RFC 8037 §3.1).
fn fits(key: &Value, algorithm: Algorithm) -> bool {
    use Algorithm::{ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let is_meant_for_it = key["alg"]
        .as_str()
        .is_none_or(|name| name.parse() == Ok(algorithm));
    let is = |kty: &str, crv: &str| key["kty"] == kty && key["crv"] == crv;
    let suits = match algorithm {
        RS256 | RS384 | RS512 | PS256 | PS384 | PS512 => rsa_bits(key).is_some_and(|bits| bits >= RSA_BITS),
        ES256 => is("EC", "P-256"),
        ES384 => is("EC", "P-384"),
        ES512 => is("EC", "P-521"),
        EdDSA => is("OKP", "Ed25519"),
        _ => false,
    };
    is_meant_for_it && suits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bits_of_a_modulus_are_those_of_its_number() {
        let of = |bytes: &[u8]| rsa_bits(&json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(bytes)}));
        assert_eq!(of(&[0x80; 256]), Some(2048));
        assert_eq!(of(&[[0].as_slice(), &[0x80; 256]].concat()), Some(2048));
        assert_eq!(of(&[0x40; 256]), Some(2047));
        assert_eq!(of(&[0x80; 128]), Some(1024));
        assert_eq!(of(&[]), None);
        assert_eq!(rsa_bits(&json!({"kty": "EC", "n": "AQAB"})), None);
    }

    #[test]
    fn a_key_fits_by_kind_and_by_what_it_is_meant_for() {
        let ec = json!({"kty": "EC", "crv": "P-256", "x": "x", "y": "y"});
        assert!(fits(&ec, Algorithm::ES256));
        assert!(!fits(&ec, Algorithm::ES384));
        assert!(!fits(&ec, Algorithm::RS256));
        let other = json!({"kty": "EC", "crv": "P-256", "alg": "ECDH-ES"});
        assert!(!fits(&other, Algorithm::ES256));
    }
}
