//! Sessions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::config::{ParPolicy, ResponseMode};
use auth_core::request::RequestKind;
use auth_core::session::SignIn;
use auth_core::{Event, Refused, SignInProvider};
use auth_testing::{SignInError, TestAuth};
use http::Method;
use serde_json::json;

use crate::{Head, require, session};

#[tokio::test]
async fn the_usual_session_has_all_that_the_application_asks_for() {
    let auth = TestAuth::with(|settings| settings.scopes("openid orders:read offline_access"))
        .await
        .unwrap();
    let ada = auth.user("ada").signed_in().await;
    let session = require(&auth.auth(), &ada).await.unwrap();
    assert_eq!((session.subject(), session.provider()), ("ada", None));
    assert_eq!(session.issuer().as_str(), "https://provider.test");
    assert!(session.scopes().contains("orders:read"), "{:?}", session.scopes());
    assert!(session.is_refreshable());
    assert_eq!(session.refresh_count(), 0);
    assert_eq!(session.created_at(), auth.auth().now());
    assert_eq!(
        session.authenticated_at().unwrap().as_secs(),
        auth.auth().now().as_secs()
    );
    assert_eq!(session.key(), ada.key());
}

#[tokio::test]
async fn a_session_is_what_the_test_says() {
    let auth = TestAuth::new().await;
    let ada = auth
        .user("ada")
        .roles(["admin", "auditor"])
        .scopes(["orders:read", "orders:write"])
        .claim("email", "ada@example.com")
        .claim("employee", json!({"number": 7}))
        .userinfo_claim("team", "engines")
        .acr("urn:example:passkey")
        .amr(["hwk", "user"])
        .authenticated_ago(Duration::from_secs(600))
        .access_token("adas-token")
        .access_token_lifetime(Duration::from_secs(1000))
        .signed_in()
        .await;
    let session = session(&ada).await;
    let claims = session.claims();
    assert!(claims.has_role("admin") && claims.has_role("auditor"));
    assert_eq!(claims.email(), Some("ada@example.com"));
    assert_eq!(claims.get("employee"), Some(&json!({"number": 7})));
    assert_eq!(claims.str("team"), Some("engines"));
    assert_eq!(claims.get("amr"), Some(&json!(["hwk", "user"])));
    assert_eq!(session.acr(), Some("urn:example:passkey"));
    let scopes: Vec<_> = session.scopes().iter().collect();
    assert_eq!(scopes, ["openid", "orders:read", "orders:write"]);
    let now = auth.auth().now();
    assert_eq!(now.as_secs() - session.authenticated_at().unwrap().as_secs(), 600);
    assert_eq!(
        session.access_token_expires_at().unwrap().as_secs() - now.as_secs(),
        1000
    );
    let token = auth.auth().access_token(&session).await.unwrap();
    assert_eq!(token.expose(), "adas-token");
    assert!(session.is_refreshable(), "whatever the scopes");
}

#[tokio::test]
async fn roles_stand_where_the_application_looks_for_them() {
    for (places, role_claim) in [
        (&[][..], "/roles/0"),
        (&["groups", "roles"], "/groups/0"),
        (
            &["/resource_access/{client_id}/roles"],
            "/resource_access/test-client/roles/0",
        ),
    ] {
        let auth = TestAuth::with(move |settings| settings.roles_claims(places.iter().copied()))
            .await
            .unwrap();
        let ada = auth.user("ada").roles(["admin"]).signed_in().await;
        let session = session(&ada).await;
        assert!(session.claims().has_role("admin"), "{places:?}");
        let claims = serde_json::to_value(session.claims()).unwrap();
        assert_eq!(claims.pointer(role_claim), Some(&json!("admin")), "{claims}");
    }
}

#[tokio::test]
async fn hooks_see_the_sign_in_and_may_refuse_it() {
    let events: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let told = Arc::clone(&events);
    let auth = TestAuth::with(move |settings| {
        settings
            .on_event(move |event: &Event| told.lock().unwrap().push(event.kind.as_str()))
            .on_sign_in(|mut sign_in: SignIn| async move {
                if !sign_in.claims().email_verified() {
                    return Err(Refused::because("the e-mail address is not verified"));
                }
                sign_in.set_claim("plan", "gold");
                Ok(sign_in)
            })
    })
    .await
    .unwrap();
    let ada = auth.user("ada").claim("email_verified", true).signed_in().await;
    assert_eq!(session(&ada).await.claims().str("plan"), Some("gold"));
    assert_eq!(*events.lock().unwrap(), ["signed_in"]);
    let refused = auth.user("eve").try_signed_in().await.unwrap_err();
    assert_eq!(refused.code(), Some("login.refused_by_app"), "{refused}");
}

#[tokio::test]
#[should_panic(expected = "login.refused_by_app")]
async fn a_sign_in_that_has_to_work_says_why_it_does_not() {
    let auth = TestAuth::with(|settings| settings.on_sign_in(|_| async { Err(Refused::because("no")) }));
    auth.await.unwrap().user("eve").signed_in().await;
}

#[tokio::test]
async fn a_session_is_made_however_requests_and_answers_travel() {
    type Change = fn(auth_core::AuthBuilder) -> auth_core::AuthBuilder;
    let ways: [(&str, Change); 6] = [
        ("form_post", |settings| {
            settings.response_mode(ResponseMode::FormPost)
        }),
        ("jwt", |settings| settings.response_mode(ResponseMode::Jwt)),
        ("form_post.jwt", |settings| {
            settings.response_mode(ResponseMode::FormPostJwt)
        }),
        ("PAR", |settings| settings.par(ParPolicy::Always)),
        ("DPoP", |settings| settings.dpop()),
        ("http on loopback", |settings| {
            settings.base_url("http://127.0.0.1:3000")
        }),
    ];
    for (name, change) in ways {
        let auth = TestAuth::with(change).await.unwrap();
        let ada = auth.user("ada").signed_in().await;
        let session = require(&auth.auth(), &ada).await;
        assert!(session.is_ok_and(|session| session.subject() == "ada"), "{name}");
        auth.advance(Duration::from_secs(301));
        let refreshed = require(&auth.auth(), &ada).await.unwrap();
        assert_eq!(refreshed.refresh_count(), 1, "{name}");
    }
}

#[tokio::test]
async fn sessions_of_one_test_are_apart() {
    let auth = TestAuth::new().await;
    let sessions = (0..8).map(|n| {
        let user = auth.user(format!("user-{n}")).roles([format!("role-{n}")]);
        user.access_token(format!("token-{n}")).signed_in()
    });
    let mut made = Vec::new();
    for session in sessions.collect::<Vec<_>>() {
        made.push(session);
    }
    let (a, b, c) = {
        let mut made = made.into_iter();
        tokio::join!(made.next().unwrap(), made.next().unwrap(), made.next().unwrap())
    };
    for (n, user) in [a, b, c].iter().enumerate() {
        let session = session(user).await;
        assert_eq!(session.subject(), format!("user-{n}"));
        assert!(session.claims().has_role(&format!("role-{n}")));
        let token = auth.auth().access_token(&session).await.unwrap();
        assert_eq!(token.expose(), format!("token-{n}"));
    }
}

#[tokio::test]
async fn a_users_claims_are_those_of_the_latest_session() {
    let auth = TestAuth::new().await;
    let before = auth.user("ada").roles(["admin"]).signed_in().await;
    let _after = auth.user("ada").roles(["clerk"]).signed_in().await;
    assert!(
        session(&before).await.claims().has_role("admin"),
        "not before a refresh"
    );
    auth.advance(Duration::from_secs(301));
    let refreshed = require(&auth.auth(), &before).await.unwrap();
    assert!(refreshed.claims().has_role("clerk") && !refreshed.claims().has_role("admin"));
}

#[tokio::test]
async fn each_of_several_providers_has_its_own_users_and_roles() {
    let auth = TestAuth::builder()
        .provider(
            "acme",
            SignInProvider::default().roles_claims(["/realm_access/roles"]),
        )
        .provider("Globex_2", SignInProvider::default().roles_claims(["groups"]))
        .build()
        .await
        .unwrap();
    for (name, issuer) in [
        ("acme", "https://acme.provider.test"),
        ("Globex_2", "https://globex-2.provider.test"),
    ] {
        let ada = auth.user("ada").provider(name).roles(["admin"]).signed_in().await;
        let session = require(&auth.auth(), &ada).await.unwrap();
        assert_eq!(
            (session.provider(), session.issuer().as_str()),
            (Some(name), issuer)
        );
        assert!(session.claims().has_role("admin"), "{name}");
        assert!(auth.provider_named(name).is_some());
    }
    let first = auth.user("ada").signed_in().await;
    assert_eq!(session(&first).await.provider(), Some("acme"));
    let unknown = auth
        .user("ada")
        .provider("initech")
        .try_signed_in()
        .await
        .unwrap_err();
    assert!(matches!(unknown, SignInError::NoSuchProvider(name) if name == "initech"));
    assert!(auth.provider_named("initech").is_none());
}

#[tokio::test]
async fn requests_are_those_of_the_applications_own_pages() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").signed_in().await;
    let guest = auth.guest();
    for (request, kind, is_ada) in [
        (ada.get("/a?b=c"), RequestKind::Script, true),
        (ada.open("/a?b=c"), RequestKind::Navigation, true),
        (
            ada.request(Method::PUT, "/a?b=c", "text"),
            RequestKind::Script,
            true,
        ),
        (
            ada.json(Method::POST, "/a?b=c", &json!({"d": 1})),
            RequestKind::Script,
            true,
        ),
        (guest.get("/a?b=c"), RequestKind::Script, false),
        (guest.open("/a?b=c"), RequestKind::Navigation, false),
        (
            guest.request(Method::PUT, "/a?b=c", "text"),
            RequestKind::Script,
            false,
        ),
        (
            guest.json(Method::POST, "/a?b=c", &json!({"d": 1})),
            RequestKind::Script,
            false,
        ),
    ] {
        let (method, body) = (request.method().clone(), request.body().clone());
        let head = Head(request);
        assert_eq!(RequestKind::of(&head), kind, "{method}");
        assert_eq!(auth.auth().session_id(&head).is_some(), is_ada, "{method}");
        assert_eq!(head.0.uri(), "/a?b=c");
        match method {
            Method::PUT => assert_eq!(body, "text"),
            Method::POST => {
                assert_eq!(body, r#"{"d":1}"#);
                assert_eq!(head.0.headers()["content-type"], "application/json");
            }
            _ => assert_eq!(body, ""),
        }
    }
    let headers = ada.headers();
    assert!(headers.contains(&ada.cookie()));
    assert!(
        headers.contains(&("origin", "https://app.test".to_owned())),
        "for a POST"
    );
    assert!(headers.contains(&("sec-fetch-site", "same-origin".to_owned())));
    assert!(!guest.headers().iter().any(|(name, _)| *name == "cookie"));
}

#[tokio::test]
async fn nothing_shows_a_secret() {
    let auth = TestAuth::new().await;
    let building = auth
        .user("ada")
        .access_token("the-token")
        .claim("email", "ada@example.com");
    let text = format!("{building:?}");
    let ada = building.signed_in().await;
    let token = auth.token("ada").issue();
    let api = auth.api();
    let text = text + &format!("{auth:?} {ada:?} {token:?} {api:?} {:?}", auth.guest());
    let cookie = ada.cookie().1;
    let (_, identifier) = cookie.split_once('=').unwrap();
    for secret in ["the-token", "ada@example.com", identifier, token.text()] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// With sockets, a clock that goes on by itself runs into every time limit.
#[tokio::test(start_paused = true)]
async fn paused_time_is_no_obstacle() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").access_token_expired().signed_in().await;
    assert_eq!(require(&auth.auth(), &ada).await.unwrap().refresh_count(), 1);
}
