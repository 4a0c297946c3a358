//! Encrypted tokens, as a provider makes them for a client that has registered a key (RFC 7516).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{digest, error::Unspecified};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Encrypts a token for a client, as a JWE in compact form (RFC 7516 §7.1): for the first key of its set, the one at `/auth/jwks`,
/// that is P-256 with `use` being `enc`.
///
/// The algorithms are `ECDH-ES` and `A256GCM` (RFC 7518 §4.6, §5.3).
///
/// # Panics
///
/// Where `jwks` is no key set, or has no such key.
#[must_use]
pub fn encrypt(token: &str, jwks: &Value) -> String {
    let keys = jwks["keys"].as_array().expect("a key set");
    let jwk = keys
        .iter()
        .find(|jwk| jwk["use"] == "enc" && jwk["crv"] == "P-256")
        .expect("a P-256 key for encryption");
    let part = |name: &str| {
        URL_SAFE_NO_PAD
            .decode(jwk[name].as_str().expect("text"))
            .expect("base64url")
    };
    let theirs = [&[4], part("x").as_slice(), &part("y")].concat();
    let ours = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).expect("a key");
    let public = ours.compute_public_key().expect("a public key");
    let (x, y) = public.as_ref()[1..].split_at(32);
    let header = json!({
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "cty": "JWT",
        "kid": jwk["kid"],
        "epk": {"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)},
    });
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    // §4.6.2 with one round: a counter, the secret, the algorithm, no party's name, the length of the key in bits.
    let key = agree_ephemeral(
        ours,
        UnparsedPublicKey::new(&ECDH_P256, theirs),
        Unspecified,
        |secret| {
            let info = [&[0, 0, 0, 7], b"A256GCM".as_slice(), &[0; 8], &[0, 0, 1, 0]].concat();
            Ok(digest::digest(
                &digest::SHA256,
                &[&[0, 0, 0, 1], secret, &info].concat(),
            ))
        },
    )
    .expect("the key lies on the curve");
    // The key is used once, so that any nonce will do.
    let nonce = [0; 12];
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("32 bytes"));
    let mut content = token.as_bytes().to_vec();
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(header.as_bytes()),
            &mut content,
        )
        .expect("short enough");
    let [nonce, content, tag] = [&nonce[..], &content, tag.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}..{nonce}.{content}.{tag}")
}
