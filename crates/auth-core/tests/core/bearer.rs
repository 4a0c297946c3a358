//! The resource server against the development provider: keys, introspection, proofs, what is asked for and how often.

use auth_core::bearer::{
    BearerError, BearerGate, BearerToken, IntrospectionClient, InvalidProof, InvalidToken, PeerCertificate,
    ResourceServer, ResourceServerBuilder, dangerous_decode_without_verification,
};
use auth_core::jose::{Algorithm, SigningKey};
use auth_core::reply::Reply;
use auth_core::request::RequestHead;
use auth_core::secret::AccessToken;
use auth_core::store::MemoryStore;
use auth_testing::mtls::{Authority, Identity};
use auth_testing::{DevProvider, Endpoint, Fault, OldKeys};
use futures_util::future::join_all;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

use crate::world::{BASE, CLIENT, Head, SECRET, World, header, secs};

const API: &str = "https://api.example";

fn get(headers: &[(&'static str, &str)]) -> Head {
    Head {
        method: "GET",
        target: "/orders?page=2".to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
    }
}

fn with_token(token: &str) -> Head {
    get(&[("authorization", &format!("Bearer {token}"))])
}

/// An API of its own, in front of the world's provider.
fn api(world: &World) -> ResourceServerBuilder {
    ResourceServer::builder()
        .issuer(world.provider.issuer())
        .audience(API)
        .clock(world.clock.clock())
}

/// The introspection endpoint, as the world's client.
fn introspecting(world: &World) -> ResourceServerBuilder {
    api(world).introspection(
        format!("{}/introspect", world.provider.issuer()),
        IntrospectionClient::secret_basic(CLIENT, SECRET),
    )
}

fn claims(world: &World, changes: Value) -> Map<String, Value> {
    let now = world.clock.clock().now().as_secs();
    let mut claims = json!({
        "iss": world.provider.issuer(), "sub": "ada", "aud": API, "exp": now + 300, "iat": now,
        "client_id": "caller", "scope": "read", "jti": "j",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object().unwrap().clone()
}

fn sign(world: &World, changes: Value) -> String {
    world.control().sign_jwt("at+jwt", &claims(world, changes))
}

async fn verify(server: &ResourceServer, token: &str) -> Result<BearerToken, BearerError> {
    server.verify(&with_token(token)).await
}

#[track_caller]
fn assert_invalid(outcome: Result<BearerToken, BearerError>, expected: InvalidToken) {
    match outcome {
        Err(BearerError::InvalidToken(error)) => assert_eq!(error, expected),
        other => panic!("not {expected:?}: {other:?}"),
    }
}

fn challenges(reply: &Reply) -> Vec<&str> {
    let named = reply
        .headers
        .iter()
        .filter(|(name, _)| *name == "www-authenticate");
    named.map(|(_, value)| &**value).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9068 §4
async fn a_good_token_is_read_and_shows_nothing_of_its_subject() {
    let world = World::start().await;
    let text = sign(
        &world,
        json!({"acr": "strong", "auth_time": 1_000, "email": "ada@example.com"}),
    );
    let server = api(&world).build().unwrap();
    let token = verify(&server, &text).await.unwrap();
    assert_eq!(token.issuer(), world.provider.issuer());
    assert_eq!(
        (token.subject(), token.client_id()),
        (Some("ada"), Some("caller"))
    );
    assert_eq!(token.scopes().to_string(), "read");
    assert_eq!(token.audience(), [API]);
    assert_eq!(token.acr(), Some("strong"));
    assert_eq!(token.authenticated_at().map(|at| at.as_secs()), Some(1_000));
    assert_eq!(token.access_token().expose(), text);
    let shown = format!("{token:?} {server:?}");
    assert!(!shown.contains("ada") && !shown.contains(&text), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9068 §4
async fn what_the_provider_issues_is_accepted_for_the_api_it_is_for() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let token = world.token(&world.session(&id).await).await;
    let own = world
        .auth
        .resource_server(world.provider.api_url())
        .build()
        .unwrap();
    assert_eq!(verify(&own, &token).await.unwrap().subject(), Some("ada"));
    assert_eq!(
        world.control().count(Endpoint::Jwks),
        1,
        "the keys are shared with the sign-in"
    );
    let other = world.auth.resource_server(BASE).build().unwrap();
    assert_invalid(verify(&other, &token).await, InvalidToken::AudienceMismatch);
    let session = world.session(&id).await;
    assert!(session.subject() == "ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9068 §4, step 3
async fn an_issuer_that_is_not_trusted_is_asked_for_nothing() {
    let world = World::start().await;
    let server = api(&world).build().unwrap();
    for iss in [
        json!("https://evil.example"),
        json!(format!("{}/", world.provider.issuer())),
        json!(7),
    ] {
        let token = sign(&world, json!({"iss": iss}));
        assert_invalid(verify(&server, &token).await, InvalidToken::IssuerUnknown);
    }
    assert_eq!(world.control().all_requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9068 §4, step 3
async fn of_several_issuers_each_is_known_by_its_own_keys() {
    let world = World::start().await;
    let partner = DevProvider::builder()
        .clock(world.clock.clock())
        .start()
        .await
        .unwrap();
    let server = api(&world)
        .issuer_with_keys(partner.issuer(), format!("{}/jwks", partner.issuer()))
        .build()
        .unwrap();
    let own = verify(&server, &sign(&world, json!({}))).await.unwrap();
    assert_eq!(own.issuer(), world.provider.issuer());
    let claims_of_partner = claims(&world, json!({"iss": partner.issuer()}));
    let good = partner.control().sign_jwt("at+jwt", &claims_of_partner);
    assert_eq!(verify(&server, &good).await.unwrap().issuer(), partner.issuer());
    // Keys of one issuer say nothing of the other.
    let crossed = world.control().sign_jwt("at+jwt", &claims_of_partner);
    assert_invalid(verify(&server, &crossed).await, InvalidToken::UnknownKey);
    assert_eq!(partner.control().count(Endpoint::Discovery), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 7515 §5.2
async fn a_signature_that_was_seen_before_serves_no_other_claims() {
    let world = World::start().await;
    let server = api(&world).build().unwrap();
    let good = sign(&world, json!({}));
    let mallory = sign(&world, json!({"sub": "mallory"}));
    verify(&server, &good).await.unwrap();
    let (signed, _) = mallory.rsplit_once('.').unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let mixed = verify(&server, &format!("{signed}.{signature}")).await;
    assert_invalid(mixed, InvalidToken::SignatureInvalid);
    for token in [format!(".{signature}"), signature.to_owned()] {
        assert_invalid(verify(&server, &token).await, InvalidToken::Malformed);
    }
    assert_eq!(verify(&server, &good).await.unwrap().subject(), Some("ada"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_cause_no_requests() {
    let world = World::start().await;
    let server = api(&world).build().unwrap();
    let good = sign(&world, json!({}));
    verify(&server, &good).await.unwrap();
    let (input, _) = good.rsplit_once('.').unwrap();
    let unknown = {
        let key = key();
        let mut header = Map::new();
        header.insert("typ".to_owned(), json!("at+jwt"));
        header.insert("kid".to_owned(), json!("nobody's"));
        key.sign(
            Algorithm::ES256,
            header,
            &Value::Object(claims(&world, json!({}))),
        )
        .unwrap()
    };
    for n in 0..300 {
        assert!(verify(&server, &format!("{input}.{n:086}")).await.is_err());
        assert_invalid(verify(&server, &unknown).await, InvalidToken::UnknownKey);
        assert!(verify(&server, &format!("garbage{n}")).await.is_err());
    }
    let control = world.control();
    assert_eq!(
        (control.count(Endpoint::Jwks), control.count(Endpoint::Discovery)),
        (2, 1)
    );
    world.clock.advance(secs(31));
    assert_invalid(verify(&server, &unknown).await, InvalidToken::UnknownKey);
    assert_eq!(control.count(Endpoint::Jwks), 3, "once in 30 seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_found_and_an_old_one_is_no_longer_believed() {
    let world = World::start().await;
    let server = api(&world).build().unwrap();
    let old = sign(&world, json!({}));
    verify(&server, &old).await.unwrap();
    world.control().rotate_keys(OldKeys::Remove);
    verify(&server, &old).await.unwrap();
    verify(&server, &sign(&world, json!({"jti": "2"}))).await.unwrap();
    assert_eq!(world.control().count(Endpoint::Jwks), 2);
    assert_invalid(verify(&server, &old).await, InvalidToken::UnknownKey);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9068 §4, step 6
async fn a_remembered_token_expires_when_it_expires() {
    let world = World::start().await;
    let server = api(&world).build().unwrap();
    let token = sign(&world, json!({}));
    for (later, good) in [(0, true), (300, true), (59, true), (1, false)] {
        world.clock.advance(secs(later));
        assert_eq!(verify(&server, &token).await.is_ok(), good, "{later} s later");
    }
    assert_invalid(verify(&server, &token).await, InvalidToken::Expired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_fetch_the_keys_once() {
    let world = World::start().await;
    let server = api(&world).build().unwrap();
    let token = sign(&world, json!({}));
    let outcomes = join_all((0..200).map(|_| verify(&server, &token))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let control = world.control();
    assert_eq!(
        (control.count(Endpoint::Jwks), control.count(Endpoint::Discovery)),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_keys_cannot_be_had_nobody_is_told_that_the_token_is_bad() {
    let world = World::start().await;
    let server = api(&world).build().unwrap();
    let token = sign(&world, json!({}));
    world.control().fail(
        Endpoint::Jwks,
        Fault::Status {
            status: 503,
            retry_after: Some(secs(7)),
        },
    );
    let error = verify(&server, &token).await.unwrap_err();
    let reply = server.refuse(&error);
    assert_eq!((reply.status, header(&reply, "retry-after")), (503, Some("7")));
    assert!(challenges(&reply).is_empty());
    world.control().clear_all();
    world.clock.advance(secs(2));
    verify(&server, &token).await.unwrap();
    world.control().go_down().await;
    world.clock.advance(secs(240));
    verify(&server, &token).await.unwrap();
    let other = sign(&world, json!({"jti": "2"}));
    verify(&server, &other)
        .await
        .expect("the last good keys are kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 7662 §2
async fn opaque_tokens_are_looked_up_and_remembered_for_a_minute() {
    let world = World::start().await;
    let server = introspecting(&world).build().unwrap();
    let jwt = sign(&world, json!({"exp": world.clock.clock().now().as_secs() + 3600}));
    let token = world.control().opaque_token(&jwt);
    let found = verify(&server, &token).await.unwrap();
    assert_eq!(
        (found.subject(), found.scopes().to_string()),
        (Some("ada"), "read".to_owned())
    );
    assert_eq!(found.access_token().expose(), token);
    let requests = world.control().requests(Endpoint::Introspect);
    assert_eq!(requests[0].form("token"), Some(token.as_str()));
    assert_eq!(requests[0].form("token_type_hint"), Some("access_token"));
    assert!(requests[0].header("authorization").unwrap().starts_with("Basic "));
    for (later, asked) in [(0, 1), (59, 1), (1, 2), (59, 2), (1, 3)] {
        world.clock.advance(secs(later));
        verify(&server, &token).await.unwrap();
        assert_eq!(
            world.control().count(Endpoint::Introspect),
            asked,
            "{later} s later"
        );
    }
    // A JWT is read here, and nobody is asked about it.
    verify(
        &server,
        &sign(&world, json!({"exp": world.clock.clock().now().as_secs() + 300})),
    )
    .await
    .unwrap();
    assert_eq!(world.control().count(Endpoint::Introspect), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 7662 §2.2
async fn a_token_that_is_not_active_is_asked_about_once_in_five_seconds() {
    let world = World::start().await;
    let server = introspecting(&world).build().unwrap();
    for (later, asked) in [(0, 1), (4, 1), (1, 2)] {
        world.clock.advance(secs(later));
        assert_invalid(verify(&server, "nobody-knows-it").await, InvalidToken::Inactive);
        assert_eq!(
            world.control().count(Endpoint::Introspect),
            asked,
            "{later} s later"
        );
    }
    for active in [json!(false), json!("true"), json!(1), json!(null)] {
        world.clock.advance(secs(6));
        let token = world.control().opaque_token(&sign(&world, json!({})));
        let said = active.clone();
        world.control().tamper_introspection(move |answer| {
            answer.insert("active".to_owned(), said.clone());
        });
        assert_invalid(verify(&server, &token).await, InvalidToken::Inactive);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_ask_about_a_token_once() {
    let world = World::start().await;
    let server = introspecting(&world).build().unwrap();
    let token = world.control().opaque_token(&sign(&world, json!({})));
    let outcomes = join_all((0..200).map(|_| verify(&server, &token))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(world.control().count(Endpoint::Introspect), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_introspection_fails_nobody_is_told_that_the_token_is_bad() {
    let world = World::start().await;
    let server = introspecting(&world).build().unwrap();
    let token = world.control().opaque_token(&sign(&world, json!({})));
    for fault in [
        Fault::status(503),
        Fault::status(429),
        Fault::Reset,
        Fault::oauth(401, "invalid_client"),
        Fault::body(200, "text/html", "<h1>hello</h1>"),
        Fault::body(200, "application/json", "[]"),
        Fault::status(302),
    ] {
        world.control().fail(Endpoint::Introspect, fault.clone());
        let error = verify(&server, &token).await.unwrap_err();
        let reply = server.refuse(&error);
        assert_eq!(reply.status, 503, "{fault:?}");
        assert!(header(&reply, "retry-after").is_some(), "{fault:?}");
        assert!(!reply.body.contains("hello"), "{}", reply.body);
    }
    world.control().clear_all();
    verify(&server, &token).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 7662 §4
async fn what_introspection_says_has_to_agree() {
    let world = World::start().await;
    let server = introspecting(&world).build().unwrap();
    for (changes, error) in [
        (
            json!({"aud": "https://other.example"}),
            InvalidToken::AudienceMismatch,
        ),
        (
            json!({"iss": "https://evil.example"}),
            InvalidToken::IssuerUnknown,
        ),
        (json!({"exp": 1_000}), InvalidToken::Expired),
        (
            json!({"token_type": "refresh_token"}),
            InvalidToken::NotAnAccessToken,
        ),
        (json!({"cnf": {"jkt": "k"}}), InvalidToken::ProofNeeded),
    ] {
        let token = world.control().opaque_token(&sign(&world, json!({})));
        world.control().tamper_introspection(move |answer| {
            for (name, value) in changes.as_object().unwrap() {
                answer.insert(name.clone(), value.clone());
            }
        });
        assert_invalid(verify(&server, &token).await, error);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 7662 §4
async fn an_introspection_endpoint_speaks_for_its_own_issuer_alone() {
    let world = World::start().await;
    let partner = "https://partner.example";
    let server = introspecting(&world)
        .issuer_with_keys(partner, "https://partner.example/keys")
        .build()
        .unwrap();
    let token = |id: u8| world.control().opaque_token(&sign(&world, json!({"jti": id})));
    let own = verify(&server, &token(1)).await.unwrap();
    assert_eq!(own.issuer(), world.provider.issuer());
    world.control().tamper_introspection(move |answer| {
        answer.insert("iss".to_owned(), json!(partner));
    });
    assert_invalid(verify(&server, &token(2)).await, InvalidToken::IssuerUnknown);
}

// ---- proofs -------------------------------------------------------------------------------------------------

fn key() -> SigningKey {
    SigningKey::from_pem(KEY).unwrap()
}

/// A key of these tests alone, on P-256.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg9h6xArnZlfuJmPoa
8jKLSLqIQa5oEcyi7hMsIiUaghahRANCAAQhdYIDRJRfPH7Gouj1akVjD+cToETj
wpWEOtdxetLjq6ARr8X9jutEMdlYK0gEHu2QqobP1aKCEPNMbPCEQYtz
-----END PRIVATE KEY-----";

fn proof(world: &World, token: &str, changes: Value) -> String {
    use base64::Engine as _;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
    let now = world.clock.clock().now().as_secs();
    let mut claims =
        json!({"jti": "p1", "htm": "GET", "htu": format!("{API}/orders"), "iat": now, "ath": hash});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let key = key();
    let mut header = Map::new();
    header.insert("typ".to_owned(), json!("dpop+jwt"));
    header.insert("jwk".to_owned(), key.public_jwk());
    key.sign(Algorithm::ES256, header, &claims).unwrap()
}

fn with_proof(token: &str, proof: &str) -> Head {
    get(&[("authorization", &format!("DPoP {token}")), ("dpop", proof)])
}

fn bound(world: &World) -> String {
    sign(world, json!({"cnf": {"jkt": key().thumbprint()}}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §7.1, §11.1
async fn a_bound_token_comes_with_a_proof_that_is_good_once() {
    let world = World::start().await;
    let server = api(&world).dpop(API).build().unwrap();
    let token = bound(&world);
    let good = proof(&world, &token, json!({}));
    let verified = server.verify(&with_proof(&token, &good)).await.unwrap();
    assert!(verified.is_bound());
    let again = server.verify(&with_proof(&token, &good)).await.unwrap_err();
    assert!(matches!(again, BearerError::InvalidProof(InvalidProof::Replayed)));
    let reply = server.refuse(&again);
    assert_eq!(reply.status, 401);
    let said = challenges(&reply);
    assert!(
        said[0].starts_with("DPoP error=\"invalid_dpop_proof\"") && said[0].contains("algs=\""),
        "{said:?}"
    );
    assert_eq!(said[1], "Bearer");
    let another = proof(&world, &token, json!({"jti": "p2"}));
    server.verify(&with_proof(&token, &another)).await.unwrap();
}

/// A request on a connection whose caller has presented a certificate.
struct Presenting(Head, PeerCertificate);

impl RequestHead for Presenting {
    fn method(&self) -> &str {
        self.0.method()
    }

    fn path(&self) -> &str {
        self.0.path()
    }

    fn query(&self) -> Option<&str> {
        self.0.query()
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        self.0.header_values(name, each);
    }

    fn peer_certificate(&self) -> Option<PeerCertificate> {
        Some(self.1.clone())
    }
}

#[tokio::test] // RFC 8705 §3, §3.1
async fn a_token_that_is_bound_to_a_certificate_comes_with_it() {
    let world = World::start().await;
    let server = api(&world).dpop("https://api.example").build().unwrap();
    let authority = Authority::new();
    let [its, another] = ["its", "another"].map(|name| authority.client(name));
    let peer = |identity: &Identity| {
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        PeerCertificate::from_der(&certificate)
    };
    assert_eq!(peer(&its).thumbprint(), its.thumbprint);
    let token = sign(&world, json!({"cnf": {"x5t#S256": its.thumbprint}}));
    // From the second time on it is remembered, and its certificate is asked for all the same.
    for _ in 0..2 {
        let presented = Presenting(with_token(&token), peer(&its));
        assert!(server.verify(&presented).await.unwrap().is_bound());
        let presented = Presenting(with_token(&token), peer(&another));
        assert_invalid(server.verify(&presented).await, InvalidToken::CertificateMismatch);
        assert_invalid(verify(&server, &token).await, InvalidToken::CertificateNeeded);
    }
    // A certificate is no proof of a key, nor the other way round.
    let presented = Presenting(with_token(&bound(&world)), peer(&its));
    assert_invalid(server.verify(&presented).await, InvalidToken::ProofNeeded);
    let presented = Presenting(with_proof(&token, &proof(&world, &token, json!({}))), peer(&its));
    assert_invalid(server.verify(&presented).await, InvalidToken::NotBound);
    // What is bound to nothing may come with any certificate.
    let presented = Presenting(with_token(&sign(&world, json!({}))), peer(&its));
    assert!(!server.verify(&presented).await.unwrap().is_bound());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §7.1, §7.2
async fn the_scheme_fits_the_token() {
    let world = World::start().await;
    let server = api(&world).dpop(API).build().unwrap();
    let token = bound(&world);
    assert_invalid(verify(&server, &token).await, InvalidToken::ProofNeeded);
    // A proof beside the wrong scheme does not help.
    let good = proof(&world, &token, json!({}));
    let head = get(&[("authorization", &format!("Bearer {token}")), ("dpop", &good)]);
    assert_invalid(server.verify(&head).await, InvalidToken::ProofNeeded);
    let unbound = sign(&world, json!({}));
    let for_it = proof(&world, &unbound, json!({}));
    assert_invalid(
        server.verify(&with_proof(&unbound, &for_it)).await,
        InvalidToken::NotBound,
    );
    let missing = get(&[("authorization", &format!("DPoP {token}"))]);
    let error = server.verify(&missing).await.unwrap_err();
    assert!(matches!(error, BearerError::InvalidProof(InvalidProof::Missing)));
    // Without an address of its own a server can check no proof.
    let deaf = api(&world).build().unwrap();
    assert_invalid(
        deaf.verify(&with_proof(&token, &good)).await,
        InvalidToken::BindingUnsupported,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §4.3
async fn a_proof_for_something_else_is_refused() {
    let world = World::start().await;
    let server = api(&world).dpop(API).build().unwrap();
    let token = bound(&world);
    let now = world.clock.clock().now().as_secs();
    for (changes, error) in [
        (json!({"htm": "POST"}), InvalidProof::OtherRequest),
        (json!({"htu": format!("{API}/other")}), InvalidProof::OtherRequest),
        (json!({"ath": "x"}), InvalidProof::OtherRequest),
        (json!({"iat": now - 200}), InvalidProof::Time),
        (json!({"iat": now + 200}), InvalidProof::Time),
        (json!({"jti": ""}), InvalidProof::Malformed),
    ] {
        let refused = server
            .verify(&with_proof(&token, &proof(&world, &token, changes.clone())))
            .await;
        assert!(
            matches!(refused, Err(BearerError::InvalidProof(found)) if found == error),
            "{changes}: {refused:?}"
        );
    }
    let other = sign(&world, json!({"cnf": {"jkt": "another key"}}));
    let refused = server
        .verify(&with_proof(&other, &proof(&world, &other, json!({}))))
        .await;
    assert_invalid(refused, InvalidToken::BindingMismatch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §11.1
async fn instances_that_share_a_store_remember_proofs_together() {
    let world = World::start().await;
    let instances = [world.auth.clone(), world.instance().await];
    let [first, second] = instances.map(|auth| auth.resource_server(API).build().unwrap());
    let token = bound(&world);
    let good = proof(&world, &token, json!({"htu": format!("{BASE}/orders")}));
    first.verify(&with_proof(&token, &good)).await.unwrap();
    let again = second.verify(&with_proof(&token, &good)).await.unwrap_err();
    assert!(matches!(again, BearerError::InvalidProof(InvalidProof::Replayed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §11.1
async fn apis_alone_that_share_a_store_remember_proofs_together() {
    let world = World::start().await;
    let [first, second] = [world.store.clone(), world.store.clone()]
        .map(|store| api(&world).dpop(API).dpop_store(store).build().unwrap());
    let token = bound(&world);
    let good = proof(&world, &token, json!({}));
    first.verify(&with_proof(&token, &good)).await.unwrap();
    let again = second.verify(&with_proof(&token, &good)).await.unwrap_err();
    assert!(matches!(again, BearerError::InvalidProof(InvalidProof::Replayed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9449 §9
async fn a_nonce_is_given_where_one_is_needed() {
    let world = World::start().await;
    let server = api(&world).dpop(API).dpop_nonces().build().unwrap();
    let token = bound(&world);
    let error = server
        .verify(&with_proof(&token, &proof(&world, &token, json!({}))))
        .await
        .unwrap_err();
    let reply = server.refuse(&error);
    assert!(challenges(&reply)[0].starts_with("DPoP error=\"use_dpop_nonce\""));
    let nonce = header(&reply, "dpop-nonce").unwrap().to_owned();
    let good = proof(&world, &token, json!({"nonce": nonce}));
    server.verify(&with_proof(&token, &good)).await.unwrap();
}

// ---- answers ------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 6750 §3, §3.1
async fn the_challenge_says_what_is_wrong_and_nothing_without_a_token() {
    let world = World::start().await;
    let server = api(&world).realm("orders").build().unwrap();
    let refuse = async |head: Head| server.refuse(&server.verify(&head).await.unwrap_err());

    let without = refuse(get(&[])).await;
    assert_eq!(
        (without.status, challenges(&without)),
        (401, vec!["Bearer realm=\"orders\""])
    );
    let other_scheme = refuse(get(&[("authorization", "Basic YTpi")])).await;
    assert_eq!(challenges(&other_scheme), ["Bearer realm=\"orders\""]);

    let bad = refuse(with_token("nonsense")).await;
    assert_eq!(bad.status, 401);
    assert_eq!(
        challenges(&bad),
        [
            "Bearer realm=\"orders\", error=\"invalid_token\", error_description=\"the access token is malformed\""
        ]
    );
    let body: Value = serde_json::from_str(&bad.body).unwrap();
    assert_eq!(
        (&body["error"], &body["code"], &body["status"]),
        (&json!("invalid_token"), &json!("bearer.malformed"), &json!(401))
    );
    assert_eq!(header(&bad, "content-type"), Some("application/problem+json"));

    for odd in [
        get(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]),
        get(&[("authorization", "Bearer a b")]),
        get(&[("authorization", "Bearer")]),
    ] {
        let reply = refuse(odd).await;
        assert_eq!(reply.status, 400);
        assert!(challenges(&reply)[0].contains("error=\"invalid_request\""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 6750 §3.1; RFC 9470 §3
async fn gates_ask_for_scopes_and_for_fresh_and_strong_authentication() {
    let world = World::start().await;
    let server = api(&world).build().unwrap();
    let now = world.clock.clock().now().as_secs();
    let token = sign(
        &world,
        json!({"scope": "read write", "auth_time": now - 100, "acr": "silver", "groups": ["staff"]}),
    );
    let token = verify(&server, &token).await.unwrap();
    let check = |gate: BearerGate| {
        gate.check(&token, server.now())
            .map_err(|error| Box::new(server.refuse(&error)))
    };
    for open in [
        BearerGate::token(),
        BearerGate::token().scope("read write"),
        BearerGate::token().claim("groups", "staff").claim("sub", "ada"),
        BearerGate::token().within(secs(101)),
        BearerGate::token().any_acr(["gold", "silver"]),
    ] {
        assert!(check(open.clone()).is_ok(), "{open:?}");
    }
    let scope = check(BearerGate::token().scope("read").scope("admin")).unwrap_err();
    assert_eq!(scope.status, 403);
    assert_eq!(
        challenges(&scope),
        [
            "Bearer error=\"insufficient_scope\", error_description=\"the access token was not granted the scope\", scope=\"read admin\""
        ]
    );
    let claim = check(BearerGate::token().claim("groups", "board")).unwrap_err();
    assert_eq!(claim.status, 403);
    let stale = BearerGate::token().within(secs(99)).any_acr(["silver"]);
    let reply = check(stale).unwrap_err();
    assert_eq!(reply.status, 401);
    let said = challenges(&reply)[0];
    assert!(
        said.starts_with("Bearer error=\"insufficient_user_authentication\""),
        "{said}"
    );
    assert!(said.ends_with("acr_values=\"silver\", max_age=\"99\""), "{said}");
    let weak = check(BearerGate::token().any_acr(["gold"])).unwrap_err();
    assert!(challenges(&weak)[0].ends_with("acr_values=\"gold\""));
    // What cannot stand in a challenge matches nothing, and opens nothing.
    assert!(check(BearerGate::token().any_acr(["a\"b"])).is_err());
    // A token that does not say when: not fresh. One of the future: neither.
    for claims in [
        json!({}),
        json!({"auth_time": now + 61}),
        json!({"auth_time": "now"}),
    ] {
        let token = verify(&server, &sign(&world, claims)).await.unwrap();
        assert!(
            BearerGate::token()
                .within(secs(1000))
                .check(&token, server.now())
                .is_err()
        );
    }
    // By a clock that is ahead of ours.
    let token = verify(&server, &sign(&world, json!({"auth_time": now + 60})))
        .await
        .unwrap();
    let checked = BearerGate::token().within(secs(1000)).check(&token, server.now());
    assert!(checked.is_ok());
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    let good = || {
        ResourceServer::builder()
            .issuer("https://id.example")
            .audience(API)
    };
    assert!(good().build().is_ok());
    for (builder, named) in [
        (ResourceServer::builder().issuer("https://id.example"), "audience"),
        (good().audience(""), "audience"),
        (ResourceServer::builder().audience(API), "issuer"),
        (good().issuer("http://id.example"), "issuer"),
        (good().issuer("https://id.example"), "issuer"),
        (
            good().issuer_with_keys("https://b.example", "ftp://b.example"),
            "issuer_with_keys",
        ),
        (good().algorithms([]), "algorithms"),
        (good().dpop("api.example"), "dpop"),
        (good().dpop_nonces(), "dpop_nonces"),
        (good().dpop_store(MemoryStore::default()), "dpop_store"),
        (good().realm("a\"b"), "realm"),
        (good().introspection_of_provider(), "introspection_of_provider"),
        (
            good().introspection("http://id.example", IntrospectionClient::secret_basic("a", "b")),
            "introspection",
        ),
        (
            good().introspection("https://id.example", IntrospectionClient::secret_basic("", "b")),
            "introspection",
        ),
    ] {
        let error = builder.build().expect_err(named);
        assert_eq!(error.variable(), named, "{error}");
    }
    let client = format!("{:?}", IntrospectionClient::secret_post("id", "s3cret"));
    assert!(!client.contains("s3cret"), "{client}");
}

// ---- who a plain OAuth 2.0 provider's user is ----------------------------------------------------------------

/// The world's provider without discovery and ID tokens.
async fn plain(
    world: &World,
    set: impl FnOnce(auth_core::AuthBuilder) -> auth_core::AuthBuilder,
) -> auth_core::Auth {
    let at = |path: &str| format!("{}{path}", world.provider.issuer());
    let builder = auth_core::Auth::builder()
        .base_url(BASE)
        .endpoints(at("/authorize"), at("/token"))
        .client(CLIENT, Some(SECRET))
        .scopes("profile offline_access")
        .clock(world.clock.clock());
    set(builder).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9068 §4
async fn the_user_of_plain_oauth_is_the_verified_access_token_s() {
    let world = World::start().await;
    let issuer = world.provider.issuer().to_owned();
    let jwks = format!("{issuer}/jwks");
    let api = world.provider.api_url().to_owned();
    let auth = plain(&world, |builder| {
        builder
            .userinfo_url(format!("{issuer}/userinfo"))
            .user_from_access_token(&issuer, &jwks, &api)
    })
    .await;
    let id = world.browser_of(&auth).sign_in("/").await;
    let session = auth.authenticate(Some(&id)).await.unwrap();
    assert_eq!(
        (session.subject(), session.claims().get("client_id")),
        ("ada", Some(&json!(CLIENT)))
    );
    assert_eq!(world.control().count(Endpoint::Userinfo), 0);
    // The same keys serve its resource server.
    let server = auth.resource_server(&api).build().unwrap();
    let token = auth.access_token(&session).await.unwrap();
    assert_eq!(
        verify(&server, token.expose()).await.unwrap().subject(),
        Some("ada")
    );
    assert_eq!(world.control().count(Endpoint::Jwks), 1);

    for (issuer, api) in [
        ("https://other.example", api.as_str()),
        (issuer.as_str(), "https://other.example"),
    ] {
        let auth = plain(&world, |builder| {
            builder.user_from_access_token(issuer, &jwks, api)
        })
        .await;
        let reply = world.browser_of(&auth).try_sign_in("/").await;
        crate::world::assert_page(&reply, 502, "login.access_token_refused");
    }
    for bad in [
        "opaque".to_owned(),
        sign(&world, json!({"aud": api, "exp": 1_000})),
    ] {
        let replaced = bad.clone();
        world.control().tamper_token_response(move |answer| {
            answer.insert("access_token".to_owned(), json!(replaced));
        });
        let auth = plain(&world, |builder| {
            builder.user_from_access_token(&issuer, &jwks, &api)
        })
        .await;
        let reply = world.browser_of(&auth).try_sign_in("/").await;
        crate::world::assert_page(&reply, 502, "login.access_token_refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unverified_access_token_is_believed_by_those_who_insist_only() {
    let world = World::start().await;
    // Signed by nobody.
    let forged = format!("e30.{}.x", "eyJzdWIiOiJtYWxsb3J5In0");
    let replaced = forged.clone();
    world.control().tamper_token_response(move |answer| {
        answer.insert("access_token".to_owned(), json!(replaced));
    });
    let auth = plain(
        &world,
        auth_core::AuthBuilder::dangerous_user_from_unverified_access_token,
    )
    .await;
    let id = world.browser_of(&auth).sign_in("/").await;
    assert_eq!(auth.authenticate(Some(&id)).await.unwrap().subject(), "mallory");
    let careful = plain(&world, |builder| builder).await;
    let id = world.browser_of(&careful).sign_in("/").await;
    assert_eq!(careful.authenticate(Some(&id)).await.unwrap().subject(), "");

    let decoded = dangerous_decode_without_verification(&AccessToken::new(forged)).unwrap();
    assert_eq!(decoded["sub"], "mallory");
    for odd in ["", "a", "a.b", "a.b.c", "e30.W10.x", "e30.e30.e30.e30"] {
        assert_eq!(
            dangerous_decode_without_verification(&AccessToken::new(odd)),
            None,
            "{odd}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_openid_provider_s_user_comes_from_the_id_token_alone() {
    for builder in [
        auth_core::Auth::builder().dangerous_user_from_unverified_access_token(),
        auth_core::Auth::builder().user_from_access_token("https://a.example", "https://a.example/k", API),
    ] {
        let built = builder
            .base_url(BASE)
            .issuer("https://id.example")
            .client(CLIENT, None)
            .build()
            .await;
        assert_eq!(built.expect_err("refused").variable(), "AUTH_ISSUER");
    }
}
