use serde_json::json;

use super::*;
use crate::clock::TestClock;
use crate::jose::Algorithm;
use crate::jose::testing::TestKey;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TOKEN: &str = "the.access.token";
const URL: &str = "https://api.example/orders";
const TOLERANCE: Duration = Duration::from_secs(60);

fn header() -> Value {
    json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": TestKey::of(Algorithm::ES256).jwk()})
}

fn claims(changes: Value) -> Value {
    let hash = URL_SAFE_NO_PAD.encode(sha256(&[TOKEN.as_bytes()]));
    let mut claims = json!({"jti": "1", "htm": "GET", "htu": URL, "iat": NOW.as_secs(), "ath": hash});
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn sign(header: &Value, claims: &Value) -> String {
    TestKey::of(Algorithm::ES256).sign(
        Algorithm::ES256,
        &header.to_string(),
        claims.to_string().as_bytes(),
    )
}

fn judge(proof: &str) -> Result<Proof, InvalidProof> {
    let url = Url::parse(URL).expect("a URL");
    let expected = Expected {
        method: "GET",
        url: &url,
        token: TOKEN,
        tolerance: TOLERANCE,
    };
    check(proof, &expected, NOW)
}

fn with(changes: Value) -> Option<InvalidProof> {
    judge(&sign(&header(), &claims(changes))).err()
}

#[test] // RFC 9449 §4.3
fn a_good_proof_names_its_key_and_itself() {
    let proof = judge(&sign(&header(), &claims(json!({"nonce": "n"})))).expect("good");
    let key = crate::jose::SigningKey::from_pem(&TestKey::of(Algorithm::ES256).pem()).expect("a key");
    assert_eq!(proof.thumbprint, key.thumbprint());
    assert_eq!((proof.id.as_str(), proof.nonce.as_deref()), ("1", Some("n")));
    assert_eq!(proof.made_at, NOW);
}

#[test] // RFC 9449 §4.3, step 4
fn the_type_is_that_of_a_proof() {
    for typ in ["dpop+jwt", "DPoP+JWT", "application/dpop+jwt"] {
        let mut header = header();
        header["typ"] = typ.into();
        assert!(judge(&sign(&header, &claims(json!({})))).is_ok(), "{typ}");
    }
    for typ in [json!("JWT"), json!("at+jwt"), json!(""), json!(null)] {
        let mut header = header();
        match typ {
            Value::Null => drop(header.as_object_mut().expect("an object").remove("typ")),
            typ => header["typ"] = typ,
        }
        let refused = judge(&sign(&header, &claims(json!({})))).err();
        assert_eq!(refused, Some(InvalidProof::Malformed), "{header}");
    }
}

#[test] // RFC 9449 §4.2, §4.3, step 3
fn every_claim_is_needed() {
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        for value in [json!(null), json!([]), json!({})] {
            assert_eq!(
                with(json!({name: value})),
                Some(InvalidProof::Malformed),
                "{name}"
            );
        }
    }
    assert_eq!(with(json!({"jti": ""})), Some(InvalidProof::Malformed));
    assert_eq!(
        with(json!({"jti": "x".repeat(513)})),
        Some(InvalidProof::Malformed)
    );
    assert_eq!(with(json!({"iat": "now"})), Some(InvalidProof::Malformed));
    assert_eq!(with(json!({"nonce": 7})), Some(InvalidProof::Malformed));
}

#[test] // RFC 9449 §4.3, step 8
fn the_method_is_the_request_s() {
    for method in ["POST", "get", "", "GET "] {
        assert_eq!(
            with(json!({"htm": method})),
            Some(InvalidProof::OtherRequest),
            "{method}"
        );
    }
}

#[test] // RFC 9449 §4.3, step 9
fn the_url_is_the_request_s_without_query_and_fragment() {
    for same in [
        URL,
        "https://api.example/orders?x=1",
        "https://api.example/orders#f",
        "HTTPS://API.example:443/orders",
        "https://api.example/x/../orders",
        "https://api.example/%6frders",
        "https://api.example/orders?",
    ] {
        assert_eq!(with(json!({"htu": same})), None, "{same}");
    }
    for other in [
        "http://api.example/orders",
        "https://api.example:444/orders",
        "https://evil.example/orders",
        "https://api.example.evil.example/orders",
        "https://api.example/orders/",
        "https://api.example/Orders",
        "https://api.example/",
        "https://user@api.example/orders",
        "https://api.example/orders%2F",
        "/orders",
        "",
    ] {
        assert_eq!(
            with(json!({"htu": other})),
            Some(InvalidProof::OtherRequest),
            "{other}"
        );
    }
}

#[test] // RFC 3986 §6.2.2
fn paths_are_compared_by_what_they_mean() {
    assert_eq!(normal_path("/%7euser/%2f%e4"), b"/~user/%2F%E4");
    assert_eq!(normal_path("/%"), b"/%");
    assert_eq!(normal_path("/%zz%4"), b"/%zz%4");
    assert_eq!(normal_path("/%+1"), b"/%+1");
}

#[test] // RFC 9449 §4.3, step 11; §11.1
fn the_proof_was_made_just_now() {
    for (ago, error) in [
        (0, None),
        (120, None),
        (121, Some(InvalidProof::Time)),
        (3600, Some(InvalidProof::Time)),
        (-60, None),
        (-61, Some(InvalidProof::Time)),
    ] {
        assert_eq!(with(json!({"iat": NOW.as_secs() - ago})), error, "{ago}");
    }
}

#[test] // RFC 9449 §4.3, step 12
fn the_hash_is_that_of_the_token() {
    let other = URL_SAFE_NO_PAD.encode(sha256(&[b"another token"]));
    for hash in [other.as_str(), "", TOKEN] {
        assert_eq!(
            with(json!({"ath": hash})),
            Some(InvalidProof::OtherRequest),
            "{hash}"
        );
    }
}

#[test] // RFC 9449 §4.3, steps 2, 5, 6, 7
fn the_proof_is_signed_by_the_public_key_in_its_header() {
    let mut private = header();
    private["jwk"]["d"] = "AQAB".into();
    let mut none = header();
    none["alg"] = "none".into();
    let mut foreign = header();
    foreign["jwk"] = TestKey::generate(Algorithm::ES256).jwk();
    for (header, error) in [
        (private, InvalidProof::Key),
        (none, InvalidProof::Key),
        (foreign, InvalidProof::Signature),
    ] {
        assert_eq!(
            judge(&sign(&header, &claims(json!({})))).err(),
            Some(error),
            "{header}"
        );
    }
    for bad in ["", "x", "a.b.c"] {
        assert_eq!(judge(bad).err(), Some(InvalidProof::Malformed), "{bad}");
    }
}

fn server(nonces: Option<SecretKeys>) -> Dpop {
    let base = Url::parse("https://api.example/").expect("a URL");
    Dpop::new(&base, Memory::Process(Mutex::default()), nonces)
}

fn request(proofs: Vec<String>) -> ProofRequest {
    ProofRequest {
        method: "GET".to_owned(),
        path: "/orders".to_owned(),
        proofs,
    }
}

async fn accept(server: &Dpop, proofs: Vec<String>, now: Timestamp) -> Result<Option<String>, BearerError> {
    let key = crate::jose::SigningKey::from_pem(&TestKey::of(Algorithm::ES256).pem()).expect("a key");
    let accepted = server
        .accept(&request(proofs), TOKEN, &key.thumbprint(), TOLERANCE, now)
        .await?;
    Ok(accepted.next_nonce)
}

#[tokio::test] // RFC 9449 §4.3, step 1
async fn there_is_one_proof() {
    let proof = sign(&header(), &claims(json!({})));
    let server = server(None);
    let missing = accept(&server, vec![], NOW).await;
    assert!(matches!(
        missing,
        Err(BearerError::InvalidProof(InvalidProof::Missing))
    ));
    for bad in [vec![proof.clone(), proof.clone()], vec!["x".repeat(8 * 1024 + 1)]] {
        let refused = accept(&server, bad, NOW).await;
        assert!(matches!(
            refused,
            Err(BearerError::InvalidProof(InvalidProof::Malformed))
        ));
    }
    assert!(accept(&server, vec![proof], NOW).await.is_ok());
}

#[tokio::test] // RFC 9449 §4.3, step 12
async fn the_proof_is_of_the_key_that_the_token_is_bound_to() {
    let proof = sign(&header(), &claims(json!({})));
    let refused = server(None)
        .accept(&request(vec![proof]), TOKEN, "another thumbprint", TOLERANCE, NOW)
        .await;
    assert!(matches!(
        refused,
        Err(BearerError::InvalidToken(
            crate::bearer::InvalidToken::BindingMismatch
        ))
    ));
}

#[tokio::test] // RFC 9449 §11.1
async fn a_proof_is_good_once_for_as_long_as_it_is_good() {
    let server = server(None);
    // As far ahead as it may be: it stays good for three minutes.
    let proof = sign(&header(), &claims(json!({"iat": NOW.as_secs() + 60})));
    assert!(accept(&server, vec![proof.clone()], NOW).await.is_ok());
    for later in [0, 1, 90, 179, 180] {
        let now = NOW.plus(Duration::from_secs(later));
        let other = sign(
            &header(),
            &claims(json!({"jti": format!("o{later}"), "iat": now.as_secs()})),
        );
        assert!(accept(&server, vec![other], now).await.is_ok(), "{later}");
        let again = accept(&server, vec![proof.clone()], now).await;
        assert!(
            matches!(again, Err(BearerError::InvalidProof(InvalidProof::Replayed))),
            "{later}"
        );
    }
    let over = accept(&server, vec![proof], NOW.plus(Duration::from_secs(181))).await;
    assert!(matches!(over, Err(BearerError::InvalidProof(InvalidProof::Time))));
}

#[test] // RFC 9449 §11.1
fn the_memory_is_bounded_and_refuses_what_it_cannot_remember() {
    let mut memory = Generations::default();
    let span = Duration::from_secs(180);
    let name = |number: usize| sha256(&[&number.to_be_bytes()]);
    for number in 0..REMEMBERED / 2 {
        assert!(matches!(memory.insert(name(number), span, NOW), Ok(true)));
    }
    assert!(matches!(
        memory.insert(name(REMEMBERED), span, NOW),
        Err(BearerError::Busy)
    ));
    assert!(matches!(memory.insert(name(0), span, NOW), Ok(false)));
    let later = NOW.plus(Duration::from_secs(181));
    assert!(matches!(memory.insert(name(REMEMBERED), span, later), Ok(true)));
    assert!(
        matches!(memory.insert(name(0), span, later), Ok(false)),
        "not forgotten yet"
    );
    let much_later = NOW.plus(Duration::from_secs(1000));
    assert!(matches!(memory.insert(name(0), span, much_later), Ok(true)));
}

#[tokio::test] // RFC 9449 §8, §9
async fn a_nonce_is_demanded_given_and_renewed() {
    let clock = TestClock::new();
    clock.set(NOW);
    let keys = SecretKeys::random();
    let server = server(Some(keys.clone()));
    let at = |now: Timestamp, nonce: &str, jti: &str| {
        let nonce = if nonce.is_empty() {
            Value::Null
        } else {
            nonce.into()
        };
        vec![sign(
            &header(),
            &claims(json!({"nonce": nonce, "jti": jti, "iat": now.as_secs()})),
        )]
    };
    let nonce = server.nonce(NOW).expect("nonces are on");
    for (n, bad) in ["", "nonsense", &super::new_nonce(&SecretKeys::random(), NOW)]
        .iter()
        .enumerate()
    {
        let refused = accept(&server, at(NOW, bad, &format!("b{n}")), NOW).await;
        assert!(matches!(refused, Err(BearerError::NonceNeeded)), "{bad}");
    }
    assert_eq!(
        accept(&server, at(NOW, &nonce, "1"), NOW).await.expect("good"),
        None
    );
    let later = NOW.plus(Duration::from_secs(151));
    let next = accept(&server, at(later, &nonce, "2"), later)
        .await
        .expect("good");
    assert!(next.is_some_and(|next| next != nonce));
    let over = NOW.plus(Duration::from_secs(301));
    let refused = accept(&server, at(over, &nonce, "3"), over).await;
    assert!(matches!(refused, Err(BearerError::NonceNeeded)));
}
