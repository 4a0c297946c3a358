//! Signed authorization responses (JARM): everything in one token, verified before anything of it is believed.

use auth_core::config::ResponseMode;
use auth_core::jose::Algorithm;
use auth_core::reply::Reply;
use auth_core::request::RouteRequest;
use auth_testing::{Endpoint, OldKeys, SigningAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use url::Url;

use crate::par::{always, pushed, query};
use crate::world::{Browser, World, assert_page, location, secs};

async fn world() -> World {
    World::with(|builder| builder.response_mode(ResponseMode::Jwt)).await
}

/// A sign-in that the provider has let pass: the browser, and the signed response.
async fn approved(world: &World) -> (Browser<'_>, String) {
    let mut browser = world.browser();
    let url = browser.begin("/here").await;
    let target = browser.approve(&url).await;
    let (_, response) = target.split_once("response=").expect("a signed response");
    (browser, response.to_owned())
}

fn claims(response: &str) -> Map<String, Value> {
    let payload = response.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn with(response: &str, name: &str, value: Value) -> Map<String, Value> {
    let mut claims = claims(response);
    claims.insert(name.to_owned(), value);
    claims
}

async fn answer(browser: &mut Browser<'_>, query: &str) -> Reply {
    browser.callback(&format!("/auth/callback?{query}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.3
async fn a_signed_response_signs_in() {
    let world = world().await;
    let mut browser = world.browser();
    let url = browser.begin("/here").await;
    let asked: Vec<_> = query(&url)
        .into_iter()
        .filter(|(name, _)| name == "response_mode")
        .collect();
    assert_eq!(asked, [("response_mode".to_owned(), "query.jwt".to_owned())]);
    let target = browser.approve(&url).await;
    let names: Vec<_> = query(&format!("http://x{target}"))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["response"], "the provider's answer is one token");
    assert_eq!(location(&browser.callback(&target).await), "/here");
    assert!(browser.session().is_some());
    // In a browser that is signed in, the same answer goes on to the app.
    assert_eq!(location(&browser.callback(&target).await), "/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.3
async fn a_signed_response_may_be_a_form() {
    let world = World::with(|builder| always(builder).response_mode(ResponseMode::FormPostJwt)).await;
    let mut browser = world.browser();
    let url = browser.begin("/here").await;
    assert_eq!(pushed(&world)["response_mode"], "form_post.jwt");
    let approval = world.provider.approve(&url, "ada").await.unwrap();
    let form = approval.form.expect("a form");
    assert_eq!(form.len(), 1);
    let mut head = browser.head("POST", "/auth/callback");
    let media_type = "application/x-www-form-urlencoded".to_owned();
    head.headers.push(("content-type", media_type));
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request: RouteRequest = browser.auth.route_request(&head, body.into_bytes(), None);
    let reply = browser.auth.callback(request).await;
    browser.take(&reply);
    assert_eq!(location(&reply), "/here");
    assert!(browser.session().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.1
async fn an_error_comes_signed_too() {
    let world = world().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let denied = world.provider.deny(&url).await.unwrap().callback_url;
    let url = Url::parse(&denied).unwrap();
    let reply = answer(&mut browser, url.query().unwrap()).await;
    assert_page(&reply, 403, "login.access_denied");
    assert!(browser.cookies.is_empty(), "the attempt is used up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.1
async fn nothing_of_a_response_stands_outside_of_what_is_signed() {
    let world = world().await;
    for plain in ["", "code", "state", "iss", "error"] {
        let (mut browser, response) = approved(&world).await;
        let claims = claims(&response);
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or("x").to_owned();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if plain.is_empty() {
            query.extend_pairs(["code", "state", "iss"].map(|name| (name, text(name))));
        } else {
            query
                .append_pair("response", &response)
                .append_pair(plain, &text(plain));
        }
        let cookies = browser.cookies.clone();
        let reply = answer(&mut browser, &query.finish()).await;
        assert_page(&reply, 400, "login.response_unsigned");
        // The attempt is used up whatever came of it.
        browser.cookies = cookies;
        let reply = answer(&mut browser, &format!("response={response}")).await;
        assert_page(&reply, 400, "login.state_replayed");
    }
    let (mut browser, response) = approved(&world).await;
    let twice = format!("response={response}&response={response}");
    assert_page(
        &answer(&mut browser, &twice).await,
        400,
        "login.parameter_repeated",
    );
    assert_eq!(world.control().count(Endpoint::Token), 0);
    // Where responses are not signed, a signed one is none.
    let plain = world
        .instance_with(|builder| builder.response_mode(ResponseMode::Query))
        .await;
    let mut elsewhere = world.browser_of(&plain);
    elsewhere.cookies = browser.cookies.clone();
    let reply = answer(&mut elsewhere, &format!("response={response}")).await;
    assert_page(&reply, 400, "login.state_missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.4
async fn a_response_that_does_not_verify_is_refused() {
    let world = world().await;
    let sign = |claims: &Map<String, Value>| world.control().sign_jwt("JWT", claims);
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    type Forge<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(Forge<'_>, &str); 9] = [
        (
            &|good| sign(&with(good, "iss", json!("https://evil.example"))),
            "login.issuer_mismatch",
        ),
        (
            &|good| sign(&with(good, "iss", Value::Null)),
            "login.issuer_mismatch",
        ),
        (
            &|good| sign(&with(good, "aud", json!("another"))),
            "login.response_audience",
        ),
        (
            &|good| sign(&with(good, "exp", json!(1))),
            "login.response_expired",
        ),
        (
            &|good| sign(&with(good, "exp", Value::Null)),
            "login.response_expired",
        ),
        (
            &|good| sign(&with(good, "code", Value::Null)),
            "login.code_missing",
        ),
        (
            &|good| world.control().sign_jwt("at+jwt", &claims(good)),
            "login.response_malformed",
        ),
        (
            &|good| {
                let claims = Value::Object(claims(good)).to_string();
                format!("{}.{}.", part(json!({"alg": "none"}).to_string()), part(claims))
            },
            "login.response_algorithm",
        ),
        (
            &|good| {
                let (message, _) = good.rsplit_once('.').unwrap();
                format!("{message}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
            },
            "login.response_signature",
        ),
    ];
    for (forge, code) in cases {
        let (mut browser, good) = approved(&world).await;
        let reply = answer(&mut browser, &format!("response={}", forge(&good))).await;
        assert_page(&reply, 400, code);
        assert!(
            browser.session().is_none() && browser.cookies.is_empty(),
            "{code}"
        );
    }
    for (response, code) in [("nonsense", "login.state_missing"), ("", "login.state_missing")] {
        let (mut browser, _) = approved(&world).await;
        let reply = answer(&mut browser, &format!("response={response}")).await;
        assert_page(&reply, 400, code);
    }
    assert_eq!(world.control().count(Endpoint::Token), 0);
    // The same, changed in nothing.
    let (mut browser, good) = approved(&world).await;
    let again = sign(&claims(&good));
    assert_eq!(
        location(&answer(&mut browser, &format!("response={again}")).await),
        "/here"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_is_good_until_it_expires() {
    let world = world().await;
    let (mut browser, response) = approved(&world).await;
    world.clock.advance(secs(661));
    let reply = answer(&mut browser, &format!("response={response}")).await;
    assert_page(&reply, 400, "login.response_expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.4
async fn keys_that_have_changed_are_found() {
    let world = world().await;
    world.sign_in().await;
    world.control().rotate_keys(OldKeys::Remove);
    world.clock.advance(secs(31));
    let asked = world.control().count(Endpoint::Jwks);
    world.sign_in().await;
    assert_eq!(world.control().count(Endpoint::Jwks), asked + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // JARM §2.4
async fn the_algorithm_is_one_that_is_allowed() {
    let world = world().await;
    let sign_in = async |set: &[Algorithm]| {
        let algorithms = set.to_vec();
        let auth = world
            .instance_with(|builder| {
                let builder = builder.response_mode(ResponseMode::Jwt);
                if algorithms.is_empty() {
                    builder
                } else {
                    builder.id_token_algorithms(algorithms)
                }
            })
            .await;
        world.browser_of(&auth).try_sign_in("/").await
    };
    assert_eq!(sign_in(&[Algorithm::ES256]).await.status, 303);
    assert_page(
        &sign_in(&[Algorithm::RS256]).await,
        400,
        "login.response_algorithm",
    );
    // What the provider says of its responses counts, and what it says of its ID tokens where it says nothing of those.
    world.control().tamper_discovery(|document| {
        document.insert(
            "authorization_signing_alg_values_supported".to_owned(),
            json!(["none", "HS256", "RS256"]),
        );
    });
    assert_page(&sign_in(&[]).await, 400, "login.response_algorithm");
    world.control().tamper_discovery(|document| {
        document.remove("authorization_signing_alg_values_supported");
    });
    assert_eq!(sign_in(&[]).await.status, 303);
    let rs256 = world.control().add_key(SigningAlgorithm::Rs256);
    world.control().sign_with(&rs256);
    world.clock.advance(secs(31));
    assert_page(
        &sign_in(&[Algorithm::ES256]).await,
        400,
        "login.response_algorithm",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_keys_nobody_is_signed_in() {
    let world = world().await;
    let (mut browser, response) = approved(&world).await;
    world
        .control()
        .fail(Endpoint::Jwks, auth_testing::Fault::status(500));
    let reply = answer(&mut browser, &format!("response={response}")).await;
    assert_page(&reply, 503, "provider.unavailable");
    assert_eq!(world.control().count(Endpoint::Token), 0);
}
