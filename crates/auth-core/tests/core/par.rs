//! Pushed authorization requests (RFC 9126): what is pushed and what the browser carries, when, and what becomes of a
//! sign-in where it fails.

use std::collections::BTreeMap;
use std::time::Instant;

use auth_core::config::{ClientAuthMethod, ParPolicy};
use auth_core::jose::SigningKey;
use auth_core::{Auth, AuthBuilder};
use auth_testing::{Client, Endpoint, Fault, PublicKey, RecordedRequest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::world::{BASE, Browser, CLIENT, SECRET, World, assert_page, header, location, secs};

pub(crate) fn always(builder: AuthBuilder) -> AuthBuilder {
    builder.par(ParPolicy::Always)
}

/// A private key for P-256, PKCS#8 in PEM form.
pub(crate) fn private_key() -> String {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let body = STANDARD.encode(key.to_pkcs8v1().unwrap().as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// The public half.
pub(crate) fn public_key(pem: &str) -> PublicKey {
    PublicKey::from_jwk(&SigningKey::from_pem(pem).unwrap().public_jwk()).unwrap()
}

pub(crate) fn query(url: &str) -> Vec<(String, String)> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

/// The form of the latest push, without what authenticates the client. No parameter stands there twice.
pub(crate) fn pushed(world: &World) -> BTreeMap<String, String> {
    let request = last_push(world);
    let form: BTreeMap<_, _> = request.form.iter().cloned().collect();
    assert_eq!(form.len(), request.form.len(), "a parameter is repeated");
    form
}

fn last_push(world: &World) -> RecordedRequest {
    let requests = world.control().requests(Endpoint::PushedAuthorization);
    requests.last().expect("a pushed request").clone()
}

fn pushes(world: &World) -> u64 {
    world.control().count(Endpoint::PushedAuthorization)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9126 §2.1, §4
async fn the_browser_carries_the_client_s_id_and_a_name_and_nothing_else() {
    let world = World::with(|builder| always(builder).authorize_param("ui_locales", "de")).await;
    let mut browser = world.browser();
    let url = browser.begin("/here?a=1").await;
    let carried = query(&url);
    let names: Vec<_> = carried.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    assert_eq!(carried[0].1, CLIENT);

    let form = pushed(&world);
    let names: Vec<_> = form.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "client_id",
            "code_challenge",
            "code_challenge_method",
            "nonce",
            "redirect_uri",
            "response_type",
            "scope",
            "state",
            "ui_locales",
        ]
    );
    assert_eq!(form["redirect_uri"], format!("{BASE}/auth/callback"));
    assert_eq!((&*form["response_type"], &*form["ui_locales"]), ("code", "de"));

    let target = browser.approve(&url).await;
    assert_eq!(location(&browser.callback(&target).await), "/here?a=1");
    assert!(browser.session().is_some());
    // The provider uses a name once, and each sign-in has one of its own.
    assert!(world.provider.approve(&url, "ada").await.is_err());
    assert_ne!(query(&browser.begin("/").await)[1].1, carried[1].1);
    assert_eq!(pushes(&world), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9126 §5
async fn requests_are_pushed_where_discovery_demands_it_and_the_policy_allows_it() {
    let world = World::start().await;
    let with = async |policy| world.instance_with(|builder| builder.par(policy)).await;
    for (policy, is_pushed) in [
        (ParPolicy::Auto, false),
        (ParPolicy::Never, false),
        (ParPolicy::Always, true),
    ] {
        let before = pushes(&world);
        let auth = with(policy).await;
        world.browser_of(&auth).sign_in("/").await;
        assert_eq!(pushes(&world) - before, u64::from(is_pushed), "{policy:?}");
    }
    world.control().require_pushed_requests(true);
    let before = pushes(&world);
    let auth = with(ParPolicy::Auto).await;
    world.browser_of(&auth).sign_in("/").await;
    assert_eq!(pushes(&world), before + 1);
    let auth = with(ParPolicy::Never).await;
    let mut browser = world.browser_of(&auth);
    assert_page(&browser.login("/").await, 502, "login.push_required");
    assert!(browser.cookies.is_empty());
    assert_eq!(pushes(&world), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9126 §5
async fn a_provider_without_the_endpoint_cannot_be_pushed_to() {
    let world = World::with(always).await;
    world.control().tamper_discovery(|document| {
        document.remove("pushed_authorization_request_endpoint");
    });
    assert_page(&world.browser().login("/").await, 502, "login.push_unsupported");
    world.control().require_pushed_requests(true);
    let auth = world.instance().await;
    let reply = world.browser_of(&auth).login("/").await;
    assert_page(&reply, 502, "provider.discovery_insufficient");
    assert!(
        reply.body.contains("pushed_authorization_request_endpoint"),
        "{}",
        reply.body
    );

    // An address given by hand takes the place of discovery's.
    let endpoint = format!("{}/par", world.provider.issuer());
    let auth = world
        .instance_with(|builder| builder.pushed_authorization_request_url(endpoint))
        .await;
    world.browser_of(&auth).sign_in("/").await;
    assert_eq!(pushes(&world), 1);
}

#[tokio::test] // RFC 9126 §5
async fn without_discovery_the_endpoint_is_given_by_hand() {
    let plain = || {
        Auth::builder()
            .base_url(BASE)
            .endpoints("https://id.example/authorize", "https://id.example/token")
            .client(CLIENT, Some(SECRET))
            .par(ParPolicy::Always)
    };
    let error = plain().build().await.unwrap_err();
    assert_eq!(error.variable(), "AUTH_PAR");
    let error = plain()
        .pushed_authorization_request_url("http://id.example/par")
        .build()
        .await
        .unwrap_err();
    assert_eq!(error.variable(), "pushed_authorization_request_url");
    plain()
        .pushed_authorization_request_url("https://id.example/par")
        .build()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9126 §2.1
async fn the_client_authenticates_as_it_does_at_the_token_endpoint() {
    let pem = private_key();
    let registered = |client: Client| client.redirect_uri(format!("{BASE}/auth/callback"));
    let world = World::start().await;
    for (method, client) in [
        (
            ClientAuthMethod::ClientSecretBasic,
            Client::confidential(CLIENT, SECRET),
        ),
        (
            ClientAuthMethod::ClientSecretPost,
            Client::secret_post(CLIENT, SECRET),
        ),
        (
            ClientAuthMethod::PrivateKeyJwt,
            Client::private_key_jwt(CLIENT, public_key(&pem)),
        ),
        (
            ClientAuthMethod::ClientSecretJwt,
            Client::secret_jwt(CLIENT, SECRET),
        ),
        (ClientAuthMethod::None, Client::public(CLIENT)),
    ] {
        world.control().register(registered(client));
        let auth = world
            .instance_with(|builder| always(builder).client_auth(method).client_key_pem(&pem))
            .await;
        let reply = world.browser_of(&auth).try_sign_in("/").await;
        assert_eq!(reply.status, 303, "{method:?}: {}", reply.body);
        let form = pushed(&world);
        assert_eq!(form["client_id"], CLIENT, "{method:?}");
        let at_token = world.control().requests(Endpoint::Token).pop().unwrap();
        for name in ["client_secret", "client_assertion", "client_assertion_type"] {
            assert_eq!(
                form.contains_key(name),
                at_token.form(name).is_some(),
                "{method:?}: {name}"
            );
        }
        if method == ClientAuthMethod::PrivateKeyJwt {
            assert_ne!(
                Some(&*form["client_assertion"]),
                at_token.form("client_assertion")
            );
        }
    }
}

/// The answer of `/auth/login` while pushes fail so.
async fn login_with(world: &World, browser: &mut Browser<'_>, fault: Fault) -> auth_core::reply::Reply {
    world.control().fail_next(Endpoint::PushedAuthorization, 1, fault);
    browser.login("/").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9126 §2.3
async fn a_push_that_fails_is_a_page_and_leaves_no_attempt_behind() {
    let world = World::with(always).await;
    let mut browser = world.browser();
    let json = "application/json";
    let unavailable = Fault::Status {
        status: 503,
        retry_after: Some(secs(7)),
    };
    for (fault, status, code) in [
        (unavailable, 503, "login.push_unavailable"),
        (Fault::status(500), 503, "login.push_unavailable"),
        (Fault::status(429), 503, "login.push_unavailable"),
        (Fault::Reset, 503, "login.push_unavailable"),
        (
            Fault::oauth(400, "temporarily_unavailable"),
            503,
            "login.provider_unavailable",
        ),
        (Fault::oauth(400, "server_error"), 502, "login.provider_error"),
        (Fault::oauth(401, "invalid_client"), 502, "login.client_refused"),
        (Fault::oauth(400, "invalid_request"), 502, "login.request_invalid"),
        (Fault::oauth(400, "invalid_scope"), 502, "login.scope_refused"),
        (Fault::oauth(400, "invalid_target"), 502, "login.resource_refused"),
        (
            Fault::oauth(400, "invalid_redirect_uri"),
            502,
            "login.redirect_uri_refused",
        ),
        (Fault::oauth(400, "what_is_this"), 502, "login.push_refused"),
        (Fault::status(302), 502, "login.push_malformed"),
        (Fault::status(404), 502, "login.push_malformed"),
        (Fault::body(201, json, "{}"), 502, "login.push_malformed"),
        (
            Fault::body(200, "text/html", "<html>"),
            502,
            "login.push_malformed",
        ),
        (
            Fault::body(201, json, vec![b' '; 2 << 20]),
            502,
            "login.push_malformed",
        ),
    ] {
        let shown = format!("{fault:?}");
        let reply = login_with(&world, &mut browser, fault).await;
        assert_page(&reply, status, code);
        assert_eq!(header(&reply, "retry-after").is_some(), status == 503, "{shown}");
        assert!(browser.cookies.is_empty(), "{shown}");
    }
    let reply = login_with(
        &world,
        &mut browser,
        Fault::Status {
            status: 503,
            retry_after: Some(secs(7)),
        },
    )
    .await;
    assert_eq!(header(&reply, "retry-after"), Some("7"));
    browser.sign_in("/").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_ends_within_the_limit_for_one_call() {
    let world = World::with(|builder| always(builder).http_timeout(secs(1))).await;
    let mut browser = world.browser();
    browser.begin("/").await;
    let began = Instant::now();
    world.control().fail(Endpoint::PushedAuthorization, Fault::Hang);
    assert_page(&browser.login("/").await, 503, "login.push_unavailable");
    assert!(began.elapsed() < secs(5));
    world.control().clear(Endpoint::PushedAuthorization);
    browser.sign_in("/").await;
}

// RFC 9126 §7.3: each push costs the provider a request, so nobody's page, image or prefetch is to cause one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_begins_no_sign_in_pushes_nothing() {
    let world = World::with(always).await;
    let mut browser = world.browser();
    let site = ("sec-fetch-site", "cross-site");
    for (method, target, headers, status) in [
        ("GET", "/auth/login", &[("sec-purpose", "prefetch")][..], 503),
        ("GET", "/auth/login", &[("purpose", "prefetch")], 503),
        ("HEAD", "/auth/login", &[], 405),
        ("GET", "/auth/login?iss=https%3A%2F%2Fevil.example", &[], 400),
        ("GET", "/auth/login", &[site, ("sec-fetch-mode", "no-cors")], 403),
        ("GET", "/auth/login", &[site, ("sec-fetch-mode", "cors")], 403),
    ] {
        let mut head = browser.head(method, target);
        head.headers
            .extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let reply = browser.auth.login(browser.request_of(&head)).await;
        browser.take(&reply);
        assert_eq!(reply.status, status, "{method} {target} {headers:?}");
        assert!(browser.cookies.is_empty(), "{method} {target} {headers:?}");
    }
    assert_eq!(pushes(&world), 0);
    // A link on another site's page begins one.
    let mut head = browser.head("GET", "/auth/login");
    head.headers
        .extend([site, ("sec-fetch-mode", "navigate")].map(|(name, value)| (name, value.to_owned())));
    assert_eq!(browser.auth.login(browser.request_of(&head)).await.status, 303);
    assert_eq!(pushes(&world), 1);
}
