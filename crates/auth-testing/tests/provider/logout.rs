//! RP-initiated logout.

use crate::harness::{CLIENT, HOME, Harness, answer, param, parts};

fn end_session(harness: &Harness, params: &[(&str, &str)]) -> String {
    let url = harness.url("/end-session");
    url::Url::parse_with_params(&url, params).unwrap().into()
}

#[tokio::test] // RP-Initiated Logout §2, §3
async fn goes_to_the_registered_uri_with_state() {
    let harness = Harness::start().await;
    let token = harness.sign_in().await.text("id_token");
    let url = end_session(
        &harness,
        &[
            ("id_token_hint", &token),
            ("client_id", CLIENT),
            ("post_logout_redirect_uri", HOME),
            ("state", "the-state"),
        ],
    );
    let done = harness.get(&url).await;
    assert_eq!(done.status, 303);
    let location = done.header("location");
    assert!(location.starts_with(HOME));
    assert_eq!(param(location, "state").unwrap(), "the-state");
}

#[tokio::test]
async fn goes_nowhere_that_is_not_registered() {
    let harness = Harness::start().await;
    let tokens = harness.sign_in().await;
    let token = tokens.text("id_token");
    let forged = format!("{token}x");
    let access = harness.control().sign_jwt("at+jwt", &parts(&token).1);
    for params in [
        vec![
            ("id_token_hint", token.as_str()),
            ("post_logout_redirect_uri", "http://evil.example/"),
        ],
        vec![
            ("id_token_hint", &token),
            ("post_logout_redirect_uri", "http://127.0.0.1:3000"),
        ],
        vec![("post_logout_redirect_uri", HOME)],
        vec![("id_token_hint", &access), ("post_logout_redirect_uri", HOME)],
        vec![("id_token_hint", &forged), ("post_logout_redirect_uri", HOME)],
        vec![("id_token_hint", &token), ("client_id", "somebody-else")],
    ] {
        let refused = harness.get(&end_session(&harness, &params)).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.header("location"), "");
    }
}

/// Signs in on the page; gives the provider's session cookie and the ID token.
async fn browser_session(harness: &Harness) -> (String, String) {
    let page = harness.get(&harness.authorization_url(&[])).await.body;
    let start = page.split("name=\"transaction\" value=\"").nth(1).unwrap();
    let transaction = start.split('"').next().unwrap();
    let form = [("transaction", transaction), ("user", "alice")];
    let request = harness.http.post(harness.url("/authorize/decision"));
    let done = answer(request.form(&form)).await;
    let cookie = done.header("set-cookie").split(';').next().unwrap().to_owned();
    let code = param(done.header("location"), "code").unwrap();
    (cookie, harness.redeem(&code).await.text("id_token"))
}

async fn is_signed_in(harness: &Harness, cookie: &str) -> bool {
    let url = harness.authorization_url(&[("prompt", "none")]);
    let silent = answer(harness.http.get(url).header("cookie", cookie)).await;
    param(silent.header("location"), "code").is_some()
}

#[tokio::test]
async fn ends_the_session_at_the_provider() {
    let harness = Harness::start().await;
    let (cookie, token) = browser_session(&harness).await;
    assert!(is_signed_in(&harness, &cookie).await);
    let url = end_session(&harness, &[("id_token_hint", &token)]);
    let page = answer(harness.http.get(url).header("cookie", &cookie)).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Signed out"));
    assert!(page.header("set-cookie").contains("Max-Age=0"));
    assert!(!is_signed_in(&harness, &cookie).await);
}

#[tokio::test]
async fn asks_first_when_no_hint_names_the_user() {
    let harness = Harness::start().await;
    let (cookie, _) = browser_session(&harness).await;
    let url = end_session(&harness, &[("client_id", CLIENT)]);
    let page = answer(harness.http.get(url).header("cookie", &cookie)).await;
    assert!(page.body.contains("Sign out?"));
    assert!(is_signed_in(&harness, &cookie).await);

    let confirm = |origin: String| {
        let request = harness.http.post(harness.url("/end-session"));
        let request = request.header("cookie", &cookie).header("origin", origin);
        answer(request.form(&[("client_id", CLIENT), ("confirmed", "yes")]))
    };
    confirm("http://evil.example".to_owned()).await;
    assert!(is_signed_in(&harness, &cookie).await);
    confirm(harness.provider.issuer().to_owned()).await;
    assert!(!is_signed_in(&harness, &cookie).await);
}
