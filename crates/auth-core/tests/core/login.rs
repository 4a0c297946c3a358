//! From the provider's answer to a session: once, in the right browser, in time, and only as the app's hook allows.

use std::sync::{Arc, Mutex};

use auth_core::config::ResponseMode;
use auth_core::reply::SessionChange;
use auth_core::{Refused, SecretKeys};
use auth_testing::{Endpoint, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::store::{Failure, Op};
use crate::world::{BASE, CLIENT, World, assert_page, eventually, location, secs};

// RFC 6749 §4.1.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_callbacks_at_once_one_redeems_the_code() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/here").await;
    let target = browser.approve(&url).await;
    let hold = world.control().hold(Endpoint::Token);
    let instances = [world.auth.clone(), world.instance().await];
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let auth = instances[number % 2].clone();
        let request = browser.request("GET", &target);
        tasks.spawn(async move { auth.callback(request).await });
    }
    hold.waiting(1).await.unwrap();
    eventually("all have claimed the state", || {
        world.store.count(Op::Claim) == 50
    })
    .await;
    hold.release();
    let replies = tasks.join_all().await;
    let (signed_in, refused): (Vec<_>, Vec<_>) = replies
        .iter()
        .partition(|reply| matches!(reply.session, SessionChange::Set { .. }));
    assert_eq!((signed_in.len(), refused.len()), (1, 49));
    assert_eq!(location(signed_in[0]), "/here");
    for reply in refused {
        assert_page(reply, 400, "login.state_replayed");
    }
    assert_eq!(
        (world.control().count(Endpoint::Token), world.store.sessions()),
        (1, 1)
    );
}

// RFC 9700 §4.7.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_used_up_whatever_came_of_it() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let target = browser.approve(&url).await;
    let cookies = browser.cookies.clone();
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    let reply = browser.callback(&target).await;
    assert_page(&reply, 503, "login.token_unavailable");
    assert!(browser.cookies.is_empty(), "the attempt's cookie is taken away");
    browser.cookies = cookies;
    assert_page(&browser.callback(&target).await, 400, "login.state_replayed");
    assert_eq!(world.control().count(Endpoint::Token), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_callback_of_someone_signed_in_goes_on_to_the_app() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/here?a=1").await;
    let target = browser.approve(&url).await;
    let attempt = browser.cookies.clone();
    let _ = browser.callback(&target).await;
    let id = browser.session().unwrap();
    assert_eq!(
        location(&browser.callback(&target).await),
        "/",
        "the way back is forgotten"
    );
    browser.cookies.extend(attempt);
    let reply = browser.callback(&target).await;
    assert_eq!(location(&reply), "/here?a=1", "the way back is known");
    assert!(browser.session().unwrap() == id, "the session is unchanged");
    world.store.breaks(Op::Load);
    assert_page(&browser.callback(&target).await, 503, "store.unavailable");
}

// RFC 9700 §2.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_belongs_to_its_browser_its_key_and_its_time() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let target = browser.approve(&url).await;

    assert_page(
        &world.browser().callback(&target).await,
        400,
        "login.cookies_blocked",
    );
    let stranger = world
        .instance_with(|builder| builder.secret(SecretKeys::random()))
        .await;
    let mut elsewhere = world.browser_of(&stranger);
    elsewhere.cookies = browser.cookies.clone();
    assert_page(
        &elsewhere.callback(&target).await,
        400,
        "login.attempt_unreadable",
    );
    elsewhere.cookies.clear();
    assert_page(
        &elsewhere.callback(&target).await,
        400,
        "login.attempt_unreadable",
    );
    let path = "/auth/callback";
    assert_page(&browser.callback(path).await, 400, "login.state_missing");
    let doubled = format!("{target}&state=x");
    assert_page(&browser.callback(&doubled).await, 400, "login.parameter_repeated");
    world.clock.advance(secs(15 * 60));
    assert_page(&browser.callback(&target).await, 400, "login.attempt_expired");
    for name in ["code", "iss", "error"] {
        let url = browser.begin("/").await;
        let target = browser.approve(&url).await;
        let kept = browser.cookies.clone();
        let doubled = format!("{target}&{name}=x&{name}=x");
        assert_page(&browser.callback(&doubled).await, 400, "login.parameter_repeated");
        // The state is used up all the same.
        browser.cookies = kept;
        assert_page(&browser.callback(&target).await, 400, "login.state_replayed");
    }
    assert_eq!(
        (world.control().count(Endpoint::Token), world.store.sessions()),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_page_left_open_for_an_hour_begins_anew_and_keeps_the_way_back() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/here?a=1%26b=2").await;
    let target = browser.approve(&url).await;
    world.clock.advance(secs(60 * 60));
    let reply = browser.callback(&target).await;
    assert_page(&reply, 400, "login.attempt_expired");
    assert!(
        reply
            .body
            .contains("/auth/login?return_to=%2Fhere%3Fa%3D1%26b%3D2\""),
        "{}",
        reply.body
    );
    assert_eq!(world.control().count(Endpoint::Token), 0);
    assert_eq!(
        location(&browser.try_sign_in("/here?a=1%26b=2").await),
        "/here?a=1&b=2"
    );
    // The old page once more, in a browser that is signed in by now.
    assert_eq!(location(&browser.callback(&target).await), "/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_asks_ahead_of_its_user_begins_and_finishes_no_sign_in() {
    let world = World::start().await;
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("sec-purpose", "prefetch;anonymous-client-ip"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        let mut browser = world.browser();
        let ahead = |browser: &crate::world::Browser<'_>, target: &str| {
            let mut head = browser.head("GET", target);
            head.headers.push((name, value.to_owned()));
            browser.request_of(&head)
        };
        let reply = world
            .auth
            .login(ahead(&browser, "/auth/login?return_to=/here"))
            .await;
        assert_eq!(reply.status, 503, "{name}: {value}");
        assert_eq!(
            reply.headers,
            [("cache-control", "no-store".into()), ("retry-after", "1".into())],
            "{name}: {value}"
        );
        let url = browser.begin("/here").await;
        let target = browser.approve(&url).await;
        let reply = world.auth.callback(ahead(&browser, &target)).await;
        assert_eq!(reply.status, 503, "{name}: {value}");
        assert!(matches!(reply.session, SessionChange::Keep), "{name}: {value}");
        assert_eq!(
            location(&browser.callback(&target).await),
            "/here",
            "the state is still good"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_instance_finishes_what_another_began_until_the_last_second() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    world.clock.advance(secs(15 * 60 - 1));
    let target = browser.approve(&url).await;
    browser.auth = world.instance().await;
    let reply = browser.callback(&target).await;
    assert!(
        matches!(reply.session, SessionChange::Set { .. }),
        "{}",
        reply.body
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sixth_attempt_drops_the_oldest() {
    let world = World::start().await;
    let mut browser = world.browser();
    let mut targets = Vec::new();
    for _ in 0..6 {
        let url = browser.begin("/").await;
        targets.push(browser.approve(&url).await);
        world.clock.advance(secs(1));
    }
    assert_eq!(browser.cookies.len(), 5);
    assert_page(&browser.callback(&targets[0]).await, 400, "login.attempt_dropped");
    for target in &targets[1..] {
        let reply = browser.callback(target).await;
        assert!(
            matches!(reply.session, SessionChange::Set { .. }),
            "{}",
            reply.body
        );
    }
    assert_eq!(world.store.sessions(), 1, "each sign-in ends the session before");
}

// RFC 9207 §2.4, §3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_issuer_of_the_response_is_compared_and_demanded() {
    let world = World::start().await;
    for (issuer, code) in [
        (Some("https://id.example"), "login.issuer_mismatch"),
        (Some(""), "login.issuer_missing"),
        (None, "login.issuer_missing"),
    ] {
        world.control().tamper_callback(move |parameters| {
            parameters.retain(|(name, _)| name != "iss");
            parameters.extend(issuer.map(|issuer| ("iss".to_owned(), issuer.to_owned())));
        });
        assert_page(&world.browser().try_sign_in("/").await, 400, code);
    }
    assert_eq!(world.control().count(Endpoint::Token), 0);

    // A provider that never promised to name itself need not.
    world.control().tamper_discovery(|document| {
        document.remove("authorization_response_iss_parameter_supported");
    });
    let auth = world.instance().await;
    world.browser_of(&auth).sign_in("/").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_beside_a_code_is_an_error() {
    let world = World::start().await;
    for (error, status, code) in [
        ("access_denied", 403, "login.access_denied"),
        ("server_error", 502, "login.provider_error"),
        ("temporarily_unavailable", 503, "login.provider_unavailable"),
        ("<script>", 400, "login.refused"),
    ] {
        world
            .control()
            .tamper_callback(move |parameters| parameters.push(("error".into(), error.into())));
        let reply = world.browser().try_sign_in("/").await;
        assert_page(&reply, status, code);
        assert!(!reply.body.contains("<script>"));
    }
    assert_eq!(world.control().count(Endpoint::Token), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_does_not_cancel_the_sign_in() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = browser.begin("/").await;
    let target = browser.approve(&url).await;
    let hold = world.control().hold(Endpoint::Token);
    let (auth, request) = (world.auth.clone(), browser.request("GET", &target));
    let gone = tokio::spawn(async move { auth.callback(request).await });
    hold.waiting(1).await.unwrap();
    gone.abort();
    hold.release();
    eventually("the session is there", || world.store.sessions() == 1).await;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Desk {
    floor: u8,
}

#[derive(Deserialize)]
struct Employee {
    email: String,
    level: u8,
    #[serde(default)]
    manager: Option<String>,
}

// OpenID Connect Core §3.1.3.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hook_sees_and_shapes_but_cannot_change_who_the_user_is() {
    let seen = Arc::new(Mutex::new(Value::Null));
    let notes = Arc::clone(&seen);
    let world = World::with(|builder| {
        builder
            .on_sign_in(move |mut sign_in| {
                let secrets = ["access_token", "refresh_token", "id_token"]
                    .iter()
                    .filter(|name| sign_in.token_response().contains_key(**name));
                *notes.lock().unwrap() = json!({
                    "subject": sign_in.subject(),
                    "audience": sign_in.id_token_claims().unwrap().get("aud"),
                    "userinfo": sign_in.userinfo().unwrap().get("phone"),
                    "merged": sign_in.claims().get("phone"),
                    "tier": sign_in.token_response().get("tier"),
                    "secrets": secrets.count(),
                    "token": !sign_in.access_token().expose().is_empty(),
                    "mail": sign_in.scopes().contains("email"),
                });
                async move {
                    sign_in.keep_claims(["email", "level"]);
                    sign_in.set_claim("manager", "grace");
                    sign_in.set_claim("sub", "root");
                    sign_in.set_claim("iss", "https://id.example");
                    sign_in.set_app(&Desk { floor: 3 }).unwrap();
                    Ok(sign_in)
                }
            })
            .session_view(|session, mut shown| {
                shown["floor"] = json!(session.app::<Desk>().unwrap().floor);
                shown
            })
    })
    .await;
    world
        .control()
        .tamper_userinfo(|claims| drop(claims.insert("phone".into(), json!("+1"))));
    world
        .control()
        .tamper_token_response(|answer| drop(answer.insert("tier".into(), json!("gold"))));
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let expected = json!({
        "subject": "ada", "audience": CLIENT, "userinfo": "+1", "merged": "+1", "tier": "gold", "secrets": 0,
        "token": true, "mail": true,
    });
    // Some providers write one audience as an array.
    let mut noted = seen.lock().unwrap().clone();
    if let Value::Array(audience) = &noted["audience"] {
        noted["audience"] = audience[0].clone();
    }
    assert_eq!(noted, expected);

    let session = world.session(&id).await;
    assert_eq!(
        (session.subject(), session.claims().subject()),
        ("ada", Some("ada"))
    );
    assert_eq!(session.claims().str("iss"), Some(world.provider.issuer()));
    assert_eq!(session.app::<Desk>().unwrap(), Desk { floor: 3 });
    assert_eq!(session.claims().get("phone"), None, "it was not kept");
    let employee: Employee = session.claims().to().unwrap();
    assert_eq!((employee.email.as_str(), employee.level), ("ada@example.com", 7));
    assert_eq!(employee.manager.as_deref(), Some("grace"));
    session.claims().to::<Desk>().expect_err("the claims are no desk");
    let reply = world
        .auth
        .session_status(browser.request("GET", "/auth/session"))
        .await;
    let shown: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        (&shown["floor"], &shown["user"]["sub"]),
        (&json!(3), &json!("ada"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hook_can_refuse() {
    let world = World::with(|builder| {
        builder.on_sign_in(|_| async { Err(Refused::because("a reason that is for the log only")) })
    })
    .await;
    let mut browser = world.browser();
    let reply = browser.try_sign_in("/").await;
    assert_page(&reply, 403, "login.refused_by_app");
    assert!(!reply.body.contains("a reason that is for the log only"));
    assert_eq!((browser.cookies.len(), world.store.sessions()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_ends_the_session_that_was_there() {
    let world = World::start().await;
    let mut browser = world.browser();
    let old = browser.sign_in("/").await;
    let new = browser.sign_in("/").await;
    assert!(old != new);
    world.auth.authenticate(Some(&old)).await.unwrap_err();
    world.session(&new).await;
    assert_eq!(world.store.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_cannot_be_written_signs_nobody_in() {
    let world = World::start().await;
    for (op, failure) in [
        (Op::Claim, Failure::Lost),
        (Op::Claim, Failure::AnswerLost),
        (Op::Insert, Failure::Lost),
        (Op::Insert, Failure::AnswerLost),
    ] {
        let mut browser = world.browser();
        world.store.fail_next(op, failure);
        let reply = browser.try_sign_in("/").await;
        assert_page(&reply, 503, "store.unavailable");
        assert!(browser.session().is_none(), "{op:?} {failure:?}");
    }
    assert_eq!(
        world.control().count(Endpoint::Token),
        2,
        "without the claim no code is redeemed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_previous_session_that_cannot_be_ended_lets_no_new_one_in() {
    let world = World::start().await;
    let mut browser = world.browser();
    let old = browser.sign_in("/").await;
    world.store.fail_next(Op::Delete, Failure::Lost);
    let reply = browser.try_sign_in("/").await;
    assert_page(&reply, 503, "store.unavailable");
    assert!(matches!(reply.session, SessionChange::Keep));
    assert!(browser.session().unwrap() == old);
    assert_eq!(world.store.sessions(), 1, "the new one is gone again");
}

// OpenID Connect Core §3.1.3.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_is_not_good_leaves_the_session_alone() {
    let world = World::start().await;
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    world.control().corrupt_id_token_signature(true);
    let reply = browser.try_sign_in("/").await;
    assert_eq!(reply.status, 502);
    assert!(browser.session().unwrap() == id);
    world.session(&id).await;
}
// OpenID Connect Core §3.1.2.1; RFC 6749 §4.1.1, §10.10; RFC 9700 §4.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authorization_request_is_what_the_specifications_ask_for() {
    let world = World::start().await;
    let mut browser = world.browser();
    let url = url::Url::parse(&browser.begin("/").await).unwrap();
    let get = |name: &str| {
        let mut values = url
            .query_pairs()
            .filter(|(held, _)| held == name)
            .map(|(_, value)| value.into_owned());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} once");
        value
    };
    assert_eq!(get("response_type").as_deref(), Some("code"));
    assert_eq!(get("client_id").as_deref(), Some(CLIENT));
    assert_eq!(get("redirect_uri"), Some(format!("{BASE}/auth/callback")));
    assert_eq!(get("code_challenge_method").as_deref(), Some("S256"));
    for random in ["state", "nonce", "code_challenge"] {
        // Behind the dot of the `state` is how the sign-in began, sealed.
        let value = get(random).unwrap();
        let bits = value.split('.').next().unwrap();
        assert_eq!(bits.len(), 43, "{random} has 256 bits");
    }
    assert_eq!(get("return_to"), None);
}

// Form Post Response Mode §2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_posted_is_read_from_the_body_only() {
    let world = World::with(|builder| builder.response_mode(ResponseMode::FormPost)).await;
    let mut browser = world.browser();
    let url = browser.begin("/here").await;
    let form = world.provider.approve(&url, "ada").await.unwrap().form.unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let post = |target: String, content_type: &str, body: &str| {
        let mut head = browser.head("POST", &target);
        head.headers.push(("content-type", content_type.to_owned()));
        // It comes from the provider's page: another site.
        head.headers.push(("origin", world.provider.issuer().to_owned()));
        let session = world.auth.session_id(&head);
        let request = world.auth.route_request(&head, body.as_bytes().to_vec(), session);
        world.auth.callback(request)
    };
    let (path, form_type) = ("/auth/callback", "application/x-www-form-urlencoded");
    let in_query = post(format!("{path}?{body}"), form_type, "").await;
    assert_page(&in_query, 400, "login.state_missing");
    let no_form = post(path.into(), "text/plain", &body).await;
    assert_page(&no_form, 400, "login.state_missing");
    let good = post(
        path.into(),
        "application/x-www-form-urlencoded;charset=UTF-8",
        &body,
    )
    .await;
    assert_eq!(location(&good), "/here");
    assert!(matches!(good.session, SessionChange::Set { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_leads_to_a_page_of_this_app_and_not_in_circles() {
    let world = World::start().await;
    for (asked, leads_to) in [
        ("/a?b=c%26d", "/a?b=c&d"),
        ("%2Fa%3Fb%3Dc", "/a?b=c"),
        ("//evil.example/", "/"),
        ("/%5Cevil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/auth/login", "/"),
        ("/auth/callback?code=a", "/"),
        ("/auth/logout", "/"),
        ("/a/../auth/login", "/"),
        ("/auth/%2E/login?x", "/"),
        ("/auth/x/.%252e/callback", "/"),
        ("", "/"),
    ] {
        let reply = world.browser().try_sign_in(asked).await;
        assert_eq!(location(&reply), leads_to, "{asked}");
    }
}

// OpenID Connect Core §4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_party_can_ask_for_a_sign_in_here_and_nowhere_else() {
    let world = World::start().await;
    let issuer = world.provider.issuer();
    let ask = |query: String| {
        let head = world.browser().request("GET", &format!("/auth/login?{query}"));
        world.auth.login(head)
    };
    let reply = ask(format!("iss={issuer}&login_hint=ada&target_link_uri={BASE}/here")).await;
    assert!(
        location(&reply).contains("login_hint=ada"),
        "{}",
        location(&reply)
    );
    // What would make the redirect longer than proxies take is left out.
    for (length, is_kept) in [(1024, true), (1025, false)] {
        let reply = ask(format!("login_hint={}", "a".repeat(length))).await;
        assert_eq!(reply.status, 303);
        assert_eq!(location(&reply).contains("login_hint="), is_kept, "{length}");
    }
    for query in [
        "iss=https://id.example".to_owned(),
        "iss=".to_owned(),
        format!("iss={issuer}&iss={issuer}"),
        format!("iss={issuer}/"),
    ] {
        assert_page(&ask(query).await, 400, "login.unknown_issuer");
    }
}
