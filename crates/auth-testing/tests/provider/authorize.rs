//! Authorization requests, codes, single sign-on.

use std::time::Duration;

use auth_core::jose::{Algorithm, SigningKey};
use auth_testing::{ApproveError, Client, Endpoint, PublicKey};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{CALLBACK, CLIENT, Harness, SECRET, VERIFIER, answer, is_form, param, parts};

#[tokio::test]
async fn code_flow_gives_all_tokens() {
    let harness = Harness::start().await;
    let approval = harness.approve(&[]).await;
    assert!(approval.callback_url.starts_with(CALLBACK));
    assert_eq!(param(&approval.callback_url, "state").unwrap(), "the-state");
    assert_eq!(
        param(&approval.callback_url, "iss").unwrap(),
        harness.provider.issuer()
    );
    let code = param(&approval.callback_url, "code").unwrap();
    let tokens = harness.redeem(&code).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert_eq!(tokens.header("cache-control"), "no-store");
    let json = tokens.json();
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["expires_in"], 300);
    assert!(json["refresh_token"].is_string());
    assert_eq!(harness.control().count(Endpoint::Authorize), 1);
    assert_eq!(harness.control().count(Endpoint::Token), 1);
}

#[tokio::test]
async fn untrusted_redirect_uri_or_client_gets_a_page_and_no_redirect() {
    let harness = Harness::start().await;
    for change in [
        ("redirect_uri", "http://127.0.0.1:3000/auth/callback/"),
        ("redirect_uri", "http://127.0.0.1:3000/auth/callback?x=1"),
        ("redirect_uri", "http://evil.example/auth/callback"),
        ("redirect_uri", ""),
        ("client_id", "somebody-else"),
        ("client_id", ""),
    ] {
        let url = harness.authorization_url(&[change]);
        let page = harness.get(&url).await;
        assert_eq!(page.status, 400, "{change:?}");
        assert_eq!(page.header("location"), "", "{change:?}");
        let refused = harness.provider.approve(&url, "alice").await;
        assert!(matches!(refused, Err(ApproveError::Refused(_))));
    }
}

#[tokio::test]
async fn broken_requests_are_told_to_the_client() {
    let harness = Harness::start().await;
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("response_mode", "fragment"), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"),
        (("prompt", "none"), "login_required"),
    ] {
        let answer = harness.get(&harness.authorization_url(&[change])).await;
        assert_eq!(answer.status, 303, "{change:?}");
        let location = answer.header("location");
        assert!(location.starts_with(CALLBACK), "{change:?}");
        assert_eq!(param(location, "error").unwrap(), error, "{change:?}");
        assert_eq!(param(location, "state").unwrap(), "the-state");
        assert!(param(location, "iss").is_some());
        assert!(param(location, "code").is_none());
    }
}

#[tokio::test]
async fn a_doubled_parameter_is_refused() {
    let harness = Harness::start().await;
    let url = harness.authorization_url(&[]) + "&nonce=again";
    let answer = harness.get(&url).await;
    let location = answer.header("location");
    assert_eq!(param(location, "error").unwrap(), "invalid_request");
}

#[tokio::test]
async fn denying_answers_access_denied() {
    let harness = Harness::start().await;
    let url = harness.authorization_url(&[]);
    let denied = harness.provider.deny(&url).await.unwrap();
    let error = param(&denied.callback_url, "error").unwrap();
    assert_eq!(error, "access_denied");
}

#[tokio::test]
async fn form_post_mode_posts_code_and_state() {
    let harness = Harness::start().await;
    let approval = harness.approve(&[("response_mode", "form_post")]).await;
    assert_eq!(approval.callback_url, CALLBACK);
    let names: Vec<String> = approval.form.unwrap().into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["code", "state", "iss"]);
}

#[tokio::test] // RFC 7636 §4.6
async fn wrong_code_verifier_is_refused_and_uses_up_the_code() {
    let harness = Harness::start().await;
    for verifier in ["", "wrong", &VERIFIER.to_uppercase()] {
        let code = harness.code().await;
        let answer = harness
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", verifier),
            ])
            .await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.text("error"), "invalid_grant");
        assert_eq!(harness.redeem(&code).await.text("error"), "invalid_grant");
    }
}

#[tokio::test] // RFC 6749 §4.1.3
async fn code_is_bound_to_its_redirect_uri() {
    let harness = Harness::start().await;
    let code = harness.code().await;
    let answer = harness
        .token(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", "http://127.0.0.1:3000/other"),
            ("code_verifier", VERIFIER),
        ])
        .await;
    assert_eq!(answer.text("error"), "invalid_grant");
}

#[tokio::test] // RFC 6749 §4.1.3
async fn code_is_bound_to_its_client() {
    let harness = Harness::start().await;
    harness
        .control()
        .register(Client::public("thief").redirect_uri(CALLBACK));
    let code = harness.code().await;
    let stolen = answer(harness.http.post(harness.url("/token")).form(&[
        ("grant_type", "authorization_code"),
        ("client_id", "thief"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]))
    .await;
    assert_eq!(stolen.text("error"), "invalid_grant");
    // The thief's attempt takes nothing from the owner.
    assert_eq!(harness.redeem(&code).await.status, 200);
}

#[tokio::test]
async fn code_lives_for_a_minute() {
    let harness = Harness::start().await;
    let code = harness.code().await;
    harness.clock.advance(Duration::from_secs(60));
    assert_eq!(harness.redeem(&code).await.text("error"), "invalid_grant");
}

#[tokio::test] // RFC 6749 §4.1.2
async fn reuse_of_a_code_revokes_what_it_gave() {
    let harness = Harness::start().await;
    let code = harness.code().await;
    let tokens = harness.redeem(&code).await;
    let access = tokens.text("access_token");
    assert_eq!(harness.api("/users/me", &access).await.status, 200);

    assert_eq!(harness.redeem(&code).await.text("error"), "invalid_grant");
    assert_eq!(harness.api("/users/me", &access).await.status, 401);
    let refreshed = harness.refresh(&tokens.text("refresh_token")).await;
    assert_eq!(refreshed.text("error"), "invalid_grant");
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token_and_without_openid_no_id_token() {
    let harness = Harness::start().await;
    for (scope, refresh, id) in [("openid", false, true), ("offline_access", true, false)] {
        let approval = harness.approve(&[("scope", scope)]).await;
        let code = param(&approval.callback_url, "code").unwrap();
        let json = harness.redeem(&code).await.json();
        assert_eq!(json["refresh_token"].is_string(), refresh, "{scope}");
        assert_eq!(json["id_token"].is_string(), id, "{scope}");
    }
}

#[tokio::test]
async fn withheld_and_unknown_scopes_are_not_granted() {
    let harness = Harness::start().await;
    harness.control().withhold_scope("mail.read");
    let scope = [("scope", "openid mail.read made-up")];
    let approval = harness.approve(&scope).await;
    let code = param(&approval.callback_url, "code").unwrap();
    assert_eq!(harness.redeem(&code).await.text("scope"), "openid");

    harness.control().grant_all_scopes();
    let approval = harness.approve(&scope).await;
    let code = param(&approval.callback_url, "code").unwrap();
    assert_eq!(harness.redeem(&code).await.text("scope"), "openid mail.read");
}

/// Fills in the sign-in page as a browser does; gives the session cookie and the callback.
async fn sign_in_by_page(harness: &Harness, url: &str, origin: &str) -> (String, String) {
    let page = harness.get(url).await;
    assert_eq!(page.status, 200);
    assert!(is_form(&page));
    assert!(!page.body.contains("<script"));
    let start = page.body.split("name=\"transaction\" value=\"").nth(1);
    let transaction = start.unwrap().split('"').next().unwrap();
    let form = [("transaction", transaction), ("user", "bob")];
    let request = harness.http.post(harness.url("/authorize/decision"));
    let done = answer(request.header("origin", origin).form(&form)).await;
    let cookie = done.header("set-cookie").split(';').next().unwrap();
    (cookie.to_owned(), done.header("location").to_owned())
}

#[tokio::test]
async fn second_sign_in_in_the_same_browser_passes_without_asking() {
    let harness = Harness::start().await;
    let url = harness.authorization_url(&[]);
    let origin = harness.provider.issuer().to_owned();
    let (cookie, callback) = sign_in_by_page(&harness, &url, &origin).await;
    let code = param(&callback, "code").unwrap();
    let first = parts(&harness.redeem(&code).await.text("id_token")).1;
    assert_eq!(first["sub"], "bob");

    harness.clock.advance(Duration::from_secs(100));
    let again = |change: &'static [(&str, &str)]| {
        let url = harness.authorization_url(change);
        answer(harness.http.get(url).header("cookie", cookie.clone()))
    };
    let silent = again(&[]).await;
    assert_eq!(silent.status, 303);
    let code = param(silent.header("location"), "code").unwrap();
    let second = parts(&harness.redeem(&code).await.text("id_token")).1;
    assert_eq!(second["sid"], first["sid"]);
    assert_eq!(second["auth_time"], first["auth_time"]);
    assert!(param(again(&[("prompt", "none")]).await.header("location"), "code").is_some());
    assert_eq!(again(&[("max_age", "100")]).await.status, 303);

    for asking in [
        [("prompt", "login")],
        [("prompt", "consent")],
        [("max_age", "99")],
        [("max_age", "0")],
        [("acr_values", "urn:stronger")],
    ] {
        let url = harness.authorization_url(&asking);
        let page = answer(harness.http.get(url).header("cookie", cookie.clone())).await;
        assert_eq!(page.status, 200, "{asking:?}");
    }
}

#[tokio::test]
async fn sign_in_page_is_not_filled_in_from_another_site() {
    let harness = Harness::start().await;
    let url = harness.authorization_url(&[]);
    let (_, location) = sign_in_by_page(&harness, &url, "http://evil.example").await;
    assert_eq!(location, "");
}

#[tokio::test]
async fn login_hint_puts_that_user_first() {
    let harness = Harness::start().await;
    for hint in ["carol", "carol@example.com"] {
        let url = harness.authorization_url(&[("login_hint", hint)]);
        let page = harness.get(&url).await.body;
        assert!(page.find("value=\"carol\"") < page.find("value=\"alice\""));
    }
}

#[tokio::test] // RFC 9126
async fn pushed_request_serves_once() {
    let harness = Harness::start().await;
    let url = harness.authorization_url(&[]);
    let params: Vec<(String, String)> = url::Url::parse(&url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect();
    let request = harness.http.post(harness.url("/par"));
    let basic = crate::harness::basic(crate::harness::CLIENT, crate::harness::SECRET);
    let pushed = answer(request.header("authorization", basic).form(&params)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    let uri = pushed.text("request_uri");
    let start = url::Url::parse_with_params(
        &harness.url("/authorize"),
        [("client_id", crate::harness::CLIENT), ("request_uri", &uri)],
    )
    .unwrap();
    let approval = harness.provider.approve(start.as_str(), "alice").await;
    let code = param(&approval.unwrap().callback_url, "code").unwrap();
    assert_eq!(harness.redeem(&code).await.status, 200);
    assert!(harness.provider.approve(start.as_str(), "alice").await.is_err());
}

#[tokio::test] // RFC 9126 §5
async fn requests_that_are_not_pushed_can_be_refused() {
    let harness = Harness::start().await;
    let url = harness.authorization_url(&[]);
    harness.provider.control().require_pushed_requests(true);
    // Also not beside a name that names nothing, or beside two of them.
    for beside in ["", "&request_uri=", "&request_uri=urn:a&request_uri=urn:b"] {
        let approval = harness.provider.approve(&format!("{url}{beside}"), "alice").await;
        assert!(approval.is_err(), "{beside}");
    }
    let discovery = harness
        .get(&harness.url("/.well-known/openid-configuration"))
        .await;
    assert_eq!(discovery.json()["require_pushed_authorization_requests"], true);
    harness.provider.control().require_pushed_requests(false);
    assert!(harness.provider.approve(&url, "alice").await.is_ok());
}

fn signing_key() -> SigningKey {
    let key = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let body = STANDARD.encode(key.as_ref());
    SigningKey::from_pem(&format!(
        "-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    ))
    .unwrap()
}

/// A request object with these claims, and this header.
fn request_object(key: &SigningKey, typ: &str, claims: &Value) -> String {
    let header = serde_json::Map::from_iter([("typ".to_owned(), json!(typ))]);
    key.sign(Algorithm::EdDSA, header, claims).unwrap()
}

#[tokio::test] // RFC 9101 §4, §6
async fn request_objects_are_checked_in_every_respect() {
    const TYPE: &str = "oauth-authz-req+jwt";
    let key = signing_key();
    let client = Client::confidential(CLIENT, SECRET)
        .redirect_uri(CALLBACK)
        .request_object_key(PublicKey::from_jwk(&key.public_jwk()).unwrap());
    let harness = Harness::start_client(client, |builder| builder).await;
    let now = harness.clock.clock().now().as_secs();
    let mut good = json!({
        "iss": CLIENT, "aud": harness.provider.issuer(), "nbf": now, "exp": now + 300, "max_age": 600,
        "resource": ["https://a.example", "https://b.example"],
    });
    for (name, value) in url::Url::parse(&harness.authorization_url(&[]))
        .unwrap()
        .query_pairs()
    {
        good[&*name] = json!(value);
    }
    let push = async |object: String| {
        let basic = crate::harness::basic(CLIENT, SECRET);
        let request = harness
            .http
            .post(harness.url("/par"))
            .header("authorization", basic);
        answer(request.form(&[("request", object)])).await
    };
    let mut number = 0;
    let mut with = |name: &str, value: Value| {
        number += 1;
        let mut claims = good.clone();
        claims["jti"] = json!(number.to_string());
        if !name.is_empty() {
            claims[name] = value;
        }
        claims
    };
    let object = request_object(&key, TYPE, &with("", Value::Null));
    let pushed = push(object.clone()).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    assert_eq!(
        push(object).await.text("error"),
        "invalid_request_object",
        "used before"
    );
    for (name, value) in [
        ("iss", json!("somebody-else")),
        ("client_id", json!("somebody-else")),
        ("aud", json!("https://elsewhere.example")),
        ("nbf", json!(now + 60)),
        ("nbf", json!(now - 60)),
        ("nbf", Value::Null),
        ("exp", json!(now)),
        ("exp", Value::Null),
        ("jti", Value::Null),
        ("sub", json!(CLIENT)),
        ("request_uri", json!("urn:x")),
    ] {
        let refused = push(request_object(&key, TYPE, &with(name, value.clone()))).await;
        assert_eq!(refused.text("error"), "invalid_request_object", "{name} {value}");
    }
    let refused = push(request_object(&key, "JWT", &with("", Value::Null))).await;
    assert_eq!(refused.text("error"), "invalid_request_object");
    // A good signature, of another key; and of the right key, over other claims.
    let other = signing_key();
    let refused = push(request_object(&other, TYPE, &with("", Value::Null))).await;
    assert_eq!(refused.text("error"), "invalid_request_object");
    let one = request_object(&key, TYPE, &with("", Value::Null));
    let another = request_object(&key, TYPE, &with("max_age", json!(0)));
    let (message, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = another.rsplit_once('.').unwrap();
    let refused = push(format!("{message}.{signature}")).await;
    assert_eq!(refused.text("error"), "invalid_request_object");
    harness.provider.control().require_signed_requests(true);
    let unsigned = harness.get(&harness.authorization_url(&[])).await;
    let error = param(unsigned.header("location"), "error");
    assert_eq!(error.as_deref(), Some("invalid_request_object"));
}

#[tokio::test] // JARM §2.1, §2.3
async fn a_response_can_be_signed() {
    let harness = Harness::start().await;
    for (mode, is_form) in [("jwt", false), ("query.jwt", false), ("form_post.jwt", true)] {
        let url = harness.authorization_url(&[("response_mode", mode)]);
        let approval = harness.provider.approve(&url, "alice").await.unwrap();
        let form = approval.form.unwrap_or_default();
        let response = if is_form {
            assert_eq!((form.len(), form[0].0.as_str()), (1, "response"));
            form[0].1.clone()
        } else {
            assert_eq!(param(&approval.callback_url, "code"), None);
            param(&approval.callback_url, "response").unwrap()
        };
        let (_, claims) = parts(&response);
        assert_eq!(claims["iss"], harness.provider.issuer());
        assert_eq!(
            (&claims["aud"], &claims["state"]),
            (&json!(CLIENT), &json!("the-state"))
        );
        assert!(claims["exp"].is_number());
        let code = claims["code"].as_str().unwrap().to_owned();
        assert_eq!(harness.redeem(&code).await.status, 200, "{mode}");
    }
}
