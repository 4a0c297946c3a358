//! Several public origins of one application: which one a request belongs to, and that what began at one is good at no other.

use std::sync::{Arc, Mutex};

use auth_core::gate::{Gate, OnRefusal};
use auth_core::grants::CustomGrant;
use auth_core::proxy::{Proxy, Upgrade};
use auth_core::reply::{Reply, SessionChange};
use auth_core::request::RouteRequest;
use auth_core::secret::SessionId;
use auth_core::session::{Session, SignIn};
use auth_core::store::{Inserted, MemoryStore};
use auth_core::{AppSessions, Auth, AuthBuilder, ConfigError, Error, SignInProvider};
use auth_testing::Endpoint;
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use crate::proxy::request as request_of_proxy;
use crate::world::{Browser, CLIENT, Head, SECRET, World, assert_page, location};

const A: &str = "http://a.localhost:3000";
const B: &str = "http://b.localhost:3000";

/// The provider that a world has, registered for all redirect URIs.
fn registered(world: &World) -> SignInProvider {
    for origin in [A, B] {
        for path in ["", "/acme", "/globex"] {
            let uri = format!("{origin}/auth/callback{path}");
            world.control().add_redirect_uri(CLIENT, &uri);
        }
    }
    SignInProvider::default()
        .issuer(world.provider.issuer())
        .client(CLIENT, Some(SECRET))
}

/// An application with both origins, and the one provider.
async fn both(world: &World) -> Auth {
    both_with(world, |builder| builder).await
}

async fn both_with(world: &World, set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> Auth {
    let _provider = registered(world);
    world
        .instance_with(|builder| set(builder.base_url(A).further_base_url(B)))
        .await
}

/// With a provider for each origin: `acme` at the first, `globex` at the other.
async fn tenants(world: &World) -> Auth {
    let (acme, globex) = (registered(world).only_at(A), registered(world).only_at(B));
    let builder = Auth::builder()
        .base_url(A)
        .further_base_url(B)
        .provider("acme", acme)
        .provider("globex", globex)
        .store(world.store.clone())
        .secret(world.keys.clone())
        .clock(world.clock.clock());
    builder.build().await.expect("the settings are sound")
}

/// A request that this browser makes at this origin, whatever its cookies are.
fn head(browser: &Browser<'_>, method: &'static str, origin: &str, target: &str) -> Head {
    let mut head = browser.head(method, target);
    let host = origin.trim_start_matches("http://").to_owned();
    head.headers.push(("host", host));
    head
}

fn request(browser: &Browser<'_>, method: &'static str, origin: &str, target: &str) -> RouteRequest {
    browser.request_of(&head(browser, method, origin, target))
}

/// The session that this browser's cookie means at this origin.
async fn session(browser: &Browser<'_>, origin: &str) -> Result<Session, Error> {
    session_of(&browser.auth, browser, origin).await
}

async fn session_of(auth: &Auth, browser: &Browser<'_>, origin: &str) -> Result<Session, Error> {
    let id = auth.session_id(&head(browser, "GET", origin, "/"));
    auth.authenticate(id.as_ref()).await
}

async fn login(browser: &mut Browser<'_>, origin: &str, target: &str) -> Reply {
    let reply = browser.auth.login(request(browser, "GET", origin, target)).await;
    browser.take(&reply);
    reply
}

async fn callback(browser: &mut Browser<'_>, callback: &Url) -> Reply {
    let target = format!("{}?{}", callback.path(), callback.query().unwrap_or_default());
    let request = request(browser, "GET", &callback.origin().ascii_serialization(), &target);
    let reply = match callback.path().strip_prefix("/auth/callback/") {
        Some(name) => browser.auth.callback_of(name, request).await,
        None => browser.auth.callback(request).await,
    };
    browser.take(&reply);
    reply
}

/// The provider's answer to a sign-in that begins at this origin.
async fn answer(browser: &mut Browser<'_>, origin: &str, target: &str) -> Url {
    let url = location(&login(browser, origin, target).await);
    let approval = browser.provider.approve(&url, "ada").await.expect("approved");
    Url::parse(&approval.callback_url).expect("a URL")
}

async fn sign_in(browser: &mut Browser<'_>, origin: &str) -> SessionId {
    let answer = answer(browser, origin, "/auth/login?return_to=/orders").await;
    assert_eq!(answer.origin().ascii_serialization(), origin);
    let reply = callback(browser, &answer).await;
    assert_eq!(location(&reply), "/orders", "{}", reply.body);
    match reply.session {
        SessionChange::Set { .. } => browser
            .auth
            .session_id(&head(browser, "GET", origin, "/"))
            .expect("a session"),
        other => panic!("nobody was signed in: {other:?}"),
    }
}

fn at(answer: &Url, origin: &str) -> Url {
    let (moved, query) = (Url::parse(origin).expect("an origin"), answer.query());
    let mut moved = moved.join(answer.path()).expect("a URL");
    moved.set_query(query);
    moved
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("a URL");
    let found = url.query_pairs().find(|(held, _)| held == name);
    found.map(|(_, value)| value.into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_comes_back_to_the_origin_where_it_began() {
    let world = World::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&seen);
    let auth = both_with(&world, |builder| {
        builder.on_sign_in(move |sign_in: SignIn| {
            hook.lock().unwrap().push(sign_in.origin().to_owned());
            async { Ok(sign_in) }
        })
    })
    .await;
    for (host, origin) in [
        (A, A),
        (B, B),
        ("http://B.LOCALHOST:3000", B),
        ("http://evil.example", A),
        ("http://b.localhost", A),
        ("http://b.localhost:3001", A),
    ] {
        let mut browser = world.browser_of(&auth);
        let url = location(&login(&mut browser, host, "/auth/login").await);
        let redirect_uri = format!("{origin}/auth/callback");
        assert_eq!(
            parameter(&url, "redirect_uri"),
            Some(redirect_uri.clone()),
            "{host}"
        );
        let approval = world.provider.approve(&url, "ada").await.expect("approved");
        let answer = Url::parse(&approval.callback_url).expect("a URL");
        assert_eq!(callback(&mut browser, &answer).await.status, 303);
        let sent = world.control().requests(Endpoint::Token);
        let sent = sent.last().expect("a token request");
        assert_eq!(sent.form("redirect_uri"), Some(redirect_uri.as_str()));
        let session = session(&browser, origin).await.expect("signed in");
        assert_eq!(session.origin(), Some(origin));
    }
    assert_eq!(*seen.lock().unwrap(), [A, B, B, A, A, A]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_at_another_origin_is_refused_and_used_up() {
    let world = World::start().await;
    let auth = both(&world).await;
    for (origin, other) in [(A, B), (B, A)] {
        let mut browser = world.browser_of(&auth);
        let answer = answer(&mut browser, origin, "/auth/login").await;
        let cookies = browser.cookies.clone();
        let refused = callback(&mut browser, &at(&answer, other)).await;
        assert_page(&refused, 400, "login.other_origin");
        assert!(matches!(refused.session, SessionChange::Keep));
        browser.cookies = cookies;
        let late = callback(&mut browser, &answer).await;
        assert_page(&late, 400, "login.state_replayed");
    }
    assert_eq!(world.control().count(Endpoint::Token), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_good_at_its_own_origin_alone() {
    let world = World::start().await;
    let auth = both(&world).await;
    for (origin, other) in [(A, B), (B, A)] {
        let mut browser = world.browser_of(&auth);
        sign_in(&mut browser, origin).await;
        let own = session(&browser, origin).await.expect("signed in");

        // Whatever asks for it elsewhere finds nobody.
        let elsewhere = auth.session_id(&head(&browser, "GET", other, "/"));
        for refused in [
            auth.authenticate(elsewhere.as_ref()).await,
            auth.peek(elsewhere.as_ref()).await,
        ] {
            assert!(matches!(refused, Err(Error::NotSignedIn(_))), "{refused:?}");
        }
        let status = auth
            .session_status(request(&browser, "GET", other, "/auth/session"))
            .await;
        assert_eq!(&*status.body, r#"{"authenticated":false}"#);
        let sealed = auth.seal_session_id(&elsewhere.expect("an identifier"));
        let carried = |origin| {
            let incoming = auth.incoming(&head(&browser, "GET", origin, "/"));
            auth.open_session_id(&sealed, &incoming).expect("an identifier")
        };
        assert!(auth.authenticate(Some(&carried(other))).await.is_err());
        assert!(auth.authenticate(Some(&carried(origin))).await.is_ok());

        // Nor does it end there, by a sign-out or by another sign-in in its place.
        let logout = auth
            .logout(request(&browser, "POST", other, "/auth/logout"))
            .await;
        assert_eq!(location(&logout), "/");
        assert!(
            matches!(logout.session, SessionChange::Keep),
            "what carries it stays"
        );
        session(&browser, origin).await.expect("still signed in");
        let mut copy = world.browser_of(&auth);
        copy.cookies = browser.cookies.clone();
        sign_in(&mut copy, other).await;
        session(&copy, other).await.expect("signed in as another");
        let still = session(&browser, origin).await.expect("still signed in");
        assert_eq!(still.key(), own.key());

        // A sign-in in its place at its own origin ends it.
        sign_in(&mut browser, origin).await;
        assert!(auth.session(&own.key()).await.expect("the store is up").is_none());
    }
    auth.shutdown().await;
    assert!(world.revoked().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_comes_back_to_the_session_s_origin() {
    let world = World::start().await;
    let auth = both_with(&world, |builder| builder.post_logout_redirect("/goodbye")).await;
    for origin in [A, B] {
        let mut browser = world.browser_of(&auth);
        sign_in(&mut browser, origin).await;
        let reply = auth
            .logout(request(&browser, "POST", origin, "/auth/logout"))
            .await;
        let next = location(&reply);
        assert_eq!(
            parameter(&next, "post_logout_redirect_uri"),
            Some(format!("{origin}/goodbye"))
        );
        assert!(session(&browser, origin).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_something_comes_from_the_same_origin() {
    let world = World::start().await;
    let auth = both(&world).await;
    let browser = world.browser_of(&auth);
    for (host, origin, passes) in [
        (A, A, true),
        (B, B, true),
        (A, B, false),
        (B, A, false),
        ("http://evil.example", A, true),
        ("http://evil.example", B, false),
        ("http://evil.example", "http://evil.example", false),
    ] {
        let mut head = head(&browser, "POST", host, "/");
        head.headers.push(("origin", origin.to_owned()));
        let incoming = auth.incoming(&head);
        assert_eq!(incoming.same_site().is_ok(), passes, "{origin} at {host}");
        let logout = auth.logout(browser.request_of(&head)).await;
        assert_eq!(logout.status == 403, !passes, "{origin} at {host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 6455 §10.2
async fn a_web_socket_through_the_proxy_is_opened_by_pages_of_the_session_s_origin() {
    let world = World::start().await;
    let auth = both(&world).await;
    // Nobody listens there: what is let through ends so.
    let proxy = Proxy::to("http://127.0.0.1:1").expect("an upstream");
    for (at, origin, passes) in [(A, A, true), (A, B, false), (B, B, true), (B, A, false)] {
        let mut browser = world.browser_of(&auth);
        sign_in(&mut browser, at).await;
        let session = session(&browser, at).await.expect("signed in");
        let mut handshake = request_of_proxy(Method::GET, "/socket");
        for (name, value) in [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("origin", origin),
        ] {
            let name = HeaderName::from_static(name);
            handshake.headers.insert(name, HeaderValue::from_static(value));
        }
        handshake.upgrade = Upgrade::Possible;
        let error = auth.forward(&proxy, &session, handshake).await;
        let is_foreign = matches!(error, Err(Error::CrossSite(_)));
        assert_eq!(is_foreign, !passes, "{origin} at {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_up_is_asked_for_at_the_session_s_origin() {
    let world = World::start().await;
    let auth = both(&world).await;
    let mut browser = world.browser_of(&auth);
    sign_in(&mut browser, A).await;
    let signed_in = session(&browser, A).await.expect("signed in");
    let gate = Gate::signed_in().scope("mail.read");
    let refused = gate
        .check(Ok(&signed_in), auth.now())
        .expect_err("a scope is missing");
    let incoming = auth.incoming(&head(&browser, "GET", A, "/mail"));
    let target = location(&auth.refuse(&refused, &incoming, &OnRefusal::Automatic));
    for (origin, is_asked) in [(A, true), (B, false)] {
        let url = location(&login(&mut browser, origin, &target).await);
        let scopes = parameter(&url, "scope").expect("scopes");
        assert_eq!(scopes.contains("mail.read"), is_asked, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §4
async fn a_third_party_names_a_page_of_the_origin_that_it_leads_to() {
    let world = World::start().await;
    let auth = both(&world).await;
    for (origin, page, landing) in [
        (A, format!("{A}/orders"), "/orders"),
        (B, format!("{B}/orders"), "/orders"),
        (B, format!("{A}/orders"), "/"),
    ] {
        let mut browser = world.browser_of(&auth);
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("iss", world.provider.issuer())
            .append_pair("target_link_uri", &page)
            .finish();
        let answer = answer(&mut browser, origin, &format!("/auth/login?{query}")).await;
        assert_eq!(
            location(&callback(&mut browser, &answer).await),
            landing,
            "{page}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_name_the_origin_that_was_asked() {
    let world = World::start().await;
    let auth = both(&world).await;
    for origin in [A, B] {
        let mut browser = world.browser_of(&auth);
        let nobody = auth.authenticate(None).await.expect_err("nobody");
        let mut script = head(&browser, "GET", origin, "/");
        script.headers.retain(|(name, _)| *name != "accept");
        let reply = auth.refuse(&nobody, &auth.incoming(&script), &OnRefusal::Automatic);
        let problem: Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!(problem["type"], format!("{origin}/auth/errors/session.none"));
        // A page of a failure, and the one that explains its code.
        let begun = answer(&mut browser, origin, "/auth/login").await;
        browser.cookies.clear();
        let failed = callback(&mut browser, &begun).await;
        assert_page(&failed, 400, "login.cookies_blocked");
        let path = "/auth/errors/login.cookie_other_address";
        let explained = auth.explain_error(
            "login.cookie_other_address",
            &request(&browser, "GET", origin, path),
        );
        for (page, named) in [
            (&failed.body, origin.to_owned()),
            (&explained.body, origin.to_owned()),
            (&explained.body, format!("{origin}/auth/callback")),
        ] {
            assert!(page.contains(&format!("<code>{named}</code>")), "{page}");
        }
        let other = if origin == A { B } else { A };
        assert!(!failed.body.contains(other), "{}", failed.body);
        assert!(!explained.body.contains(other), "{}", explained.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_names_the_redirect_uri_of_a_provider_that_is_there() {
    let world = World::start().await;
    let auth = tenants(&world).await;
    let browser = world.browser_of(&auth);
    for (origin, name) in [(A, "acme"), (B, "globex")] {
        let code = "login.cookie_other_address";
        let page = auth.explain_error(code, &request(&browser, "GET", origin, "/"));
        let redirect_uri = format!("<code>{origin}/auth/callback/{name}</code>");
        assert!(page.body.contains(&redirect_uri), "{}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_identifier_is_good_at_the_origin_where_it_was_given() {
    let world = World::start().await;
    let auth = both(&world).await;
    for (origin, other) in [(A, B), (B, A)] {
        let mut browser = world.browser_of(&auth);
        let answer = answer(&mut browser, origin, "/auth/login").await;
        let given = new_id(callback(&mut browser, &answer).await.session);
        let signed_in = auth.authenticate(Some(&given)).await.expect("signed in");
        let grant = CustomGrant::new("organization_switch")
            .template("token", "{{accessToken}}")
            .param("switching_organization", "one");
        let switched = auth.switch(&signed_in, &grant).await.expect("switched");
        assert_eq!(switched.session.origin(), Some(origin));
        let switched = new_id(switched.change);
        auth.authenticate(Some(&switched)).await.expect("signed in");

        // The same text is the same identifier, wherever it is brought.
        let cookie = |text: &str| vec![("auth_session".to_owned(), text.to_owned())];
        browser.cookies = cookie(switched.expose()).into_iter().collect();
        for at in [origin, other] {
            let brought = auth.session_id(&head(&browser, "GET", at, "/"));
            assert_eq!(brought.as_ref(), Some(&switched));
            let found = auth.authenticate(brought.as_ref()).await;
            assert_eq!(found.is_ok(), at == origin, "{at}");
        }
        assert_ne!(given, switched);
        // Without a request it is the first origin's.
        let parsed = SessionId::parse(switched.expose());
        assert_eq!(auth.authenticate(parsed.as_ref()).await.is_ok(), origin == A);
    }
}

fn new_id(change: SessionChange) -> SessionId {
    match change {
        SessionChange::Set { id, .. } => id,
        other => panic!("nobody was signed in: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_lists_and_ends_the_sessions_of_one_origin() {
    let world = World::start().await;
    let auth = both(&world).await;
    let mut keys = Vec::new();
    for origin in [A, A, B, B] {
        let mut browser = world.browser_of(&auth);
        sign_in(&mut browser, origin).await;
        keys.push(session(&browser, origin).await.expect("signed in"));
    }
    let sorted = |mut keys: Vec<_>| {
        keys.sort();
        keys
    };
    for (here, elsewhere) in [(&keys[..2], &keys[2..]), (&keys[2..], &keys[..2])] {
        let own = sorted(here.iter().map(Session::key).collect());
        let listed = auth.sessions_of_user(&here[0]).await.expect("the store is up");
        assert_eq!(sorted(listed.iter().map(|one| one.id).collect()), own);
        for other in elsewhere {
            let ended = auth.end_session_of_user(&here[0], &other.key()).await;
            assert!(!ended.expect("the store is up"));
        }
    }
    let ended = auth.end_other_sessions(&keys[0]).await;
    assert_eq!(ended.expect("the store is up"), 1);
    let ended = auth.end_session_of_user(&keys[2], &keys[3].key()).await;
    assert!(ended.expect("the store is up"));
    // An operator means all of them.
    let issuer = auth.issuer();
    let ended = auth.end_sessions_of(&issuer, "ada").await;
    assert_eq!(ended.expect("the store is up"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_began_when_there_was_one_origin_is_the_first_s() {
    let world = World::start().await;
    let _provider = registered(&world);
    let alone = world.instance_with(|builder| builder.base_url(A)).await;
    let mut browser = world.browser_of(&alone);
    sign_in(&mut browser, A).await;
    assert_eq!(session(&browser, A).await.expect("signed in").origin(), None);
    let began = answer(&mut browser, A, "/auth/login").await;

    let auth = both(&world).await;
    browser.auth = auth.clone();
    session(&browser, A).await.expect("still signed in");
    assert!(session(&browser, B).await.is_err());
    let cookies = browser.cookies.clone();
    let refused = callback(&mut browser, &at(&began, B)).await;
    assert_page(&refused, 400, "login.other_origin");
    browser.cookies = cookies;
    browser.auth = alone.clone();
    let another = answer(&mut browser, A, "/auth/login").await;
    browser.auth = auth;
    assert_eq!(callback(&mut browser, &another).await.status, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_an_origin_that_is_gone_or_in_another_place_is_good_at_no_other() {
    let world = World::start().await;
    let auth = both(&world).await;
    let (mut of_a, mut of_b) = (world.browser_of(&auth), world.browser_of(&auth));
    sign_in(&mut of_a, A).await;
    sign_in(&mut of_b, B).await;
    let alone = world.instance_with(|builder| builder.base_url(A)).await;
    let turned = world
        .instance_with(|builder| builder.base_url(B).further_base_url(A))
        .await;
    for (auth, browser, origin, is_good) in [
        (&alone, &of_a, A, true),
        (&alone, &of_b, A, false),
        (&alone, &of_b, B, false),
        (&turned, &of_a, A, true),
        (&turned, &of_a, B, false),
        (&turned, &of_b, A, false),
        (&turned, &of_b, B, true),
    ] {
        let found = session_of(auth, browser, origin).await;
        assert_eq!(found.is_ok(), is_good, "{origin}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_s_own_session_data_of_an_origin_in_another_place_are_at_no_other() {
    let world = World::start().await;
    let file = format!(
        "{}/origins-{}.db",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let store = format!("sqlite:{file}");
    let instance = async |first: &str, further: &[&str]| {
        let set = |builder: AuthBuilder| {
            let builder = builder.store_url(&store).base_url(first);
            further
                .iter()
                .fold(builder, |builder, one| builder.further_base_url(*one))
        };
        let auth = world.instance_with(set).await;
        auth.app_sessions().expect("a store for both")
    };
    let browser = world.browser();
    let id = "the browser's";
    let load = async |sessions: &AppSessions, origin| {
        let brought = sessions.brought(&head(&browser, "GET", origin, "/"));
        let (held, _) = sessions.watch(brought, sessions.load(id)).await;
        held.expect("the store is up")
    };
    let alone = instance(A, &[]).await;
    let both = instance(A, &[B]).await;
    let turned = instance(B, &[A]).await;
    let of_b_alone = instance(B, &[]).await;

    let hour = std::time::Duration::from_secs(3600);
    let brought = alone.brought(&head(&browser, "POST", A, "/"));
    let (inserted, _) = alone.watch(brought, alone.insert(id, b"A's", hour)).await;
    assert_eq!(inserted.expect("the store is up"), Inserted::Yes);
    for (sessions, at_a, at_b) in [
        // With one, no request says otherwise.
        (&alone, true, true),
        (&both, true, false),
        (&turned, true, false),
        (&of_b_alone, false, false),
    ] {
        assert_eq!(load(sessions, A).await.is_some(), at_a);
        assert_eq!(load(sessions, B).await.is_some(), at_b);
    }
    // Outside of a request it is the first's too.
    assert!(both.load(id).await.expect("the store is up").is_some());
    assert!(turned.load(id).await.expect("the store is up").is_none());
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{file}{suffix}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_is_chosen_by_host() {
    let world = World::start().await;
    let (acme, globex) = (registered(&world), registered(&world));
    let auth = both_with(&world, |builder| {
        builder
            .provider("acme", acme)
            .provider("globex", globex)
            .choose_provider(|to| match (to.host(), to.path()) {
                ("a.localhost", "/orders") => Some("acme".to_owned()),
                ("b.localhost", "/orders") => Some("globex".to_owned()),
                _ => None,
            })
    })
    .await;
    for (host, name) in [(A, "acme"), (B, "globex"), ("http://evil.example", "acme")] {
        let mut browser = world.browser_of(&auth);
        let reply = login(&mut browser, host, "/auth/login?return_to=/orders%3Fa").await;
        let redirect_uri = parameter(&location(&reply), "redirect_uri").expect("one");
        assert!(
            redirect_uri.ends_with(&format!("/auth/callback/{name}")),
            "{redirect_uri}"
        );
        // Where it chooses none, users do.
        let page = login(&mut browser, host, "/auth/login?return_to=/").await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("provider=acme") && page.body.contains("provider=globex"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_of_one_origin_is_nobody_s_at_another() {
    let world = World::start().await;
    let auth = tenants(&world).await;
    let issuer = world.provider.issuer();
    for (origin, own, other) in [(A, "acme", "globex"), (B, "globex", "acme")] {
        let mut browser = world.browser_of(&auth);
        // One is left, so nobody has to choose.
        let url = location(&login(&mut browser, origin, "/auth/login").await);
        let redirect_uri = parameter(&url, "redirect_uri");
        assert_eq!(redirect_uri, Some(format!("{origin}/auth/callback/{own}")));
        let named = login(&mut browser, origin, &format!("/auth/login?provider={own}")).await;
        assert_eq!(named.status, 303);
        // Of two registrations at one issuer, the one that is at this origin.
        let third = login(&mut browser, origin, &format!("/auth/login?iss={issuer}")).await;
        assert_eq!(parameter(&location(&third), "redirect_uri"), redirect_uri);

        let elsewhere = login(&mut browser, origin, &format!("/auth/login?provider={other}")).await;
        assert_page(&elsewhere, 404, "provider.unknown");
        let elsewhere = login(
            &mut browser,
            origin,
            &format!("/auth/login?iss={issuer}&provider={other}"),
        )
        .await;
        assert_page(&elsewhere, 400, "login.unknown_issuer");
        let strayed = answer(&mut browser, origin, "/auth/login").await;
        let mut moved = strayed.clone();
        moved.set_path(&format!("/auth/callback/{other}"));
        assert_page(&callback(&mut browser, &moved).await, 404, "provider.unknown");
        assert_eq!(
            callback(&mut browser, &strayed).await.status,
            400,
            "it is used up"
        );
        let answer = answer(&mut browser, origin, "/auth/login").await;
        assert_eq!(location(&callback(&mut browser, &answer).await), "/");
        let session = session(&browser, origin).await.expect("signed in");
        assert_eq!((session.provider(), session.origin()), (Some(own), Some(origin)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_provider_has_left_its_origin_is_signed_out() {
    let world = World::start().await;
    let auth = both(&world).await;
    let mut browser = world.browser_of(&auth);
    sign_in(&mut browser, B).await;
    session(&browser, B).await.expect("signed in");
    browser.auth = both_with(&world, |builder| builder.only_at(A)).await;
    assert!(matches!(session(&browser, B).await, Err(Error::NotSignedIn(_))));
    let page = login(&mut browser, B, "/auth/login").await;
    assert_page(&page, 404, "provider.unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_to_choose_on_leaves_out_whom_nobody_signs_in_with_there() {
    let world = World::start().await;
    let (acme, globex, all) = (
        registered(&world).only_at(A),
        registered(&world).only_at(B),
        registered(&world).label("Everybody's"),
    );
    let auth = both_with(&world, |builder| {
        builder
            .only_at(A)
            .provider("acme", acme)
            .provider("globex", globex)
            .provider("all", all)
    })
    .await;
    for (origin, shown, hidden) in [
        (A, "provider=acme", "provider=globex"),
        (B, "provider=globex", "provider=acme"),
    ] {
        let page = login(&mut world.browser_of(&auth), origin, "/auth/login").await;
        assert_eq!(page.status, 200);
        assert!(
            page.body.contains(shown) && page.body.contains("provider=all"),
            "{}",
            page.body
        );
        assert!(!page.body.contains(hidden), "{}", page.body);
        assert_eq!(page.body.contains("provider=&amp;"), origin == A, "{}", page.body);
        // So does a page of the app's own.
        let incoming = auth.incoming(&head(&world.browser_of(&auth), "GET", origin, "/"));
        let listed = auth.providers_at(&incoming);
        let names: Vec<_> = listed.iter().map(|one| one.name.as_deref()).collect();
        let own: &[_] = match origin {
            A => &[None, Some("acme"), Some("all")],
            _ => &[Some("globex"), Some("all")],
        };
        assert_eq!(names, own);
    }
    assert_eq!(auth.providers().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_looked_up_is_of_its_origins_alone() {
    const C: &str = "http://c.localhost:3000";
    let world = World::start().await;
    let uri = format!("{C}/auth/callback/initech");
    world.control().add_redirect_uri(CLIENT, &uri);
    let provider = registered(&world);
    let looked_up = |builder: AuthBuilder| {
        let provider = provider.clone();
        builder.providers_from(move |name| {
            let origin = match name.as_str() {
                "globex" => Some(B),
                "initech" => Some(C),
                "wrong" => Some("c.localhost"),
                _ => None,
            };
            let found = origin.map(|origin| provider.clone().only_at(origin));
            async move { Ok::<_, std::io::Error>(found) }
        })
    };
    let auth = both_with(&world, looked_up).await;
    for (origin, name, status, code) in [
        (A, "globex", 404, "provider.unknown"),
        (A, "initech", 404, "provider.unknown"),
        (B, "initech", 404, "provider.unknown"),
        (B, "nobody", 404, "provider.unknown"),
        // What is no origin is a mistake.
        (B, "wrong", 503, "provider.lookup_failed"),
    ] {
        let mut browser = world.browser_of(&auth);
        let page = login(&mut browser, origin, &format!("/auth/login?provider={name}")).await;
        assert_page(&page, status, code);
        let target = format!("/auth/callback/{name}?state=x&code=y");
        let request = request(&browser, "GET", origin, &target);
        assert_page(&auth.callback_of(name, request).await, status, code);
    }
    let mut browser = world.browser_of(&auth);
    let url = location(&login(&mut browser, B, "/auth/login?provider=globex").await);
    let redirect_uri = parameter(&url, "redirect_uri");
    assert_eq!(redirect_uri, Some(format!("{B}/auth/callback/globex")));

    // Once its origin is there, it is one; when that is gone again, nobody is signed in with it.
    let wider = both_with(&world, |builder| looked_up(builder.further_base_url(C))).await;
    let mut browser = world.browser_of(&wider);
    let answer = answer(&mut browser, C, "/auth/login?provider=initech").await;
    assert_eq!(callback(&mut browser, &answer).await.status, 303);
    let signed_in = session(&browser, C).await.expect("signed in");
    for origin in [A, B, C] {
        let refused = session_of(&auth, &browser, origin).await;
        assert!(matches!(refused, Err(Error::NotSignedIn(_))), "{refused:?}");
    }
    assert!(
        auth.session(&signed_in.key())
            .await
            .expect("it is no outage")
            .is_none()
    );
}

#[tokio::test]
async fn an_origin_that_the_app_does_not_have_is_no_provider_s() {
    let provider = || {
        SignInProvider::default()
            .issuer("https://id.example")
            .client("app", None)
    };
    let built = async |provider| -> Result<Auth, ConfigError> {
        let builder = Auth::builder().base_url(A).further_base_url(B);
        builder.provider("acme", provider).build().await
    };
    built(provider().only_at(A).only_at(format!("{B}/")))
        .await
        .expect("both are there");
    for origin in [
        "http://c.localhost:3000",
        "b.localhost",
        "",
        "http://b.localhost:3000/path",
    ] {
        let error = built(provider().only_at(origin)).await.expect_err(origin);
        assert_eq!(error.variable(), "AUTH_ACME_ONLY_AT", "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_s_own_session_data_is_of_one_origin() {
    let world = World::start().await;
    let auth = both_with(&world, |builder| builder.store(MemoryStore::new())).await;
    let sessions = auth.app_sessions().expect("a store for both");
    let browser = world.browser_of(&auth);
    let brought = |origin| sessions.brought(&head(&browser, "POST", origin, "/"));
    let (id, hour) = (sessions.new_id(), std::time::Duration::from_secs(3600));
    for origin in [A, B] {
        let (insert, _) = sessions
            .watch(brought(origin), sessions.insert(&id, origin.as_bytes(), hour))
            .await;
        let inserted = insert.expect("the store is up");
        assert_eq!(inserted, Inserted::Yes);
    }
    for origin in [A, B] {
        let (held, _) = sessions.watch(brought(origin), sessions.load(&id)).await;
        let held = held.expect("the store is up");
        assert_eq!(held.as_deref(), Some(origin.as_bytes()), "{origin}");
    }
    // What is foreign at the one is the other's own.
    let mut foreign = head(&browser, "POST", B, "/");
    foreign.headers.push(("origin", A.to_owned()));
    let (updated, _) = sessions
        .watch(sessions.brought(&foreign), sessions.update(&id, b"changed", hour))
        .await;
    assert!(!updated.expect("the store is up"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_host_finds_the_session_of_the_first_origin_and_no_other() {
    let world = World::start().await;
    let auth = both(&world).await;
    let (mut of_a, mut of_b) = (world.browser_of(&auth), world.browser_of(&auth));
    sign_in(&mut of_a, A).await;
    sign_in(&mut of_b, B).await;
    for host in ["http://evil.example", "http://b.localhost", A] {
        let found = session(&of_a, host).await.expect(host);
        assert_eq!(found.origin(), Some(A), "as with one origin");
        assert!(session(&of_b, host).await.is_err(), "{host}");
    }
    let mut twice = head(&of_b, "GET", B, "/");
    twice.headers.push(("host", "b.localhost:3000".to_owned()));
    let id = auth.session_id(&twice);
    assert!(auth.authenticate(id.as_ref()).await.is_err());
    session(&of_b, B).await.expect("still signed in at its own");
    assert!(session(&of_a, B).await.is_err());
}
