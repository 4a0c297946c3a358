//! Calls to APIs: the token goes where it may go, is alive, and is replaced once where an API refuses it.

use std::error::Error as _;
use std::time::{Duration, Instant};

use auth_core::client::{ApiError, AuthenticatedClient};
use auth_core::gate::OnRefusal;
use auth_core::grants::ClientCredentials;
use auth_core::trace::TraceContext;
use auth_testing::{Endpoint, Fault};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use url::Url;
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::grants::{EXCHANGE, requests_of};
use crate::world::{Browser, LIFE, WAIT, World, assert_page, header, location, secs};

const ECHO: Endpoint = Endpoint::Api("/echo");

async fn client(world: &World) -> AuthenticatedClient {
    let id = world.sign_in().await;
    world.auth.client(&world.session(&id).await)
}

async fn server(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(template).mount(&server).await;
    server
}

// RFC 6750 §5.2; RFC 9700 §4.9.1; RFC 10017 §6.1.3.6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_goes_to_the_configured_apis_only() {
    let stranger = server(ResponseTemplate::new(200)).await;
    let world = World::start().await;
    let api = client(&world).await;
    let me: Value = api.get("/users/me").send().await.unwrap().json().await.unwrap();
    assert_eq!(me["id"], "ada");
    let host = world.provider.api_url().replace("http://", "");
    for url in [
        format!("{}/x", stranger.uri()),
        world.provider.issuer().to_owned(),
        format!("https://{host}/users/me"),
        format!("http://{host}@{}/", stranger.uri().replace("http://", "")),
        format!(
            "http://localhost:{}/users/me",
            host.split(':').next_back().unwrap()
        ),
    ] {
        let error = api.get(&url).send().await.unwrap_err();
        assert!(
            matches!(error, ApiError::OriginNotAllowed { .. }),
            "{url}: {error}"
        );
    }
    // What looks like another host is a path of the API.
    let answer = api
        .get(format!("//{}/x", stranger.uri().replace("http://", "")))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    assert!(stranger.received_requests().await.unwrap().is_empty());
}

// RFC 6750 §5.2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_follows_no_redirect_to_another_origin() {
    let stranger = server(ResponseTemplate::new(200)).await;
    let other_api = server(ResponseTemplate::new(200)).await;
    let api = MockServer::start().await;
    for (from, to) in [
        ("/away", stranger.uri()),
        ("/other", other_api.uri()),
        ("/here", "/there".to_owned()),
        ("/circle", "/circle".to_owned()),
    ] {
        let redirect = ResponseTemplate::new(307).insert_header("location", to.as_str());
        Mock::given(path(from)).respond_with(redirect).mount(&api).await;
    }
    Mock::given(path("/there"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&api)
        .await;
    let (first, second) = (api.uri(), other_api.uri());
    let world = World::with(|builder| builder.other_api(first).other_api(second)).await;
    let client = client(&world).await;
    let get = |path: &str| client.get(format!("{}{path}", api.uri())).send();
    for from in ["/away", "/other", "/circle"] {
        assert_eq!(get(from).await.unwrap().status(), 307, "{from}");
    }
    assert!(stranger.received_requests().await.unwrap().is_empty());
    assert!(other_api.received_requests().await.unwrap().is_empty());
    assert_eq!(get("/here").await.unwrap().status(), 200);
    let last = api.received_requests().await.unwrap().pop().unwrap();
    assert_eq!(last.url.path(), "/there");
    assert!(
        last.headers.contains_key("authorization"),
        "within the origin it goes along"
    );
}

// RFC 6750 §2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_users_token_replaces_any_other() {
    let world = World::start().await;
    let api = client(&world).await;
    let answer = api
        .get("/users/me")
        .header("Authorization", "Bearer mine")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let request = world
        .control()
        .requests(Endpoint::Api("/users/me"))
        .pop()
        .unwrap();
    let sent = request
        .headers
        .iter()
        .filter(|(name, _)| name == "authorization")
        .count();
    assert_eq!(sent, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_replaced_once_and_the_call_repeated_once() {
    let world = World::start().await;
    let api = client(&world).await;
    let control = world.control();
    control.reject_next(1);
    assert_eq!(api.get("/echo").send().await.unwrap().status(), 200);
    assert_eq!((control.refresh_count(), control.count(ECHO)), (1, 2));
    control.reject_next(2);
    assert_eq!(
        api.get("/echo").send().await.unwrap().status(),
        401,
        "no second time"
    );
    assert_eq!((control.refresh_count(), control.count(ECHO)), (2, 4));
    assert_eq!(api.get("/echo").send().await.unwrap().status(), 200);
    assert_eq!(
        control.refresh_count(),
        2,
        "the new token is kept for the next call"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_sent_again_if_it_can_be() {
    let world = World::start().await;
    let api = client(&world).await;
    world.control().reject_next(1);
    let body = json!({"name": "Ada"});
    let echoed: Value = api
        .post("/echo")
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(echoed, body);
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ECHO)),
        (1, 2)
    );

    world.control().reject_next(1);
    assert_eq!(send_stream(&api).await, 401);
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ECHO)),
        (1, 3)
    );
}

/// On a connection of its own: an API that refuses before it has read everything closes it, and what cannot be sent again must not meet
/// that.
async fn send_stream(api: &AuthenticatedClient) -> u16 {
    let stream = futures_util::stream::iter(["a", "b"]).map(Ok::<_, std::io::Error>);
    let sending = api.post("/echo").header("connection", "close");
    let sending = sending.body(reqwest::Body::wrap_stream(stream)).send();
    sending.await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_stream_renews_the_token_for_the_next_one_once_in_a_minute() {
    let world = World::start().await;
    let api = client(&world).await;
    let counts = || (world.control().refresh_count(), world.control().count(ECHO));
    world.control().reject_next(1);
    assert_eq!(send_stream(&api).await, 401);
    assert_eq!(counts(), (1, 1), "it is not sent again");
    assert_eq!(send_stream(&api).await, 200);
    let asked = world.control().requests(ECHO);
    assert_ne!(asked[0].header("authorization"), asked[1].header("authorization"));
    // An API that refuses whatever it is shown.
    world.control().reject_next(3);
    world.clock.advance(secs(59));
    assert_eq!(send_stream(&api).await, 401);
    assert_eq!(counts().0, 1);
    world.clock.advance(secs(1));
    assert_eq!(send_stream(&api).await, 401);
    assert_eq!(counts().0, 2);
    assert_eq!(send_stream(&api).await, 401);
    assert_eq!(counts().0, 2);
    // What fails on the way to another token is not the answer.
    world.clock.advance(secs(60));
    world.control().reject_next(1);
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    assert_eq!(send_stream(&api).await, 401);
    assert_eq!(send_stream(&api).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_stream_renews_a_machine_s_and_an_exchanged_token_that_is_a_minute_old() {
    let world = World::start().await;
    let machine = world.auth.machine_client(ClientCredentials::new());
    let send = async || {
        let stream = futures_util::stream::iter(["a", "b"]).map(Ok::<_, std::io::Error>);
        let sending = machine
            .post("/echo")
            .header("connection", "close")
            .body(reqwest::Body::wrap_stream(stream))
            .send();
        sending.await.unwrap().status().as_u16()
    };
    let exchanged = client(&world).await.for_audience(world.provider.api_url());
    let asked = |grant| requests_of(&world.provider, grant).len();
    let counts = || (asked("client_credentials"), asked(EXCHANGE));
    assert_eq!(
        (send().await, send_stream(&exchanged).await, counts()),
        (200, 200, (1, 1))
    );
    for (age, issued) in [(59, (1, 1)), (1, (2, 2)), (0, (2, 2))] {
        world.clock.advance(secs(age));
        world.control().reject_next(2);
        assert_eq!((send().await, send_stream(&exchanged).await), (401, 401));
        assert_eq!(counts(), issued, "{age}");
    }
    assert_eq!((send().await, send_stream(&exchanged).await), (200, 200));
    assert_eq!(world.control().refresh_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_at_the_same_time_share_one_refresh() {
    let world = World::start().await;
    let api = client(&world).await;
    world.clock.advance(LIFE);
    let all = join_all((0..10).map(|_| api.get("/echo").send())).await;
    assert!(all.into_iter().all(|answer| answer.unwrap().status() == 200));
    assert_eq!(world.control().refresh_count(), 1, "a dead token");

    let hold = world.control().hold_answer(ECHO);
    world.control().reject_next(10);
    let calls = join_all((0..10).map(|_| api.get("/echo").send()));
    let release = async {
        hold.waiting(10).await.unwrap();
        hold.release();
    };
    let (all, ()) = tokio::join!(calls, release);
    assert!(all.into_iter().all(|answer| answer.unwrap().status() == 200));
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (2, 0),
        "a refused token"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_of_one_session_share_one_refresh_of_a_refused_token() {
    let world = World::start().await;
    let id = world.sign_in().await;
    let session = world.session(&id).await;
    let clients: Vec<_> = (0..6).map(|_| world.auth.client(&session)).collect();
    let hold = world.control().hold_answer(ECHO);
    world.control().reject_next(6);
    let calls = join_all(clients.iter().map(|api| api.get("/echo").send()));
    let release = async {
        hold.waiting(6).await.unwrap();
        hold.release();
    };
    let (all, ()) = tokio::join!(calls, release);
    assert!(all.into_iter().all(|answer| answer.unwrap().status() == 200));
    assert_eq!(
        (world.control().refresh_count(), world.control().reuse_count()),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_refresh_token_the_apis_refusal_is_the_answer() {
    let world = World::with(|builder| builder.scopes("openid")).await;
    let api = client(&world).await;
    world.control().reject_next(1);
    assert_eq!(api.get("/echo").send().await.unwrap().status(), 401);
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ECHO)),
        (0, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_fails_is_told_as_what_it_is() {
    let world = World::start().await;
    let api = client(&world).await;
    world.clock.advance(LIFE);
    world.control().fail_next(Endpoint::Token, 1, Fault::status(503));
    let error: auth_core::Error = api.get("/echo").send().await.unwrap_err().into();
    assert!(matches!(error, auth_core::Error::Refresh(_)), "{error:?}");
    world.control().kill_refresh_tokens();
    let error: auth_core::Error = api.get("/echo").send().await.unwrap_err().into();
    assert!(matches!(error, auth_core::Error::NotSignedIn(_)), "{error:?}");
    assert_eq!(world.control().count(ECHO), 0, "a dead token is sent nowhere");
}

/// An error's text, its debug text and all its causes.
fn everything(error: &ApiError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_shows_neither_body_nor_url() {
    let api = server(ResponseTemplate::new(500).set_body_string("BODY of the API")).await;
    let uri = api.uri();
    let world = World::with(|builder| builder.other_api(uri)).await;
    let client = client(&world).await;
    let url = format!("{}/PATH?q=QUERY", api.uri());
    let refused = client.get(&url).send().await.unwrap().bytes().await.unwrap_err();
    assert!(
        matches!(&refused, ApiError::Status { status, body, .. } if *status == 500 && body == "BODY of the API")
    );
    api.reset().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("BODY"))
        .mount(&api)
        .await;
    let malformed = client
        .get(&url)
        .send()
        .await
        .unwrap()
        .json::<Value>()
        .await
        .unwrap_err();
    world.control().fail(ECHO, Fault::Hang);
    let began = Instant::now();
    let slow = client
        .get("/echo/PATH?q=QUERY")
        .timeout(Duration::from_millis(200))
        .send()
        .await
        .unwrap_err();
    assert!(matches!(slow, ApiError::Timeout));
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "the call's own limit, not the configured 10 s"
    );
    world.control().apis_go_down().await;
    let gone = client.get("/echo/PATH?q=QUERY").send().await.unwrap_err();
    assert!(matches!(gone, ApiError::Unreachable(_)));
    let foreign = client
        .get("https://other.example/PATH?q=QUERY")
        .send()
        .await
        .unwrap_err();
    let bad = client.get("PATH QUERY").send().await.unwrap_err();
    for error in [refused, malformed, slow, gone, foreign, bad] {
        let text = everything(&error);
        for word in ["BODY", "PATH", "QUERY"] {
            assert!(!text.contains(word), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_too_large_is_refused_and_can_be_streamed() {
    let api =
        server(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; auth_core::client::MAX_BODY + 1])).await;
    let uri = api.uri();
    let world = World::with(|builder| builder.other_api(uri)).await;
    let client = client(&world).await;
    let error = client
        .get(api.uri())
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap_err();
    assert!(matches!(error, ApiError::TooLarge));
    let mut answer = client.get(api.uri()).send().await.unwrap().into_inner();
    let mut length = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        length += chunk.len();
    }
    assert_eq!(length, auth_core::client::MAX_BODY + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_carries_the_status_and_a_body_within_bounds() {
    let limit = auth_core::client::MAX_ERROR_BODY;
    for (size, kept) in [(limit, limit), (limit + 1, 0)] {
        let answer = ResponseTemplate::new(507).set_body_raw(vec![b'x'; size], "text/x-trouble");
        let api = server(answer).await;
        let uri = api.uri();
        let world = World::with(|builder| builder.other_api(uri)).await;
        let answer = client(&world).await.get(api.uri()).send().await.unwrap();
        let ApiError::Status {
            status,
            content_type,
            body,
        } = answer.json::<Value>().await.unwrap_err()
        else {
            panic!("another error")
        };
        assert_eq!((status.as_u16(), body.len()), (507, kept));
        assert_eq!(content_type.as_deref(), Some("text/x-trouble"));
    }
}

const STEP_UP: &str =
    r#"Bearer error="insufficient_user_authentication", acr_values="urn:x:2 urn:x:1", max_age="60""#;

/// An API that gives these challenges, one after the other, and the last one from then on.
async fn demanding(challenges: &[(u16, &str)]) -> MockServer {
    let server = MockServer::start().await;
    for (n, (status, challenge)) in challenges.iter().enumerate() {
        let answer = ResponseTemplate::new(*status)
            .insert_header("www-authenticate", *challenge)
            .set_body_json(json!({"said": "by the API"}));
        let mock = Mock::given(any()).respond_with(answer);
        let is_last = n + 1 == challenges.len();
        if is_last { mock } else { mock.up_to_n_times(1) }
            .mount(&server)
            .await;
    }
    server
}

// RFC 9470 §3, RFC 6750 §3.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demand_for_another_sign_in_is_neither_refreshed_nor_repeated() {
    for (challenges, calls) in [
        (&[(401, STEP_UP)][..], 1),
        // A token that is refused is one thing, a sign-in that is refused another.
        (&[(401, r#"Bearer error="invalid_token""#), (401, STEP_UP)], 2),
    ] {
        let api = demanding(challenges).await;
        let uri = api.uri();
        let world = World::with(|builder| builder.other_api(uri)).await;
        let client = client(&world).await;
        let error = client
            .get(api.uri())
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap_err();
        let ApiError::StepUp(step_up) = error else {
            panic!("{error}");
        };
        let acr_values: Vec<_> = step_up.acr_values().collect();
        assert_eq!(acr_values, ["urn:x:2", "urn:x:1"]);
        assert_eq!(step_up.max_age(), Some(Duration::from_secs(60)));
        assert!(step_up.scopes().is_empty());
        assert_eq!(api.received_requests().await.unwrap().len(), calls);
        assert_eq!(world.control().refresh_count(), calls as u64 - 1);
        // Whoever wants to see the answer itself may.
        let answer = client.get(api.uri()).send().await.unwrap();
        assert_eq!(answer.status(), 401);
    }

    for challenge in [
        r#"Bearer error="insufficient_scope""#,
        r#"Bearer error="invalid_token", scope="mail""#,
        r#"Basic error="insufficient_scope", scope="mail""#,
    ] {
        let api = demanding(&[(403, challenge)]).await;
        let uri = api.uri();
        let world = World::with(|builder| builder.other_api(uri)).await;
        let error = client(&world)
            .await
            .get(api.uri())
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap_err();
        assert!(matches!(error, ApiError::Status { .. }), "{challenge}: {error}");
    }
}

// RFC 9470 §4 and §5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_signs_in_as_the_api_demands_and_once() {
    const MAIL: &str = r#"Bearer error="insufficient_scope", scope="mail.read mail.send""#;
    for (status, challenge, parameters) in [
        (401, STEP_UP, [Some("urn:x:2 urn:x:1"), Some("60"), None]),
        (403, MAIL, [None, None, Some("mail.read mail.send")]),
    ] {
        let api = demanding(&[(status, challenge)]).await;
        let uri = api.uri();
        let world = World::with(|builder| builder.other_api(uri)).await;
        let mut browser = world.browser();
        browser.sign_in("/").await;
        let refuse = async |browser: &Browser<'_>, accept: &str| {
            let session = world.session(&browser.session().unwrap()).await;
            let answer = world.auth.client(&session).get(api.uri()).send().await.unwrap();
            let error = answer
                .json::<Value>()
                .await
                .map_err(ApiError::passed_on)
                .unwrap_err();
            let mut head = browser.head("GET", "/files?page=2");
            head.headers[0].1 = accept.to_owned();
            let incoming = world.auth.incoming(&head);
            world.auth.refuse(&error.into(), &incoming, &OnRefusal::Automatic)
        };

        let reply = refuse(&browser, "*/*").await;
        assert_eq!(
            (reply.status, header(&reply, "www-authenticate")),
            (status, Some(challenge))
        );
        assert!(
            reply.body.contains("\"api.step_up\"") && !reply.body.contains("by the API"),
            "{}",
            reply.body
        );

        let reply = refuse(&browser, "text/html").await;
        let login = location(&reply).split_once("return_to=").unwrap().1.to_owned();
        let url = browser.begin(&login).await;
        let asked = Url::parse(&url).unwrap();
        let asked = |name: &str| {
            let found = asked.query_pairs().find(|(held, _)| held == name);
            found.map(|(_, value)| value.into_owned())
        };
        assert_eq!(asked("acr_values").as_deref(), parameters[0]);
        assert_eq!(asked("max_age").as_deref(), parameters[1]);
        let scope = asked("scope").unwrap();
        assert!(
            scope.ends_with(parameters[2].unwrap_or("offline_access")),
            "{scope}"
        );
        let target = browser.approve(&url).await;
        assert_eq!(location(&browser.callback(&target).await), "/files?page=2");

        // The API is not content: there is no second round, and a script is told the same as before.
        let reply = refuse(&browser, "text/html").await;
        assert_page(&reply, 403, "api.step_up_denied");
        let reply = refuse(&browser, "*/*").await;
        assert_eq!(
            (reply.status, header(&reply, "www-authenticate")),
            (status, Some(challenge))
        );
        assert!(reply.body.contains("\"api.step_up_denied\""), "{}", reply.body);
    }
}

/// What was sent with the last request to the API's `/echo`.
fn last_echo(world: &World, name: &str) -> Option<String> {
    let request = world.control().requests(ECHO).pop().unwrap();
    request.header(name).map(str::to_owned)
}

/// Begins a request with each method of a client.
macro_rules! every_method {
    ($api:expr) => {
        [
            ($api.get("/echo"), "GET"),
            ($api.head("/echo"), "HEAD"),
            ($api.options("/echo"), "OPTIONS"),
            ($api.post("/echo"), "POST"),
            ($api.put("/echo"), "PUT"),
            ($api.patch("/echo"), "PATCH"),
            ($api.delete("/echo"), "DELETE"),
            ($api.request("PURGE".parse().unwrap(), "/echo"), "PURGE"),
        ]
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_and_kind_of_body_is_sent() {
    let world = World::start().await;
    let api = client(&world).await;
    let machine = world.auth.machine_client(ClientCredentials::new());
    for (request, method) in every_method!(api).into_iter().chain(every_method!(machine)) {
        let answer = request.send().await.unwrap();
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.headers()["x-echo-method"].as_bytes()
            ),
            (200, method.as_bytes())
        );
    }
    let headers = http::HeaderMap::from_iter([(http::header::ACCEPT, http::HeaderValue::from_static("a/b"))]);
    let text = api
        .post("/echo")
        .headers(headers)
        .header("x-bytes", &[0xe9_u8][..])
        .form(&[("a", "b c")])
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(
        (text.as_str(), last_echo(&world, "accept").as_deref()),
        ("a=b+c", Some("a/b"))
    );
    assert!(last_echo(&world, "x-bytes").is_some());
    let stream = futures_util::stream::iter(["a", "b"]).map(Ok::<_, std::io::Error>);
    let streamed = api.post("/echo").body(reqwest::Body::wrap_stream(stream)).send();
    assert_eq!(streamed.await.unwrap().text().await.unwrap(), "ab");
    assert_eq!(last_echo(&world, "content-length"), None);
    // A form of several parts goes once.
    let form = || reqwest::multipart::Form::new().text("name", "Ada");
    let echoed = api
        .post("/echo")
        .multipart(form())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        echoed.contains("name=\"name\"") && echoed.contains("Ada"),
        "{echoed}"
    );
    world.control().reject_next(1);
    let refused = api.post("/echo").multipart(form()).send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), world.control().refresh_count()),
        (401, 1),
        "for the next call"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_made_elsewhere_is_sent_by_the_same_rules() {
    let stranger = server(ResponseTemplate::new(200)).await;
    let world = World::start().await;
    let api = client(&world).await;
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    world.control().reject_next(1);
    let request = http
        .post(format!("{}/echo", world.provider.api_url()))
        .body("body")
        .build()
        .unwrap();
    let answer = api.execute(request).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "body");
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ECHO)),
        (1, 2)
    );
    let request = http.get(stranger.uri()).build().unwrap();
    let refused = api.execute(request).await.unwrap_err();
    assert!(matches!(refused, ApiError::OriginNotAllowed { .. }));
    assert!(stranger.received_requests().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_on_a_dead_token_make_one_refresh() {
    // So many at once take a busy machine long.
    let world = World::with(|builder| builder.http_timeout(6 * WAIT)).await;
    let session = world.session(&world.sign_in().await).await;
    world.clock.advance(LIFE);
    let clients: Vec<_> = (0..10).map(|_| world.auth.client(&session)).collect();
    let calls = (0..1000).map(|n| clients[n % 10].get("/echo").send());
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    let control = world.control();
    assert_eq!(
        (
            control.count(ECHO),
            control.refresh_count(),
            control.reuse_count()
        ),
        (1000, 1, 0)
    );
    let tokens: std::collections::HashSet<_> = control
        .requests(ECHO)
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(tokens.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trace_goes_along_unless_the_call_names_one() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let world = World::start().await;
    let plain = client(&world).await;
    let trace = TraceContext::of([PARENT.as_bytes()], [&b"a=b"[..]]);
    let api = plain.clone().with_trace(trace);
    api.get("/echo").send().await.unwrap();
    let sent = |name| last_echo(&world, name);
    assert_eq!(
        (sent("traceparent").as_deref(), sent("tracestate").as_deref()),
        (Some(PARENT), Some("a=b"))
    );
    let own = PARENT.replace("b7ad", "c7ad");
    api.get("/echo").header("traceparent", &own).send().await.unwrap();
    assert_eq!((sent("traceparent"), sent("tracestate")), (Some(own), None));
    plain.get("/echo").send().await.unwrap();
    assert_eq!(sent("traceparent"), None);

    // The application's own calls belong to the same trace.
    let machine = api.as_application(ClientCredentials::new());
    machine.get("/echo").send().await.unwrap();
    assert_eq!(
        (sent("traceparent").as_deref(), sent("tracestate").as_deref()),
        (Some(PARENT), Some("a=b"))
    );
    machine.with_trace(None).get("/echo").send().await.unwrap();
    assert_eq!(sent("traceparent"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_applications_own_calls_go_by_the_same_rules() {
    let stranger = server(ResponseTemplate::new(200)).await;
    let other = server(ResponseTemplate::new(418).set_body_string("short and stout")).await;
    let uri = other.uri();
    let world = World::with(|builder| builder.other_api(uri)).await;
    // Nobody is signed in, and there is no request.
    let machine = world.auth.machine_client(ClientCredentials::new());
    let token = format!("Bearer {}", machine.access_token().await.unwrap().expose());
    let there = machine.at(format!("{}/v1/", other.uri()));
    let error = there.get("/pot").send().await.unwrap().bytes().await.unwrap_err();
    assert!(
        matches!(&error, ApiError::Status { status, body, .. } if *status == 418 && body == "short and stout"),
        "{error}"
    );
    let asked = other.received_requests().await.unwrap().pop().unwrap();
    assert_eq!(asked.url.path(), "/v1/pot");
    assert_eq!(asked.headers["authorization"], token.as_str());

    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let post = |url: String| http.post(url).body("body").build().unwrap();
    let echo = post(format!("{}/echo", world.provider.api_url()));
    world.control().reject_next(1);
    let answer = machine.execute(echo).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "body");
    assert_eq!(world.control().count(ECHO), 2, "once more, with another token");
    let tokens: Vec<_> = world
        .control()
        .requests(ECHO)
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert!(tokens[0] == token && tokens[1] != token);
    for (client, url) in [
        (&machine, stranger.uri()),
        (&there, world.provider.api_url().to_owned()),
    ] {
        let refused = client.execute(post(url)).await.unwrap_err();
        assert!(matches!(refused, ApiError::OriginNotAllowed { .. }), "{refused}");
    }
    assert!(stranger.received_requests().await.unwrap().is_empty());
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_middleware_it_signs_refreshes_and_repeats_once_and_leaves_others_alone() {
    let stranger = server(ResponseTemplate::new(200)).await;
    let redirect = ResponseTemplate::new(307).insert_header("location", stranger.uri().as_str());
    let leading_away = server(redirect).await;
    let uri = leading_away.uri();
    let world = World::with(|builder| builder.other_api(uri)).await;
    let api = client(&world).await;
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let http = reqwest_middleware::ClientBuilder::new(http)
        .with(api.clone())
        .build();
    world.control().reject_next(1);
    let url = format!("{}/echo", world.provider.api_url());
    let answer = http.post(&url).body("body").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "body");
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ECHO)),
        (1, 2)
    );
    world.control().reject_next(2);
    assert_eq!(http.get(&url).send().await.unwrap().status(), 401);
    assert_eq!(
        (world.control().refresh_count(), world.control().count(ECHO)),
        (2, 4)
    );
    // A stream cannot be sent again: the token is renewed for the next request.
    let stream = || {
        let chunks = futures_util::stream::iter(["a", "b"]).map(Ok::<_, std::io::Error>);
        let post = http.post(&url).header("connection", "close");
        post.body(reqwest::Body::wrap_stream(chunks)).send()
    };
    world.clock.advance(secs(60));
    world.control().reject_next(2);
    for _ in 0..2 {
        assert_eq!(stream().await.unwrap().status(), 401);
        assert_eq!(
            world.control().refresh_count(),
            3,
            "the second has a token of this minute"
        );
    }
    assert_eq!(stream().await.unwrap().text().await.unwrap(), "ab");
    for url in [stranger.uri(), leading_away.uri()] {
        assert_eq!(http.get(url).send().await.unwrap().status(), 200);
    }
    let seen = stranger.received_requests().await.unwrap();
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
    let machine = world.auth.machine_client(ClientCredentials::new());
    let own = reqwest_middleware::ClientBuilder::new(
        reqwest::Client::builder().tls_certs_only([]).build().unwrap(),
    )
    .with(machine.clone())
    .build();
    own.get(&url).send().await.unwrap();
    assert_eq!(
        last_echo(&world, "authorization"),
        Some(format!(
            "Bearer {}",
            machine.access_token().await.unwrap().expose()
        ))
    );
    let first = &leading_away.received_requests().await.unwrap()[0];
    assert!(first.headers.contains_key("authorization"));
    world.control().kill_refresh_tokens();
    world.clock.advance(LIFE);
    let error = http.get(&url).send().await.unwrap_err();
    assert!(
        matches!(error, reqwest_middleware::Error::Middleware(_)),
        "{error:?}"
    );
}
