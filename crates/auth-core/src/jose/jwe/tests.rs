//! Tokens and keys in `vectors.json` were made by another implementation (jose 6 on Node.js), or are the specifications' own.

use std::sync::LazyLock;

use serde_json::json;

use super::*;

static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("vectors.json")).expect("JSON"));

fn keys(names: &[&str]) -> DecryptionKeys {
    let pems: Vec<_> = names
        .iter()
        .map(|name| VECTORS["keys"][name].as_str().expect("a key"))
        .collect();
    let keys = DecryptionKey::all_from_pem(&pems.join("\n")).expect("keys");
    DecryptionKeys::new(keys.into_iter().map(Arc::new).collect()).expect("a key")
}

fn token(alg: &str, enc: &str) -> &'static str {
    let tokens = VECTORS["tokens"].as_array().expect("an array");
    let found = tokens.iter().find(|one| one["alg"] == alg && one["enc"] == enc);
    found.expect("a token")["token"].as_str().expect("text")
}

fn refused(keys: &DecryptionKeys, token: &str) -> JweError {
    keys.decrypt(token).expect_err("refused")
}

/// The token with another header, and everything else as it is.
fn with_header(token: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let (header, rest) = token.split_once('.').expect("five parts");
    let mut header: Map<String, Value> =
        serde_json::from_slice(&decode(header).expect("base64url")).expect("JSON");
    change(&mut header);
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(json!(header).to_string()))
}

/// The token with one of its parts changed.
fn with_part(token: &str, at: usize, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts[at] = URL_SAFE_NO_PAD.encode(change(decode(&parts[at]).expect("base64url")));
    parts.join(".")
}

const RSA: [&str; 2] = ["RSA-OAEP", "RSA-OAEP-256"];
const EC: [&str; 3] = ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"];
const ENC: [&str; 4] = ["A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512"];

#[test] // RFC 7518 §4.1, §5.1
fn every_algorithm_decrypts_what_others_encrypted() {
    let keys = keys(&["rsa", "ec"]);
    for enc in ENC {
        for alg in RSA.into_iter().chain(EC) {
            let content = keys.decrypt(token(alg, enc)).expect(alg);
            assert_eq!(content.as_str(), "header.payload.signature", "{alg} {enc}");
        }
    }
}

#[test] // RFC 7516 §5.2, appendix A.1
fn the_example_of_the_specification_is_decrypted() {
    let token = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.\
        OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-\
        StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPG\
        LBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg.\
        48V1_ALb6US04U3b.\
        5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A.\
        XFBoMYUZodetZdvTiFvSkQ";
    let content = keys(&["rfc7516_a1"]).decrypt(token).expect("decrypted");
    assert_eq!(
        content.as_str(),
        "The true sign of intelligence is not knowledge but imagination."
    );
}

#[test] // RFC 7518 §4.6, appendix C
fn the_example_of_the_specification_is_agreed_upon() {
    let header = json!({
        "alg": "ECDH-ES", "enc": "A128GCM", "apu": "QWxpY2U", "apv": "Qm9i",
        "epk": {
            "kty": "EC", "crv": "P-256",
            "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
            "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
        },
    });
    let token = format!("{}..AA.AA.AA", URL_SAFE_NO_PAD.encode(header.to_string()));
    let token = Encrypted::parse(&token).expect("well-formed");
    let key = token
        .content_key(&keys(&["rfc7518_c"]).0[0].private)
        .expect("a key");
    assert_eq!(URL_SAFE_NO_PAD.encode(&*key), "VqqN6vgjbSBcIijNcacQGg");
}

#[test] // RFC 7516 §5.2, steps 14 to 16
fn no_part_can_be_changed_or_left_out() {
    let keys = keys(&["rsa", "ec"]);
    for (alg, enc) in [
        ("RSA-OAEP-256", "A128GCM"),
        ("RSA-OAEP-256", "A128CBC-HS256"),
        ("ECDH-ES+A256KW", "A256CBC-HS512"),
        ("ECDH-ES", "A256GCM"),
    ] {
        let token = token(alg, enc);
        let parts = if alg == "ECDH-ES" { 2..5 } else { 1..5 };
        for at in parts {
            for changed in [
                with_part(token, at, |mut part| {
                    part[0] ^= 1;
                    part
                }),
                with_part(token, at, |mut part| {
                    part.pop();
                    part
                }),
                with_part(token, at, |mut part| {
                    part.push(0);
                    part
                }),
                with_part(token, at, |_| Vec::new()),
            ] {
                assert_eq!(refused(&keys, &changed), JweError::NotForUs, "{alg} {enc} {at}");
            }
        }
        // The header is not secret, but it is authenticated.
        let header = with_header(token, |header| {
            drop(header.insert("cty".to_owned(), json!("other")))
        });
        assert_eq!(refused(&keys, &header), JweError::NotForUs, "{alg} {enc}");
    }
}

#[test] // RFC 7518 §5.2.2.2; RFC 7518 §5.3
fn a_shorter_tag_is_no_tag() {
    let keys = keys(&["rsa"]);
    for (enc, length) in [("A128GCM", 12), ("A128CBC-HS256", 15), ("A256CBC-HS512", 16)] {
        let good = token("RSA-OAEP", enc);
        let short = with_part(good, 4, |tag| tag[..length].to_vec());
        assert_eq!(refused(&keys, &short), JweError::NotForUs, "{enc}");
        // The same bytes with another boundary between content and tag.
        let mut last = 0;
        let moved = with_part(good, 3, |mut content| {
            last = content.pop().expect("not empty");
            content
        });
        let moved = with_part(&moved, 4, |tag| [&[last], tag.as_slice()].concat());
        assert_eq!(refused(&keys, &moved), JweError::NotForUs, "{enc}");
    }
}

#[test] // RFC 8725 §3.2; RFC 7518 §4.1, §5.1
fn algorithms_with_a_shared_key_a_password_or_a_weak_padding_do_not_exist() {
    let keys = keys(&["rsa", "ec"]);
    for alg in [
        "dir",
        "RSA1_5",
        "A128KW",
        "A256GCMKW",
        "PBES2-HS256+A128KW",
        "ECDH-ES+A192KW",
        "none",
        "RSA-OAEP-512",
        "rsa-oaep",
        "",
    ] {
        let token = with_header(token("RSA-OAEP", "A128GCM"), |header| {
            header.insert("alg".to_owned(), json!(alg));
        });
        assert_eq!(refused(&keys, &token), JweError::AlgorithmNotSupported, "{alg}");
    }
    for enc in ["A192GCM", "A192CBC-HS384", "C20P", "none", "a128gcm", ""] {
        let token = with_header(token("RSA-OAEP", "A128GCM"), |header| {
            header.insert("enc".to_owned(), json!(enc));
        });
        assert_eq!(refused(&keys, &token), JweError::AlgorithmNotSupported, "{enc}");
    }
}

#[test] // RFC 7516 §4.1.3, §4.1.13
fn compression_and_extensions_are_refused() {
    for (name, value) in [
        ("zip", json!("DEF")),
        ("zip", json!(null)),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
    ] {
        let token = with_header(token("RSA-OAEP", "A128GCM"), |header| {
            header.insert(name.to_owned(), value);
        });
        assert_eq!(
            refused(&keys(&["rsa"]), &token),
            JweError::CriticalHeader,
            "{name}"
        );
    }
}

#[test] // RFC 7516 §5.2, step 2
fn what_is_not_five_parts_with_a_header_is_malformed() {
    let good = token("RSA-OAEP", "A128GCM");
    let header = |text: &str| {
        let (_, rest) = good.split_once('.').expect("five parts");
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(text))
    };
    for token in [
        String::new(),
        "....".to_owned(),
        "a.b.c".to_owned(),
        format!("{good}."),
        format!("{good}.AA"),
        good.replace('.', "=."),
        header("{}"),
        header("[]"),
        header(r#"{"alg":"RSA-OAEP"}"#),
        header(r#"{"alg":7,"enc":"A128GCM"}"#),
        header(r#"{"alg":"RSA-OAEP","enc":"A128GCM","kid":7}"#),
        header(r#"{"alg":"RSA-OAEP","alg":"dir","enc":"A128GCM"}"#),
        format!("{good}{}", "A".repeat(MAX_LEN)),
    ] {
        assert_eq!(
            refused(&keys(&["rsa"]), &token),
            JweError::Malformed,
            "{token:.40}"
        );
    }
}

#[test] // RFC 7518 §4.6.1.1
fn an_ephemeral_key_is_a_point_of_the_curve() {
    let good = token("ECDH-ES", "A128GCM");
    let with_epk = |change: &dyn Fn(&mut Value)| with_header(good, |header| change(&mut header["epk"]));
    for (token, error) in [
        (with_epk(&|epk| *epk = json!(null)), JweError::Malformed),
        (with_epk(&|epk| epk["x"] = json!(7)), JweError::Malformed),
        (with_epk(&|epk| epk["x"] = json!("AA")), JweError::Malformed),
        (with_epk(&|epk| epk["y"] = json!("")), JweError::Malformed),
        (with_epk(&|epk| epk["crv"] = json!("P-384")), JweError::NotForUs),
        (with_epk(&|epk| epk["kty"] = json!("OKP")), JweError::NotForUs),
        // Not on the curve: else parts of the private key could be asked for.
        (with_epk(&|epk| epk["y"] = epk["x"].clone()), JweError::NotForUs),
        (
            with_header(good, |header| drop(header.remove("epk"))),
            JweError::Malformed,
        ),
        (
            with_header(good, |header| drop(header.insert("apu".to_owned(), json!(7)))),
            JweError::Malformed,
        ),
    ] {
        assert_eq!(refused(&keys(&["ec"]), &token), error, "{token}");
    }
}

#[test] // RFC 7516 §5.2, step 10
fn nothing_is_encrypted_where_the_key_is_agreed_upon() {
    let token = with_part(token("ECDH-ES", "A128GCM"), 1, |_| vec![0; 24]);
    assert_eq!(refused(&keys(&["ec"]), &token), JweError::Malformed);
}

#[test]
fn of_several_keys_the_one_that_fits_is_found_with_and_without_its_name() {
    let several = keys(&["rfc7516_a1", "rfc7518_c", "rsa", "ec"]);
    for alg in ["RSA-OAEP-256", "ECDH-ES"] {
        several.decrypt(token(alg, "A128GCM")).expect(alg);
    }
    let others = keys(&["rfc7516_a1", "rfc7518_c"]);
    for alg in ["RSA-OAEP-256", "ECDH-ES"] {
        assert_eq!(refused(&others, token(alg, "A128GCM")), JweError::NotForUs);
    }
}

#[test]
fn public_halves_are_for_encryption_and_hold_nothing_private() {
    let keys = keys(&["rsa", "ec"]);
    let jwks: Vec<_> = keys.public_jwks().collect();
    assert_eq!((&jwks[0]["kty"], &jwks[1]["kty"]), (&json!("RSA"), &json!("EC")));
    for jwk in &jwks {
        assert_eq!(jwk["use"], "enc");
        assert!(keys.has(jwk["kid"].as_str().expect("a name")));
        assert!(
            ["d", "p", "q", "dp", "dq", "qi"]
                .iter()
                .all(|name| jwk.get(name).is_none())
        );
    }
    assert!(!keys.has("another"));
    assert_eq!(format!("{keys:?}"), "[Rsa, P256]");
}

#[test]
fn keys_that_cannot_decrypt_are_refused() {
    use crate::jose::Algorithm;
    use crate::jose::testing::TestKey;

    let error = |pem: &str| DecryptionKey::all_from_pem(pem).err();
    assert_eq!(
        error(&TestKey::of(Algorithm::EdDSA).pem()),
        Some(SigningKeyError::CannotDecrypt)
    );
    assert_eq!(
        error(&TestKey::of(Algorithm::ES384).pem()),
        Some(SigningKeyError::UnsupportedKind)
    );
    assert_eq!(error("nothing"), Some(SigningKeyError::NotPem));
}
