//! Signed tokens in compact serialization (RFC 7515 §7.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{JsonWebKey as _, JsonWebKeyId};
use serde_json::{Map, Value};

use super::claims::{Member, Named as _, parse_members};
use super::{Algorithm, Jwk, KeySet, parse_object};

/// Longer tokens are refused unread: 64 KiB.
pub(super) const MAX_LEN: usize = 64 * 1024;

/// How many keys are tried on one token. Each trial costs a signature check, and the sender of the token decides how
/// many keys fit it.
const MAX_TRIALS: usize = 8;

/// A token whose signature has not been checked yet. Its payload comes out of [`Jws::verify`] only, save for
/// [`claims_of_verified`].
///
/// Header members that bring a key along or point to one (`jku`, `jwk`, `x5u`, `x5c`) are not even read: keys come from
/// the provider's metadata alone (RFC 8725 §3.10).
pub(crate) struct Jws<'t> {
    algorithm: Algorithm,
    key_id: Option<JsonWebKeyId>,
    typ: Option<String>,
    signing_input: &'t str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The claims of a token that was verified when it came and has been kept, sealed, since: its keys may be gone by now.
pub(crate) fn claims_of_verified(compact: &str) -> Option<Map<String, Value>> {
    parse_object(&Jws::parse(compact).ok()?.payload).ok()
}

impl<'t> Jws<'t> {
    /// Takes a token apart.
    pub(crate) fn parse(compact: &'t str) -> Result<Self, JwsError> {
        if compact.len() > MAX_LEN {
            return Err(JwsError::Malformed);
        }
        let (signing_input, [header, payload, signature]) = parts(compact)?;

        // The header first, so that `none`, whose signature is empty, is called by its name.
        let header = decode(header)?;
        let header = parse_members(&header).map_err(|_| JwsError::Malformed)?;
        let text = |name: &str| match header.named(name) {
            None => Ok(None),
            Some(Member::Text(text)) => Ok(Some(text)),
            Some(Member::Other(_)) => Err(JwsError::Malformed),
        };
        let (algorithm, key_id, typ) = (text("alg")?, text("kid")?, text("typ")?);
        let algorithm = algorithm
            .ok_or(JwsError::Malformed)?
            .parse()
            .map_err(|_| JwsError::AlgorithmNotAllowed)?;
        // RFC 7515 §4.1.11: extensions that must be understood, and none is. `b64` (RFC 7797) changes what is signed
        // and `zip` (RFC 7516 §4.1.3) has no place in a JWS, so neither is ignored where `crit` forgets it.
        if ["crit", "b64", "zip"].iter().any(|name| header.has(name)) {
            return Err(JwsError::CriticalHeader);
        }
        Ok(Self {
            algorithm,
            key_id: key_id.map(|id| JsonWebKeyId::new(id.to_owned())),
            typ: typ.map(str::to_owned),
            signing_input,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The algorithm that the header names; whether it is allowed is for [`Jws::verify`] to say.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The header's `typ`, as it stands there.
    pub(crate) fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The payload before anything about it is known: to choose whose keys to check it with, and for nothing else.
    pub(crate) fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Checks the signature with this one key, which has to fit the header's algorithm, and hands out the payload.
    pub(super) fn verify_with(&self, key: &Jwk) -> Result<&[u8], JwsError> {
        if !key.fits(self.algorithm) {
            return Err(JwsError::UnknownKey);
        }
        match key.verify(self.algorithm, self.signing_input.as_bytes(), &self.signature) {
            Ok(()) => Ok(&self.payload),
            Err(_) => Err(JwsError::BadSignature),
        }
    }

    /// Checks the signature and hands out the payload.
    ///
    /// With a `kid` in the header, the keys of that id count, without one all keys do; in either case only those that
    /// fit the algorithm. [`JwsError::UnknownKey`] says that there is none, and that the key set may be out of date. A token
    /// that names no key, and that none verifies, may be signed with a new key too (OpenID Connect Core §10.1 lets the
    /// `kid` be missing where the set has one key).
    pub(crate) fn verify(&self, keys: &KeySet, allowed: &[Algorithm]) -> Result<&[u8], JwsError> {
        if !allowed.contains(&self.algorithm) {
            return Err(JwsError::AlgorithmNotAllowed);
        }
        let fitting = (keys.keys().iter())
            .filter(|key| self.key_id.is_none() || key.key_id() == self.key_id.as_ref())
            .filter(|key| key.fits(self.algorithm));

        let mut outcome = Err(JwsError::UnknownKey);
        for key in fitting.take(MAX_TRIALS) {
            match key.verify(self.algorithm, self.signing_input.as_bytes(), &self.signature) {
                Ok(()) => return Ok(&self.payload),
                Err(_) if self.key_id.is_some() => outcome = Err(JwsError::BadSignature),
                Err(_) => {}
            }
        }
        outcome
    }
}

/// Why a signed token was refused before anything in it was believed. No variant carries a part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwsError {
    /// Not three parts in base64url, longer than 64 KiB, or a header that is not a JSON object (RFC 7515 §5.2).
    #[error("the token is not a signed token in compact serialization")]
    Malformed,
    /// The token is encrypted (RFC 7516), and there is no key here that decrypts it.
    #[error("the token is encrypted")]
    Encrypted,
    /// The header's `alg` is unknown, `none`, symmetric, or not on the list (RFC 8725 §3.1).
    #[error("the token's signature algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// The header demands an extension that this library does not have (RFC 7515 §4.1.11).
    #[error("the token's header demands an extension that is not supported")]
    CriticalHeader,
    /// No key of the set fits the header, or the header names no key and none verifies the signature. The signal to
    /// fetch the key set again.
    #[error("no published key fits the token")]
    UnknownKey,
    /// No key of the header's `kid` verifies the signature.
    #[error("the token's signature is not valid")]
    BadSignature,
}

/// What is signed, and the three parts.
fn parts(compact: &str) -> Result<(&str, [&str; 3]), JwsError> {
    let mut parts = compact.split('.');
    let mut next = || parts.next();
    match [next(), next(), next(), next(), next(), next()] {
        [Some(header), Some(payload), Some(signature), None, ..] => {
            let (signing_input, _) = compact.split_at(header.len() + 1 + payload.len());
            Ok((signing_input, [header, payload, signature]))
        }
        [.., Some(_), None] => Err(JwsError::Encrypted), // RFC 7516 §9
        _ => Err(JwsError::Malformed),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JwsError> {
    match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(JwsError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use serde_json::json;

    use super::super::testing::{ALGORITHMS, TestKey, key_set};
    use super::*;

    const PAYLOAD: &[u8] = b"payload";

    /// A set of the key alone, with the `kid` "k".
    fn only(key: &TestKey) -> KeySet {
        key_set([key.jwk_with(json!({"kid": "k"}))])
    }

    /// A token with this header, signed with the shared key for ES256.
    fn token(header: &str) -> String {
        TestKey::of(Algorithm::ES256).sign(Algorithm::ES256, header, PAYLOAD)
    }

    fn parse_error(compact: &str) -> Option<JwsError> {
        Jws::parse(compact).err()
    }

    fn verify(token: &str, keys: &KeySet) -> Result<Vec<u8>, JwsError> {
        Jws::parse(token)?.verify(keys, &ALGORITHMS).map(<[u8]>::to_vec)
    }

    #[test]
    fn accepts_every_algorithm() {
        for algorithm in ALGORITHMS {
            let key = TestKey::of(algorithm);
            let keys = key_set([key.jwk_with(json!({"kid": "k"}))]);
            let header = format!(r#"{{"alg":"{algorithm}","kid":"k"}}"#);
            let token = key.sign(algorithm, &header, PAYLOAD);
            assert_eq!(verify(&token, &keys), Ok(PAYLOAD.to_vec()), "{algorithm}");
        }
    }

    #[test] // RFC 7515, appendix A.3
    fn accepts_the_example_of_the_specification() {
        let keys = key_set([json!({
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        })]);
        let token = "eyJhbGciOiJFUzI1NiJ9.\
            eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
            DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        assert!(verify(token, &keys).is_ok());
    }

    #[test]
    fn refuses_a_changed_payload_header_or_signature() {
        for algorithm in ALGORITHMS {
            let key = TestKey::of(algorithm);
            let header = format!(r#"{{"alg":"{algorithm}","kid":"k"}}"#);
            let other = format!(r#"{{"alg":"{algorithm}","kid":"k","a":1}}"#);
            let keys = only(key);
            let token = key.sign(algorithm, &header, PAYLOAD);
            let other = key.sign(algorithm, &other, b"other");
            let parts: Vec<_> = token.split('.').collect();
            let others: Vec<_> = other.split('.').collect();
            for part in 0..3 {
                let mut changed = parts.clone();
                changed[part] = others[part];
                assert_eq!(
                    verify(&changed.join("."), &keys),
                    Err(JwsError::BadSignature),
                    "{algorithm}, part {part}"
                );
            }
        }
    }

    #[test] // RFC 7518 §3.4: R and S side by side, not a DER sequence; and none of it may be left out
    fn refuses_signatures_of_another_length() {
        let keys = only(TestKey::of(Algorithm::ES256));
        let token = token(r#"{"alg":"ES256","kid":"k"}"#);
        for length in [1, 63, 65, 72] {
            let forged = with_signature(&token, &vec![0; length]);
            assert_eq!(verify(&forged, &keys), Err(JwsError::BadSignature), "{length}");
        }
        let good = signature_of(&token);
        for odd in [
            &good[..63],
            &[&good[..], &[0]].concat(),
            &[&[0], &good[..]].concat(),
        ] {
            let forged = with_signature(&token, odd);
            assert_eq!(verify(&forged, &keys), Err(JwsError::BadSignature));
        }
    }

    fn signature_of(token: &str) -> Vec<u8> {
        let (_, signature) = token.rsplit_once('.').expect("three parts");
        URL_SAFE_NO_PAD.decode(signature).expect("base64url")
    }

    fn with_signature(token: &str, signature: &[u8]) -> String {
        let (input, _) = token.rsplit_once('.').expect("three parts");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test] // RFC 7518 §3.4
    fn refuses_ecdsa_signatures_in_der() {
        let TestKey::Ecdsa(_, pair) = TestKey::of(Algorithm::ES256) else {
            panic!("an ECDSA key");
        };
        let der = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            pair.to_pkcs8v1().expect("DER").as_ref(),
        )
        .expect("the same key");
        let token = token(r#"{"alg":"ES256","kid":"k"}"#);
        let (input, _) = token.rsplit_once('.').expect("three parts");
        let signature = der
            .sign(&SystemRandom::new(), input.as_bytes())
            .expect("a signature");
        assert_eq!(signature.as_ref()[0], 0x30);
        let forged = with_signature(&token, signature.as_ref());
        let keys = only(TestKey::of(Algorithm::ES256));
        assert_eq!(verify(&forged, &keys), Err(JwsError::BadSignature));
    }

    /// The order of P-256.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];

    #[test] // FIPS 186-5 §6.4.2, step 1: both are from 1 to the order less one
    fn refuses_ecdsa_signatures_whose_numbers_are_out_of_range() {
        let keys = only(TestKey::of(Algorithm::ES256));
        let token = token(r#"{"alg":"ES256","kid":"k"}"#);
        let good = signature_of(&token);
        let (r, s) = (&good[..32], &good[32..]);
        let (zero, order) = (&[0; 32][..], &ORDER[..]);
        // The first of them is the "psychic" signature.
        for (r, s) in [
            (zero, zero),
            (r, zero),
            (zero, s),
            (order, order),
            (r, order),
            (order, s),
        ] {
            let forged = with_signature(&token, &[r, s].concat());
            assert_eq!(verify(&forged, &keys), Err(JwsError::BadSignature));
        }
    }

    /// RFC 7518 does not ask for the smaller of the two `s`: half of all providers' signatures have the larger one. So
    /// two signatures fit one token, and nothing may take a token's text for its identity.
    #[test]
    fn accepts_either_s_of_an_ecdsa_signature() {
        let keys = only(TestKey::of(Algorithm::ES256));
        let token = token(r#"{"alg":"ES256","kid":"k"}"#);
        let mut signature = signature_of(&token);
        let mut borrow = 0;
        for at in (0..32).rev() {
            let difference = i32::from(ORDER[at]) - i32::from(signature[32 + at]) - borrow;
            borrow = i32::from(difference < 0);
            signature[32 + at] = u8::try_from(difference.rem_euclid(256)).expect("a byte");
        }
        let other = with_signature(&token, &signature);
        assert_ne!(token, other);
        assert!(verify(&token, &keys).is_ok() && verify(&other, &keys).is_ok());
    }

    #[test] // RFC 8725 §3.1
    fn refuses_none_symmetric_and_unknown_algorithms() {
        for alg in [
            "none",
            "None",
            "NONE",
            "nOnE",
            "none ",
            " none",
            "no\\u006ee",
            "HS256",
            "HS384",
            "HS512",
            "hs256",
            "es256",
            "ES256 ",
            "ES256K",
            "RSA1_5",
            "dir",
            "A128GCM",
            "Ed448",
            "",
        ] {
            let token = token(&format!(r#"{{"alg":"{alg}"}}"#));
            assert_eq!(parse_error(&token), Some(JwsError::AlgorithmNotAllowed), "{alg}");
        }
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let payload = URL_SAFE_NO_PAD.encode(PAYLOAD);
        let unsigned = format!("{header}.{payload}.");
        assert_eq!(parse_error(&unsigned), Some(JwsError::AlgorithmNotAllowed));
    }

    #[test] // RFC 8725 §3.1
    fn refuses_an_algorithm_that_is_not_on_the_list() {
        let keys = key_set([TestKey::of(Algorithm::ES256).jwk()]);
        let token = token(r#"{"alg":"ES256"}"#);
        let jws = Jws::parse(&token).expect("a JWS");
        let refused = Err(JwsError::AlgorithmNotAllowed);
        assert_eq!(jws.verify(&keys, &[]), refused);
        assert_eq!(jws.verify(&keys, &[Algorithm::RS256, Algorithm::ES384]), refused);
    }

    #[test] // RFC 7515 §4.1.11, RFC 7797 §6
    fn refuses_headers_that_demand_an_extension() {
        for member in [
            r#""crit":["exp"],"exp":1"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""crit":"exp","exp":1"#,
            r#""crit":{}"#,
            r#""crit":["alg"]"#,
            r#""crit":["http://openbanking.org.uk/iat"]"#,
            r#""b64":false"#,
            r#""b64":false,"crit":["b64"]"#,
            r#""b64":true,"crit":["b64"]"#,
            r#""zip":"DEF""#,
        ] {
            let token = token(&format!(r#"{{"alg":"ES256",{member}}}"#));
            assert_eq!(parse_error(&token), Some(JwsError::CriticalHeader), "{member}");
        }
    }

    #[test] // RFC 7515 §5.2
    fn refuses_what_is_not_three_parts_of_base64url() {
        let good = token(r#"{"alg":"ES256"}"#);
        let parts: Vec<_> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            panic!("three parts");
        };
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            format!("{header}.{payload}"),
            format!("{good}."),
            format!(".{payload}.{signature}"),
            format!("{header}..{signature}"),
            format!("{header}.{payload}."),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{header}=.{payload}.{signature}"),
            format!("{header}.{payload}=.{signature}"),
            format!("{header}.{payload}.{signature}=="),
            format!("{header}.{payload}.+/{signature}"),
            format!("{header}.{payload}.{signature}%"),
            format!("{header}.{payload} .{signature}"),
            format!("{header}\n.{payload}.{signature}"),
            // The last character has bits that encode nothing (RFC 4648 §3.5). The header is one byte too long for
            // this, so it gets one more.
            format!("{header}.{payload}.{}", "B".repeat(86)),
            format!("{header}.{}.{signature}", with_stray_bits(payload)),
            format!(
                "{}.{payload}.{signature}",
                with_stray_bits(&URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"} "#))
            ),
        ] {
            assert_eq!(parse_error(&bad), Some(JwsError::Malformed), "{bad}");
        }
    }

    /// The same bytes for a decoder that does not look at the last bits. The text must not have whole groups of four.
    fn with_stray_bits(part: &str) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        assert!(!part.len().is_multiple_of(4));
        let (start, last) = part.split_at(part.len() - 1);
        let at = ALPHABET
            .iter()
            .position(|c| *c == last.as_bytes()[0])
            .expect("base64url");
        assert_eq!(at % 4, 0, "a canonical encoding");
        format!("{start}{}", char::from(ALPHABET[at + 1]))
    }

    #[test] // RFC 7515 §4
    fn refuses_headers_that_are_not_objects_of_distinct_members() {
        for header in [
            "[]",
            "null",
            "{}",
            "text",
            "7",
            "\"ES256\"",
            "\u{feff}{\"alg\":\"ES256\"}",
            r#"{"alg":"ES256","alg":"none"}"#,
            r#"{"alg":"ES256","\u0061lg":"ES256"}"#,
            r#"{"alg":"ES256","kid":"\ud800"}"#,
            r#"{"alg":"ES256","alg":"ES256"}"#,
            r#"{"alg":"ES256","kid":"a","kid":"b"}"#,
            r#"{"alg":["ES256"]}"#,
            r#"{"alg":"ES256","kid":1}"#,
            r#"{"alg":"ES256","typ":{}}"#,
            r#"{"alg":"ES256"}{}"#,
        ] {
            assert_eq!(parse_error(&token(header)), Some(JwsError::Malformed), "{header}");
        }
    }

    #[test] // RFC 7516 §9
    fn calls_an_encrypted_token_by_its_name() {
        assert_eq!(parse_error("a.b.c.d.e"), Some(JwsError::Encrypted));
    }

    #[test]
    fn refuses_tokens_above_the_size_limit() {
        let key = TestKey::of(Algorithm::ES256);
        let keys = key_set([key.jwk()]);
        let sized = |bytes: usize| key.sign(Algorithm::ES256, r#"{"alg":"ES256"}"#, &vec![b'x'; bytes]);
        assert!(verify(&sized(48_000), &keys).is_ok());
        assert_eq!(verify(&sized(50_000), &keys), Err(JwsError::Malformed));
    }

    #[test] // RFC 8725 §3.10
    fn keys_in_the_header_are_not_believed() {
        let attacker = TestKey::generate(Algorithm::ES256);
        let header = json!({
            "alg": "ES256",
            "jwk": attacker.jwk(),
            "jku": "https://attacker.example/keys",
            "x5u": "https://attacker.example/cert",
            "x5c": ["AA"],
        });
        let forged = attacker.sign(Algorithm::ES256, &header.to_string(), PAYLOAD);
        let keys = key_set([TestKey::of(Algorithm::ES256).jwk()]);
        assert_eq!(verify(&forged, &keys), Err(JwsError::UnknownKey));
        assert_eq!(verify(&forged, &key_set([])), Err(JwsError::UnknownKey));
    }

    #[test]
    fn kid_selects_the_key() {
        let key = TestKey::of(Algorithm::ES256);
        let other = TestKey::generate(Algorithm::ES256);
        let token = token(r#"{"alg":"ES256","kid":"a"}"#);
        let both = |mine: &str, others: &str| {
            key_set([
                other.jwk_with(json!({"kid": others})),
                key.jwk_with(json!({"kid": mine})),
            ])
        };
        assert!(verify(&token, &both("a", "b")).is_ok());
        assert_eq!(verify(&token, &both("b", "a")), Err(JwsError::BadSignature));
        assert_eq!(verify(&token, &both("b", "c")), Err(JwsError::UnknownKey));
        assert_eq!(verify(&token, &key_set([key.jwk()])), Err(JwsError::UnknownKey));
    }

    #[test]
    fn of_several_keys_with_the_same_kid_each_that_fits_is_tried() {
        let kid = json!({"kid": "a"});
        let keys = key_set([
            TestKey::of(Algorithm::RS256).jwk_with(kid.clone()),
            TestKey::generate(Algorithm::ES256).jwk_with(kid.clone()),
            TestKey::of(Algorithm::ES256).jwk_with(kid),
        ]);
        assert!(verify(&token(r#"{"alg":"ES256","kid":"a"}"#), &keys).is_ok());
    }

    #[test]
    fn without_kid_every_key_that_fits_is_tried() {
        let token = token(r#"{"alg":"ES256"}"#);
        let mine = TestKey::of(Algorithm::ES256).jwk_with(json!({"kid": "mine"}));
        let other = TestKey::generate(Algorithm::ES256).jwk_with(json!({"kid": "other"}));
        let rsa = TestKey::of(Algorithm::RS256).jwk();
        let keys = key_set([rsa.clone(), other.clone(), mine]);
        assert!(verify(&token, &keys).is_ok());
        // The key set may be out of date.
        let keys = key_set([rsa.clone(), other]);
        assert_eq!(verify(&token, &keys), Err(JwsError::UnknownKey));
        assert_eq!(verify(&token, &key_set([rsa])), Err(JwsError::UnknownKey));
        assert_eq!(verify(&token, &key_set([])), Err(JwsError::UnknownKey));
    }

    #[test] // OpenID Connect Core §10.1
    fn without_kid_the_only_key_is_taken_whatever_its_kid() {
        let token = token(r#"{"alg":"ES256"}"#);
        assert!(verify(&token, &only(TestKey::of(Algorithm::ES256))).is_ok());
        assert!(verify(&token, &key_set([TestKey::of(Algorithm::ES256).jwk()])).is_ok());
    }

    #[test]
    fn an_empty_kid_is_a_kid() {
        let token = token(r#"{"alg":"ES256","kid":""}"#);
        let key = TestKey::of(Algorithm::ES256);
        assert_eq!(verify(&token, &only(key)), Err(JwsError::UnknownKey));
        assert!(verify(&token, &key_set([key.jwk_with(json!({"kid": ""}))])).is_ok());
    }

    #[test]
    fn no_more_than_eight_keys_are_tried() {
        let mine = TestKey::of(Algorithm::ES256).jwk();
        let strangers = |count: usize| {
            let stranger = TestKey::generate(Algorithm::ES256).jwk();
            std::iter::repeat_n(stranger, count)
        };
        let token = token(r#"{"alg":"ES256"}"#);
        let eighth = key_set(strangers(7).chain([mine.clone()]));
        assert!(verify(&token, &eighth).is_ok());
        let ninth = key_set(strangers(8).chain([mine]));
        assert_eq!(verify(&token, &ninth), Err(JwsError::UnknownKey));
    }

    #[test]
    fn a_key_that_does_not_fit_counts_as_unknown() {
        let key = TestKey::of(Algorithm::ES256);
        let token = token(r#"{"alg":"ES256","kid":"a"}"#);
        for odd in [
            json!({"kid": "a", "use": "enc"}),
            json!({"kid": "a", "alg": "ES384"}),
            json!({"kid": "a", "key_ops": ["sign"]}),
        ] {
            let keys = key_set([key.jwk_with(odd.clone())]);
            assert_eq!(verify(&token, &keys), Err(JwsError::UnknownKey), "{odd}");
        }
    }

    #[test] // RFC 8725 §2.1: one family's key must not serve another's algorithm
    fn a_signature_of_another_algorithm_of_the_same_key_is_refused() {
        let key = TestKey::of(Algorithm::RS256);
        let keys = only(key);
        for (signed, named) in [
            (Algorithm::PS256, Algorithm::RS256),
            (Algorithm::RS256, Algorithm::PS256),
            (Algorithm::RS512, Algorithm::RS256),
            (Algorithm::PS256, Algorithm::PS512),
        ] {
            let header = |alg: Algorithm| format!(r#"{{"alg":"{alg}","kid":"k"}}"#);
            assert!(verify(&key.sign(signed, &header(signed), PAYLOAD), &keys).is_ok());
            let forged = key.sign(signed, &header(named), PAYLOAD);
            assert_eq!(verify(&forged, &keys), Err(JwsError::BadSignature), "{named}");
        }
    }

    #[test] // RFC 7518 §3.1, §3.4
    fn a_key_of_another_type_or_curve_is_not_tried() {
        let every = ALGORITHMS.map(|algorithm| (algorithm, TestKey::of(algorithm)));
        for (signed, signer) in &every {
            for (named, owner) in &every {
                if std::ptr::eq(*signer, *owner) {
                    continue;
                }
                let forged = signer.sign(*signed, &format!(r#"{{"alg":"{signed}","kid":"k"}}"#), PAYLOAD);
                let outcome = verify(&forged, &only(owner));
                assert_eq!(
                    outcome,
                    Err(JwsError::UnknownKey),
                    "{signed} with the key of {named}"
                );
            }
        }
    }

    /// ES256 is ECDSA on P-256: with a key on P-384 there is no such signature, whatever somebody with that key signs.
    #[test] // RFC 7518 §3.4
    fn the_curve_of_the_key_is_that_of_the_algorithm() {
        let key = TestKey::of(Algorithm::ES384);
        let forged = key.sign(Algorithm::ES384, r#"{"alg":"ES256","kid":"k"}"#, PAYLOAD);
        assert_eq!(verify(&forged, &only(key)), Err(JwsError::UnknownKey));
    }

    #[test]
    fn keeps_the_type_as_it_stands() {
        let typed = token(r#"{"alg":"ES256","typ":"at+JWT","cty":"?"}"#);
        assert_eq!(Jws::parse(&typed).expect("a JWS").typ(), Some("at+JWT"));
        let untyped = token(r#"{"alg":"ES256"}"#);
        assert_eq!(Jws::parse(&untyped).expect("a JWS").typ(), None);
    }
}
