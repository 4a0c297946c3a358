//! Rules of the specifications that no other module has; `docs/specifications.md` lists all of them.

use auth_core::clock::Timestamp;
use auth_core::config::UserinfoPolicy;
use auth_core::error::NotSignedIn;
use auth_core::secret::SessionId;
use auth_core::{Auth, Error, Refused};
use auth_testing::{Endpoint, Fault};
use serde_json::{Map, Value, json};
use url::Url;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::world::{BASE, CLIENT, World, assert_page, header, location, secs};

type Members = Map<String, Value>;

/// The members of the discovery document become these; `null` takes one out.
fn discovery(world: &World, members: Value) {
    world
        .control()
        .tamper_discovery(move |document| change(document, &members));
}

/// The claims of all coming ID tokens become these; `null` takes one out.
fn claims(world: &World, members: Value) {
    world
        .control()
        .tamper_id_token(move |_, claims| change(claims, &members));
}

fn change(object: &mut Members, members: &Value) {
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}

/// A sign-in with this discovery document ends at a 502 page about the document.
async fn assert_document_refused(world: &World, members: Value) {
    discovery(world, members.clone());
    let auth = world.instance().await;
    let reply = world.browser_of(&auth).login("/").await;
    assert_page(&reply, 502, "provider.discovery_insufficient");
    assert_eq!(header(&reply, "location"), None, "{members}");
}

/// Discovery 1.0 §3; RFC 6749 §3.1 and §3.2: an endpoint has no fragment, and whoever reads its URL sees no password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_have_neither_fragment_nor_credentials() {
    let world = World::start().await;
    let issuer = world.provider.issuer().to_owned();
    let host = issuer.strip_prefix("http://").unwrap().to_owned();
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
        "revocation_endpoint",
        "introspection_endpoint",
        "end_session_endpoint",
    ] {
        for url in [
            format!("{issuer}/x#fragment"),
            format!("http://user@{host}/x"),
            "http://id.example/x".to_owned(),
        ] {
            assert_document_refused(&world, json!({ name: url })).await;
        }
    }
}

/// RFC 6749 §3.1 and §3.2: the query of an endpoint's URL is kept when parameters are added.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_of_an_endpoint_is_kept() {
    let world = World::start().await;
    let at = |path: &str| format!("{}{path}?tenant=a%20b&policy", world.provider.issuer());
    discovery(
        &world,
        json!({
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/jwks"),
            "revocation_endpoint": at("/revoke"),
            "end_session_endpoint": at("/end-session"),
        }),
    );
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    assert!(
        url.starts_with(&format!("{}&response_type=code&", at("/authorize"))),
        "{url}"
    );
    let target = browser.approve(&url).await;
    assert_eq!(browser.callback(&target).await.status, 303);
    let reply = browser.logout().await;
    assert!(location(&reply).starts_with(&format!("{}&", at("/end-session"))));
    for endpoint in [
        Endpoint::Token,
        Endpoint::Userinfo,
        Endpoint::Jwks,
        Endpoint::Revoke,
    ] {
        let requests = world.control().requests(endpoint);
        assert!(!requests.is_empty(), "{endpoint:?}");
        for request in requests {
            assert_eq!(request.query, "tenant=a%20b&policy", "{endpoint:?}");
        }
    }
}

/// Discovery 1.0 §3, RFC 8414 §2, RFC 9700 §2.1.1: a provider that says what it can do, and not this, is not used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_do_the_code_flow_with_pkce_is_not_used() {
    let world = World::start().await;
    for members in [
        json!({"response_types_supported": ["id_token", "code id_token", "code token"]}),
        json!({"response_types_supported": []}),
        json!({"grant_types_supported": ["implicit", "refresh_token"]}),
        json!({"code_challenge_methods_supported": ["plain"]}),
        json!({"code_challenge_methods_supported": ["s256"]}),
        json!({"code_challenge_methods_supported": []}),
        json!({"id_token_signing_alg_values_supported": ["none", "HS256"]}),
    ] {
        assert_document_refused(&world, members).await;
    }
    // What a document need not say, and what nobody here knows.
    for members in [
        json!({"response_types_supported": ["code id_token", "code"]}),
        json!({"grant_types_supported": null}),
        json!({"grant_types_supported": ["authorization_code"]}),
        json!({"code_challenge_methods_supported": null}),
        json!({"token_endpoint_auth_methods_supported": null}),
        json!({"unheard_of": {"nested": [1]}, "scopes_supported": "odd"}),
    ] {
        discovery(&world, members);
        let auth = world.instance().await;
        world.browser_of(&auth).sign_in("/").await;
    }
}

/// Discovery 1.0 §4.1 and §4.3: the well-known path goes behind the whole issuer, less its last slash; the issuer in
/// the document has that slash or has it not, as the configured one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_well_known_path_goes_behind_the_whole_issuer() {
    let world = World::start().await;
    for (configured, named, is_good) in [
        ("", "", true),
        ("/", "/", true),
        ("/tenant/a", "/tenant/a", true),
        ("/tenant/a/", "/tenant/a/", true),
        ("/tenant/a/", "/tenant/a", false),
        ("/tenant/a", "/tenant/a/", false),
        ("/tenant/a", "/tenant/A", false),
    ] {
        let server = MockServer::start().await;
        let origin = server.uri();
        let document = json!({
            "issuer": format!("{origin}{named}"),
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
            "jwks_uri": format!("{origin}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200).set_body_json(document))
            .mount(&server)
            .await;
        let issuer = format!("{origin}{configured}");
        let auth = world.instance_with(|builder| builder.issuer(issuer)).await;
        let reply = world.browser_of(&auth).login("/").await;
        if is_good {
            assert!(location(&reply).starts_with(&format!("{origin}/authorize?")));
        } else {
            assert_page(&reply, 502, "provider.issuer_mismatch");
        }
        let asked: Vec<String> = server
            .received_requests()
            .await
            .unwrap()
            .iter()
            .map(|request| request.url.path().to_owned())
            .collect();
        let path = configured.trim_end_matches('/');
        assert_eq!(asked, [format!("{path}/.well-known/openid-configuration")]);
    }
}

/// OpenID Connect Core §3.1.2.1: `openid` is asked for whatever the settings say; a plain OAuth 2.0 provider is asked for nothing more than they
/// say (`plain_oauth_sends_no_nonce_and_looks_at_no_id_token`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_is_always_among_the_scopes() {
    for (configured, asked) in [
        ("email", "openid email"),
        ("email openid", "email openid"),
        ("", "openid"),
    ] {
        let world = World::with(|builder| builder.scopes(configured)).await;
        let url = Url::parse(&world.browser().begin("/").await).unwrap();
        let scope = url.query_pairs().find(|(name, _)| name == "scope");
        assert_eq!(scope.unwrap().1, asked);
    }
}

/// RFC 6749 §3.1, §3.2 and §3.3, RFC 6750 §5.3, RFC 8707 §2: what would be refused of a provider is refused of the settings.
#[tokio::test]
async fn settings_keep_to_the_syntax_and_to_https() {
    let plain = |authorization: &str, token: &str| Auth::builder().endpoints(authorization, token);
    let good = || Auth::builder().issuer("https://id.example");
    for (builder, variable) in [
        (good().scopes("openid a\"b"), "AUTH_SCOPES"),
        (good().scopes("openid a\\b"), "AUTH_SCOPES"),
        (good().scopes("openid \u{e4}"), "AUTH_SCOPES"),
        (good().api("http://api.example"), "API_URL"),
        (good().api("https://user@api.example"), "API_URL"),
        (good().other_api("http://api.example"), "API2_URL"),
        (good().resource("https://api.example/#a"), "AUTH_RESOURCE"),
        (
            good().userinfo_url("http://id.example/userinfo"),
            "AUTH_USERINFO_URL",
        ),
        (good().issuer("https://id.example/#"), "AUTH_ISSUER"),
        (
            plain("https://id.example/a#b", "https://id.example/t"),
            "AUTH_AUTHORIZATION_URL",
        ),
        (
            plain("https://id.example/a", "https://id.example/t#b"),
            "AUTH_TOKEN_URL",
        ),
        (
            plain("http://id.example/a", "https://id.example/t"),
            "AUTH_AUTHORIZATION_URL",
        ),
        (
            plain("https://id.example/a", "http://id.example/t"),
            "AUTH_TOKEN_URL",
        ),
    ] {
        let refused = builder.base_url(BASE).client(CLIENT, None).build().await;
        assert_eq!(refused.expect_err(variable).variable(), variable);
    }
    let both = plain("https://id.example/a?tenant=x", "https://id.example/t?tenant=x");
    for builder in [
        good().api("http://127.0.0.1:1"),
        good().scopes("openid a:b/c"),
        both,
    ] {
        builder.base_url(BASE).client(CLIENT, None).build().await.unwrap();
    }
}

/// RFC 7636 §4.1 and §7.1: the verifier is 43 to 128 unreserved characters, of at least 256 random bits, and another one
/// each time. §4.2: S256 always.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_verifiers_are_long_random_and_of_unreserved_characters() {
    let world = World::start().await;
    for _ in 0..8 {
        world.sign_in().await;
    }
    let requests = world.control().requests(Endpoint::Token);
    let mut verifiers: Vec<_> = requests
        .iter()
        .map(|request| request.form("code_verifier").unwrap())
        .collect();
    for verifier in &verifiers {
        assert!(
            (43..=128).contains(&verifier.len()),
            "{} characters",
            verifier.len()
        );
        assert!(
            verifier
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
            "a character that RFC 7636 §4.1 does not know"
        );
    }
    verifiers.sort_unstable();
    verifiers.dedup();
    assert_eq!(verifiers.len(), 8, "each sign-in has a verifier of its own");
}

/// OpenID Connect Core §3.1.2.5, RFC 6749 §4.1.2 and §5.1, Discovery 1.0 §3: what is not understood is ignored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_and_members_that_are_not_understood_are_ignored() {
    let world = World::start().await;
    world.control().tamper_callback(|parameters| {
        for (name, value) in [
            ("session_state", "a"),
            ("session_state", "b"),
            ("", "x"),
            ("scope", "openid"),
            ("error_description", "nobody reads this"),
            ("expires_in", "later"),
        ] {
            parameters.push((name.to_owned(), value.to_owned()));
        }
    });
    world.control().tamper_token_response(|answer| {
        answer.insert("unheard_of".into(), json!({"nested": [null]}));
        answer.insert("error_description".into(), json!("there is no error"));
        answer.insert("not-before-policy".into(), json!(-1));
    });
    world.sign_in().await;
}

/// RFC 6749 §3.3 and §5.1: a scope that the answer does not name is the one asked for; one that it names is what was
/// granted, be it nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_granted_scope_is_the_named_one_or_else_the_asked_one() {
    let world = World::start().await;
    for (named, granted) in [
        (Value::Null, "openid profile email offline_access"),
        (json!("openid email"), "openid email"),
        (json!("openid something.else"), "openid something.else"),
        (json!(""), ""),
    ] {
        world
            .control()
            .tamper_token_response(move |answer| change(answer, &json!({ "scope": named })));
        let id = world.sign_in().await;
        let session = world.session(&id).await;
        assert_eq!(session.scopes().to_string(), granted);
    }
}

/// RFC 6749 §5.1: tokens may be of any size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_may_be_large() {
    let world = World::with(|builder| builder.userinfo(UserinfoPolicy::Never)).await;
    let large = "t".repeat(100_000);
    let token = large.clone();
    world.control().tamper_token_response(move |answer| {
        change(
            answer,
            &json!({"access_token": token, "refresh_token": format!("{token}-too")}),
        );
    });
    claims(&world, json!({"at_hash": null}));
    let id = world.sign_in().await;
    let session = world.session(&id).await;
    assert!(world.token(&session).await == large);
}

/// RFC 9207 §2.4, OpenID Connect Core §3.1.2.6: an error that names another issuer is not the provider's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_another_issuer_is_not_believed() {
    let world = World::start().await;
    for (issuer, code) in [
        (Some("https://id.example"), "login.issuer_mismatch"),
        (None, "login.issuer_missing"),
    ] {
        world.control().tamper_callback(move |parameters| {
            parameters.retain(|(name, _)| name == "state");
            parameters.push(("error".into(), "access_denied".into()));
            parameters.extend(issuer.map(|issuer| ("iss".to_owned(), issuer.to_owned())));
        });
        assert_page(&world.browser().try_sign_in("/").await, 400, code);
    }
}

/// RFC 9700 §4.5 and RFC 6749 §10.14: a code that was issued for another attempt is worth nothing in this one, for the
/// verifier of this one does not fit it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_another_attempt_signs_nobody_in() {
    let world = World::start().await;
    let (mut attacker, mut victim) = (world.browser(), world.browser());
    let stolen = victim.begin("/").await;
    let stolen = victim.approve(&stolen).await;
    let own = attacker.begin("/").await;
    let own = attacker.approve(&own).await;
    let value = |target: &str, wanted: &str| {
        let url = Url::parse(BASE).unwrap().join(target).unwrap();
        let found = url.query_pairs().find(|(name, _)| name == wanted);
        found.unwrap().1.into_owned()
    };
    let injected = own.replace(&value(&own, "code"), &value(&stolen, "code"));
    assert_ne!(injected, own);
    let reply = attacker.callback(&injected).await;
    assert_page(&reply, 502, "login.code_refused");
    assert_eq!((attacker.session().is_none(), world.store.sessions()), (true, 0));
}

/// OpenID Connect Core §3.1.2.1 and §3.1.3.7, step 13: a `max_age` that is configured is demanded of each ID token, as
/// of the moment when the provider was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_max_age_is_demanded() {
    let world = World::with(|builder| builder.authorize_param("max_age", "100")).await;
    let url = world.browser().begin("/").await;
    assert!(url.contains("&max_age=100"), "{url}");
    let ago = |seconds: i64| json!({"auth_time": world.clock.clock().now().as_secs() - seconds});
    for good in [0, 50, 100] {
        claims(&world, ago(good));
        world.sign_in().await;
    }
    for (bad, code) in [
        (ago(103), "id_token.auth_time_too_old"),
        (ago(100_000), "id_token.auth_time_too_old"),
        (json!({"auth_time": null}), "id_token.auth_time_missing"),
        (json!({"auth_time": "just now"}), "id_token.auth_time_missing"),
    ] {
        claims(&world, bad);
        assert_page(&world.browser().try_sign_in("/").await, 502, code);
    }
}

/// OpenID Connect Core §3.1.2.1: with a `max_age` of 0 every sign-in shows the provider's form, and those who take their
/// time there, or on the way back, get in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_max_age_of_zero_lets_those_in_who_have_just_typed_their_password() {
    let world = World::with(|builder| builder.authorize_param("max_age", "0")).await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    world.clock.advance(secs(90));
    let target = browser.approve(&url).await;
    world.clock.advance(secs(30));
    let reply = browser.callback(&target).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    // Who was authenticated before the question is not let in.
    let before = world.clock.clock().now().as_secs() - 3;
    claims(&world, json!({ "auth_time": before }));
    let reply = world.browser().try_sign_in("/").await;
    assert_page(&reply, 502, "id_token.auth_time_too_old");
}

/// OpenID Connect Core §3.1.3.7, step 12: which `acr` is good enough is for the app to say, in its hook.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_can_refuse_an_acr_that_is_too_weak() {
    let world = World::with(|builder| {
        builder.authorize_param("acr_values", "gold").on_sign_in(
            |sign_in: auth_core::session::SignIn| async move {
                let acr = sign_in.id_token_claims().and_then(|claims| claims.str("acr"));
                if acr == Some("gold") {
                    Ok(sign_in)
                } else {
                    Err(Refused::because("not gold"))
                }
            },
        )
    })
    .await;
    claims(&world, json!({"acr": "gold"}));
    world.sign_in().await;
    for acr in [json!("silver"), json!(["gold"]), Value::Null] {
        claims(&world, json!({ "acr": acr }));
        let reply = world.browser().try_sign_in("/").await;
        assert_page(&reply, 403, "login.refused_by_app");
    }
}

/// OpenID Connect Core §5.3.2 and §5.3.4: a signed userinfo answer, from the provider's endpoint to the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_userinfo_answer_is_verified_and_used() {
    let world = World::start().await;
    let issuer = world.provider.issuer().to_owned();
    let answer = |claims: Value| {
        let token = world
            .control()
            .sign_jwt("JWT", claims.as_object().expect("an object"));
        world
            .control()
            .fail(Endpoint::Userinfo, Fault::body(200, "application/jwt", token));
    };
    answer(json!({"sub": "ada", "iss": issuer, "aud": CLIENT, "phone": "+1"}));
    let id = world.sign_in().await;
    assert_eq!(world.session(&id).await.claims().str("phone"), Some("+1"));
    for (claims, code) in [
        (
            json!({"sub": "ada", "iss": "https://id.example", "aud": CLIENT}),
            "userinfo.issuer_mismatch",
        ),
        (
            json!({"sub": "ada", "iss": issuer, "aud": "another"}),
            "userinfo.audience_mismatch",
        ),
        (
            json!({"sub": "bob", "iss": issuer, "aud": CLIENT}),
            "userinfo.subject_mismatch",
        ),
        (
            json!({"sub": "Ada", "iss": issuer, "aud": CLIENT}),
            "userinfo.subject_mismatch",
        ),
        (json!({"iss": issuer, "aud": CLIENT}), "userinfo.subject_missing"),
    ] {
        answer(claims);
        assert_page(&world.browser().try_sign_in("/").await, 502, code);
    }
}

/// OpenID Connect Core §3.1.2.1, §3.1.3.3: without OpenID Connect there is no `nonce` to ask with, and what stands in the
/// place of an ID token is not looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_oauth_sends_no_nonce_and_looks_at_no_id_token() {
    let world = World::start().await;
    let at = |path: &str| format!("{}{path}", world.provider.issuer());
    let auth = Auth::builder()
        .base_url(BASE)
        .endpoints(at("/authorize"), at("/token"))
        .client(CLIENT, Some(crate::world::SECRET))
        .scopes("openid email")
        .store(world.store.clone())
        .secret(world.keys.clone())
        .clock(world.clock.clock())
        .build()
        .await
        .unwrap();
    world.control().unsigned_id_token(true);
    let mut browser = world.browser_of(&auth);
    let url = browser.begin("/").await;
    assert!(!url.contains("nonce="), "{url}");
    assert!(url.contains("&code_challenge_method=S256"), "{url}");
    let target = browser.approve(&url).await;
    let reply = browser.callback(&target).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    let session = auth.peek(browser.session().as_ref()).await.unwrap();
    assert_eq!((session.subject(), session.claims().subject()), ("", None));
    assert_eq!(world.control().count(Endpoint::Jwks), 0);
}

async fn refreshed(world: &World, id: &SessionId) -> Result<(), Error> {
    world.clock.advance(crate::world::LIFE);
    world.auth.authenticate(Some(id)).await.map(drop)
}

/// OpenID Connect Core §12.2: a refreshed ID token has no `nonce`, or that of the first one, however many came between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nonce_of_a_refreshed_id_token_is_the_first_one_s() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let first = Url::parse(&url)
        .unwrap()
        .query_pairs()
        .find(|(name, _)| name == "nonce")
        .map(|(_, value)| value.into_owned())
        .unwrap();
    let target = browser.approve(&url).await;
    assert_eq!(browser.callback(&target).await.status, 303);
    let id = browser.session().unwrap();
    for nonce in [Value::Null, json!(first), Value::Null] {
        claims(&world, json!({ "nonce": nonce }));
        refreshed(&world, &id).await.unwrap();
    }
    assert_eq!(world.store.sessions(), 1);

    for nonce in [json!("another"), json!(""), json!([first])] {
        world.control().clear_tampering();
        let id = world.sign_in().await;
        let before = world.store.sessions();
        claims(&world, json!({ "nonce": nonce }));
        let error = refreshed(&world, &id).await.expect_err("another nonce");
        assert!(
            matches!(error, Error::NotSignedIn(NotSignedIn::IdTokenRefused)),
            "{nonce}: {error:?}"
        );
        assert_eq!(world.store.sessions(), before - 1, "{nonce}");
    }
}

/// OpenID Connect Core §12.2: `auth_time` is that of the first authentication, or of the latest where a provider says so. A
/// refresh alone makes nobody fresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_auth_time_is_what_the_provider_says() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let first = world.session(&id).await.authenticated_at();
    assert!(first.is_some());
    let later = world.clock.clock().now().plus(crate::world::LIFE).as_secs();
    let later = Timestamp::from_secs(later);
    for (said, expected) in [
        (None, first),
        (Some(json!(null)), first),
        (Some(json!("yesterday")), first),
        (Some(json!(later.as_secs())), Some(later)),
        (Some(json!(null)), Some(later)),
    ] {
        world.control().clear_tampering();
        if let Some(said) = said {
            claims(&world, json!({ "auth_time": said }));
        }
        refreshed(&world, &id).await.unwrap();
        let session = world.session(&id).await;
        assert_eq!(session.authenticated_at(), expected);
        let claim = session.claims().get("auth_time").cloned();
        assert_eq!(claim, expected.map(|at| json!(at.as_secs())), "as the claim says");
    }
}

/// OpenID Connect Core §12.2: a refreshed ID token was issued at the refresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_id_token_is_a_new_one() {
    for stale in [json!({"iat": 1}), json!({"exp": 1}), json!({"iat": null})] {
        let world = World::start().await;
        let id = world.sign_in().await;
        claims(&world, stale.clone());
        let error = refreshed(&world, &id).await.expect_err("an old ID token");
        assert!(
            matches!(error, Error::NotSignedIn(NotSignedIn::IdTokenRefused)),
            "{stale}: {error:?}"
        );
    }
}
