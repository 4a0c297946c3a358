//! Every route of the applications, with `oidc-provider` behind it, its APIs (`apis.mjs`) and its token exchange (`exchange.mjs`).
//!
//! | application | its access tokens |
//! | --- | --- |
//! | with the default settings | opaque; the API has the provider introspect them |
//! | with `AUTH_RESOURCE` | JWTs for the API (RFC 8707, RFC 9068), which this provider cannot revoke |
//! | with plain OAuth 2.0 settings | opaque; `/api/bearer` has the provider introspect its callers' |
//! | with `form_post`, and a client without a back channel | opaque |

use std::time::Duration;

use auth_tests::routes;
use auth_tests::stage::{BASE, CLIENT_SECRET, Environment};
use auth_tests::{Answer, Browser, Site, Stage, html};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::{Provider, a_secret, approve, sign_in, sign_out, sign_out_there};

/// As `apis.mjs` has it.
const STRONG: &str = "urn:interop:acr:strong";

pub(crate) async fn works(stage: Stage) {
    let provider = Provider::start(3600).await;
    opaque_tokens(&stage, &provider).await;
    tokens_for_a_resource(&stage, &provider).await;
    plain_oauth(&stage, &provider).await;
    form_post_and_front_channel(&stage, &provider).await;
    let not_reached = routes::not_reached(&stage.evidence().visits());
    assert_eq!(not_reached, Vec::<String>::new());
}

async fn opaque_tokens(stage: &Stage, provider: &Provider) {
    let (_app, browser) = provider.app(stage, a_secret).await;
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/auth/errors/",
        "/auth/errors/login.state_unknown",
    ] {
        browser.navigate(path).await.assert_status(200);
    }
    browser.assert_signed_out().await;

    sign_in(&browser, "ada").await.assert_status(200);
    browser.assert_signed_in_as("ada").await;
    let metrics = browser.fetch("/metrics").await.assert_status(200).body.clone();
    assert!(metrics.contains("auth_sign_ins_total 1"), "{metrics}");
    pages_and_calls(&browser, provider).await;
    through_the_proxy(&browser).await;
    callers(stage, &browser, provider, BASE).await;
    other_grants(&browser, provider).await;
    a_role(&browser).await;
    more_scopes(&browser).await;
    stronger_and_newer_sign_ins(&browser, provider).await;
    third_parties(&browser, provider).await;
    sessions_of_the_user(&browser).await;
    a_stream_ends_with_the_back_channel(stage, &browser, provider).await;

    sign_in(&browser, "ada").await.assert_status(200);
    let landing = sign_out(&browser).await;
    assert_eq!(landing.url.as_str(), format!("{BASE}/"));
    browser.assert_signed_out().await;
    nothing_failed(&browser, provider).await;
}

async fn nothing_failed(browser: &Browser, provider: &Provider) {
    let events = provider.events(browser).await;
    for name in ["grant.error", "server_error", "backchannel.error"] {
        assert_eq!(events[name], 0, "{name}: {events}");
    }
}

async fn pages_and_calls(browser: &Browser, provider: &Provider) {
    let issuer = &provider.issuer;
    for (path, shown) in [
        ("/profile", "ada@example.com"),
        ("/dashboard", "Interoperable Inc"),
    ] {
        let page = browser.navigate(path).await;
        page.assert_status(200).assert_page();
        assert!(page.text().contains(shown), "{}", page.describe());
    }
    let me = browser.fetch("/api/me").await.assert_status(200).json();
    assert_eq!(me["userName"], "ada");
    let both = browser.fetch("/api/dashboard").await.assert_status(200).json();
    assert_eq!(
        (&both["profile"]["id"], &both["organizations"][0]["id"]),
        (&json!("ada"), &json!("org-1"))
    );
    let session = browser.session().await;
    assert_eq!(
        (&session["user"]["iss"], &session["user"]["email"]),
        (&json!(issuer), &json!("ada@example.com"))
    );
    browser
        .submit("/note", &[("text", "Buy eleven oranges")])
        .await
        .assert_redirect();
    let home = browser.navigate("/").await;
    assert!(home.text().contains("Buy eleven oranges"), "{}", home.describe());
}

async fn through_the_proxy(browser: &Browser) {
    for method in routes::PROXY_METHODS {
        let target = "echo/a%2Fb/?x=%41&y";
        let mut ask = browser
            .script(method.clone(), &format!("/proxy/api/{target}"))
            .header("x-csrf", "1");
        let mut body = "";
        if method == Method::POST {
            (ask, body) = (ask.form(&[("what", "a b")]), "what=a+b");
        }
        let came = ask.await.assert_status(200).json();
        let sent = json!({
            "method": method.as_str(), "target": format!("/api/{target}"), "body": body, "cookie": null
        });
        assert_eq!(came, sent);
    }
}

/// Somebody who calls the application as an API has a token for it, of a client of its own.
async fn callers(stage: &Stage, browser: &Browser, provider: &Provider, audience: &str) {
    let secret: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    let credentials = STANDARD.encode(format!("caller:{secret}"));
    let answer = browser
        .request(Method::POST, &format!("{}/token", provider.issuer))
        .header("authorization", &format!("Basic {credentials}"))
        .form(&[
            ("grant_type", "client_credentials"),
            ("resource", audience),
            ("scope", "orders.read"),
        ])
        .await;
    let token = answer.assert_status(200).json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    stage.secret(&token);
    let call = |token: &str| {
        browser
            .fresh()
            .request(Method::GET, "/api/bearer")
            .header("authorization", &format!("Bearer {token}"))
    };
    let claims = call(&token).await.assert_status(200).json();
    assert_eq!(
        (&claims["client_id"], &claims["aud"], &claims["scope"]),
        (&json!("caller"), &json!(audience), &json!("orders.read"))
    );
    let refused = call(&format!("{token}x")).await;
    let challenge = refused.assert_status(401).header("www-authenticate").unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");
}

async fn other_grants(browser: &Browser, provider: &Provider) {
    let whoami = browser.fetch("/api/exchange").await.assert_status(200).json();
    assert_eq!(
        whoami,
        json!({
            "sub": "ada",
            "aud": format!("{}/api2", provider.issuer),
            "client_id": "secret-client",
            "scope": "orders.read",
        })
    );
    let machine = browser.fetch("/api/machine").await.assert_status(200).json();
    assert_eq!(machine, json!({"machine": "secret-client"}));
}

async fn a_role(browser: &Browser) {
    let admin = browser.fetch("/api/admin").await.assert_status(200).json();
    assert_eq!(admin, json!({"admin": true}));
    let grace = browser.fresh();
    sign_in(&grace, "grace").await.assert_status(200);
    grace.fetch("/api/admin").await.assert_problem(403);
}

/// Goes where the application sends who needs to sign in again, and approves there.
async fn asked_again(browser: &Browser, path: &str, user: &str) -> Answer {
    let page = browser.follow(browser.navigate(path).await).await;
    assert_ne!(page.url.origin(), browser.base().origin(), "{}", page.describe());
    let page = approve(browser, page, user).await;
    assert_eq!(page.url, browser.base().join(path).unwrap());
    page
}

async fn more_scopes(browser: &Browser) {
    let answer = browser.fetch("/api/mail").await;
    assert_eq!(answer.assert_problem(403).json()["error"], "insufficient_scope");
    let page = asked_again(browser, "/api/mail?box=1", "ada").await;
    assert_eq!(page.assert_status(200).json(), json!({"scope": "mail.read"}));
    let scopes = browser.session().await["scopes"].clone();
    assert!(
        scopes.as_array().unwrap().contains(&json!("mail.read")),
        "{scopes}"
    );
}

async fn stronger_and_newer_sign_ins(browser: &Browser, provider: &Provider) {
    let set_age = async |seconds: u32| {
        let control = format!("{}/control/sign-in-age?seconds={seconds}", provider.issuer);
        browser.fetch(&control).await.assert_status(200);
    };
    for path in ["/api/transfer", "/api/step-up"] {
        let browser = browser.fresh();
        set_age(1000).await;
        sign_in(&browser, "grace").await.assert_status(200);
        set_age(0).await;
        let answer = browser.fetch(path).await;
        answer.assert_problem(401);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("insufficient_user_authentication") && challenge.contains("max_age"),
            "{path}: {challenge}"
        );
        let fresh = asked_again(&browser, path, "grace")
            .await
            .assert_status(200)
            .json();
        match path {
            "/api/transfer" => assert_eq!(fresh, json!({"fresh": true})),
            _ => {
                assert_eq!(fresh, json!({"acr": STRONG}));
                assert_eq!(browser.session().await["user"]["acr"], STRONG);
            }
        }
    }
}

// OpenID Connect Core §4
async fn third_parties(browser: &Browser, provider: &Provider) {
    let fields = [
        ("iss", provider.issuer.as_str()),
        ("login_hint", "grace"),
        ("target_link_uri", "/dashboard?x=1"),
    ];
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    for method in [Method::GET, Method::POST] {
        let browser = browser.fresh();
        let ask = match method {
            Method::GET => browser.request(method, &format!("/auth/login?{query}")),
            _ => browser.request(method, "/auth/login").form(&fields),
        };
        let answer = ask.navigation(Site::CrossSite).await;
        let request = answer.location();
        assert!(
            request
                .query_pairs()
                .any(|pair| pair == ("login_hint".into(), "grace".into()))
        );
        let page = approve(&browser, browser.follow(answer).await, "grace").await;
        assert_eq!(page.url, browser.base().join("/dashboard?x=1").unwrap());
        browser.assert_signed_in_as("grace").await;
    }
}

async fn list(browser: &Browser) -> Vec<Value> {
    let answer = browser.fetch("/api/sessions").await;
    answer.assert_status(200).json().as_array().unwrap().clone()
}

async fn own_id(browser: &Browser) -> String {
    let sessions = list(browser).await;
    let own = sessions.iter().find(|session| session["current"] == true);
    own.unwrap()["id"].as_str().unwrap().to_owned()
}

async fn sessions_of_the_user(browser: &Browser) {
    let others = [browser.fresh(), browser.fresh(), browser.fresh()];
    for other in &others {
        sign_in(other, "ada").await.assert_status(200);
    }
    assert_eq!(list(browser).await.len(), 4);
    browser
        .navigate("/sessions")
        .await
        .assert_status(200)
        .assert_page();
    let [by_script, by_page, by_rest] = &others;
    let path = format!("/api/sessions/{}", own_id(by_script).await);
    browser.script(Method::DELETE, &path).await.assert_status(204);
    by_script.assert_signed_out().await;
    let fields = [("end", &*own_id(by_page).await)];
    browser.submit("/sessions", &fields).await.assert_redirect();
    by_page.assert_signed_out().await;
    by_rest.assert_signed_in_as("ada").await;
    browser
        .script(Method::DELETE, "/api/sessions")
        .await
        .assert_status(204);
    by_rest.assert_signed_out().await;
    browser.assert_signed_in_as("ada").await;
}

async fn a_stream_ends_with_the_back_channel(stage: &Stage, browser: &Browser, provider: &Provider) {
    let mut stream = browser.fetch("/api/events").open().await;
    assert_eq!(stream.status, 200);
    stream.goes_on(2).await;
    let told = provider.events(browser).await["backchannel.success"].clone();
    sign_out_there(browser, provider).await;
    stream
        .ends("a sign-out at the provider", Duration::from_secs(10))
        .await;
    browser.assert_signed_out().await;
    let events = provider.events(browser).await;
    assert!(
        events["backchannel.success"].as_u64() > told.as_u64() && events["backchannel.error"] == 0,
        "{events}"
    );
    // The provider's request, which no browser has seen: it was answered with 200.
    stage
        .evidence()
        .visit(&Method::POST, "/auth/backchannel-logout", 200);
}

/// Access tokens are JWTs for the API, and of no use at userinfo: the ID token has the claims.
async fn tokens_for_a_resource(stage: &Stage, provider: &Provider) {
    fn settings(environment: Environment, provider: &Provider) -> Environment {
        a_secret(environment, provider)
            .set("AUTH_RESOURCE", format!("{}/api", provider.issuer))
            .set("AUTH_SCOPES", "openid profile email offline_access people.read")
    }
    let (_app, browser) = provider.app(stage, settings).await;
    let page = sign_in(&browser, "ada").await;
    assert!(page.text().contains("ada@example.com"), "{}", page.describe());
    let session = browser.session().await;
    assert_eq!(session["user"]["email"], "ada@example.com");
    browser.fetch("/api/me").await.assert_status(200);
    browser.fetch("/api/dashboard").await.assert_status(200);

    // RFC 7009 §2.2.1: this provider revokes no JWT. It is dropped here, and another one is got.
    let consumed = provider.events(&browser).await["refresh_token.consumed"].clone();
    browser
        .script(Method::POST, "/api/revoke")
        .await
        .assert_status(204);
    browser.fetch("/api/me").await.assert_status(200);
    let events = provider.events(&browser).await;
    assert!(
        events["refresh_token.consumed"].as_u64() > consumed.as_u64(),
        "{events}"
    );
    sign_out(&browser).await;
    browser.assert_signed_out().await;
}

/// No discovery, no ID token: userinfo says who the user is, and introspection what a caller's token is.
async fn plain_oauth(stage: &Stage, provider: &Provider) {
    fn settings(environment: Environment, provider: &Provider) -> Environment {
        let at = |path: &str| format!("{}{path}", provider.issuer);
        a_secret(environment, provider)
            .unset("AUTH_ISSUER")
            .set("AUTH_AUTHORIZATION_URL", at("/auth"))
            .set("AUTH_TOKEN_URL", at("/token"))
            .set("AUTH_USERINFO_URL", at("/me"))
            .set("AUTH_REVOCATION_URL", at("/token/revocation"))
            .set("AUTH_INTROSPECTION_URL", at("/token/introspection"))
            .set("AUTH_BEARER_AUDIENCE", format!("{BASE}/opaque"))
    }
    let (_app, browser) = provider.app(stage, settings).await;
    // Somebody else may still be signed in at the provider.
    let browser = browser.fresh();
    let page = sign_in(&browser, "ada").await;
    assert!(page.text().contains("ada@example.com"), "{}", page.describe());
    browser.assert_signed_in_as("ada").await;
    callers(stage, &browser, provider, &format!("{BASE}/opaque")).await;
    let destroyed = provider.events(&browser).await["refresh_token.destroyed"].clone();
    browser.submit("/auth/logout", &[]).await.assert_redirect();
    browser.assert_signed_out().await;
    let events = provider.events(&browser).await;
    assert!(
        events["refresh_token.destroyed"].as_u64() > destroyed.as_u64(),
        "{events}"
    );
}

/// The authorization response is a form of the provider's page; so are the frames after a sign-out there.
async fn form_post_and_front_channel(stage: &Stage, provider: &Provider) {
    fn settings(environment: Environment, provider: &Provider) -> Environment {
        a_secret(environment, provider)
            .set("AUTH_CLIENT_ID", "front-client")
            .set("AUTH_RESPONSE_MODE", "form_post")
            // A `sid` in the ID token, which this provider otherwise gives for the back channel only.
            .set(
                "AUTH_AUTHORIZE_PARAMS",
                "prompt=consent&claims=%7B%22id_token%22%3A%7B%22sid%22%3Anull%7D%7D",
            )
    }
    let (_app, browser) = provider.app(stage, settings).await;
    let (browser, other) = (browser.fresh(), browser.fresh());
    for browser in [&browser, &other] {
        let page = sign_in(browser, "ada").await;
        let forms = html::forms(&page.body);
        let form = forms.first().unwrap_or_else(|| panic!("{}", page.describe()));
        assert_eq!(form.action, format!("{BASE}/auth/callback"));
        let landing = browser
            .follow(browser.press(&page, form, &form.inputs).await)
            .await;
        assert_eq!(landing.assert_status(200).url.path(), "/profile");
        browser.assert_signed_in_as("ada").await;
    }

    // Front-Channel Logout 1.0 §3
    let told = provider.events(&browser).await["backchannel.success"].clone();
    let page = sign_out_there(&browser, provider).await;
    let (_, rest) = page.body.split_once("<iframe src=\"").expect("a frame");
    let frame = rest.split('"').next().unwrap().replace("&amp;", "&");
    assert!(
        frame.starts_with(&format!("{BASE}/auth/frontchannel-logout?iss=")),
        "{frame}"
    );
    browser.assert_signed_in_as("ada").await;
    let framed = browser
        .navigate(&frame)
        .site(Site::SameSite)
        .header("sec-fetch-dest", "iframe")
        .await;
    let policy = framed
        .assert_status(200)
        .header("content-security-policy")
        .unwrap();
    assert!(
        policy.contains(&format!("frame-ancestors {}", provider.issuer)),
        "{policy}"
    );
    browser.assert_signed_out().await;
    other.assert_signed_in_as("ada").await;
    assert_eq!(provider.events(&browser).await["backchannel.success"], told);
    nothing_failed(&browser, provider).await;

    // With an opaque token this provider ends the whole grant (RFC 7009 §2.1).
    other.script(Method::POST, "/api/revoke").await.assert_status(204);
    other.fetch("/api/me").await.assert_status(401);
    other.assert_signed_out().await;
}
