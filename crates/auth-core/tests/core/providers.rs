//! Several providers, configured and looked up: where one's tokens may go, and what becomes of a session whose provider cannot be
//! found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use auth_core::client::ApiError;
use auth_core::config::ResponseMode;
use auth_core::grants::ClientCredentials;
use auth_core::reply::{Reply, SessionChange};
use auth_core::secret::SessionId;
use auth_core::{Auth, AuthBuilder, Error, SignInProvider};
use auth_testing::Endpoint;
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::timeout;
use url::form_urlencoded::Serializer;

use crate::par::private_key;
use crate::store::{Op, Tells};
use crate::world::{
    BASE, Browser, CLIENT, SECRET, WAIT, World, assert_page, eventually, header, location, secs,
};

/// The provider that a world has, under a name.
fn registered(world: &World) -> SignInProvider {
    world
        .control()
        .add_redirect_uri(CLIENT, &format!("{BASE}/auth/callback/acme"));
    SignInProvider::default()
        .issuer(world.provider.issuer())
        .client(CLIENT, Some(SECRET))
}

async fn get(browser: &mut Browser<'_>, target: &str) -> Reply {
    let reply = browser.auth.login(browser.request("GET", target)).await;
    browser.take(&reply);
    reply
}

/// Comes back to the redirect URI of `acme`.
async fn come_back(browser: &mut Browser<'_>, login: &str) -> (SessionId, Reply) {
    let request = location(&get(browser, login).await);
    let target = browser.approve(&request).await;
    let path = target.split('?').next().unwrap_or_default();
    assert_eq!(path, "/auth/callback/acme");
    let reply = browser
        .auth
        .callback_of("acme", browser.request("GET", &target))
        .await;
    browser.take(&reply);
    match &reply.session {
        SessionChange::Set { .. } => (browser.session().expect("a session"), reply),
        other => panic!("nobody was signed in: {other:?} {}", reply.body),
    }
}

/// How the application's database is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Up,
    Down,
    Hanging,
    WithoutAcme,
}

/// An application database that knows `acme`, as long as it is up.
#[derive(Clone)]
struct Database(Arc<watch::Sender<Is>>);

impl Database {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Is::Up)))
    }

    fn is(&self, how: Is) {
        self.0.send_replace(how);
    }

    fn providers(&self, builder: AuthBuilder, acme: SignInProvider) -> AuthBuilder {
        let database = self.clone();
        builder.providers_from(move |name| {
            let (found, mut is) = ((name == "acme").then(|| acme.clone()), database.0.subscribe());
            async move {
                let answers = is.wait_for(|is| *is != Is::Hanging).await.map(|is| *is);
                match answers {
                    Ok(Is::Up) => Ok(found),
                    Ok(Is::WithoutAcme) => Ok(None),
                    _ => Err("the database is down"),
                }
            }
        })
    }
}

/// An instance with an application database.
async fn looked_up(world: &World, set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> (Auth, Database) {
    let database = Database::new();
    let acme = registered(world);
    let auth = world
        .instance_with(|builder| database.providers(set(builder), acme))
        .await;
    (auth, database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_s_own_api_is_shown_its_own_tokens_only() {
    let world = World::start().await;
    let (own, others) = ("https://api.acme.example", "https://api.other.example");
    let acme = registered(&world).provider_api(own);
    let other = registered(&world).provider_api(others);
    let auth = world
        .instance_with(|builder| builder.provider("acme", acme).provider("other", other))
        .await;
    let (id, _) = come_back(&mut world.browser_of(&auth), "/auth/login?provider=acme").await;
    let session = auth.authenticate(Some(&id)).await.expect("signed in");
    assert_eq!(session.provider(), Some("acme"));
    let refused = auth.client(&session).get(format!("{others}/x")).send().await;
    assert!(
        matches!(refused, Err(ApiError::OriginNotAllowed { .. })),
        "{refused:?}"
    );
    let shown = auth.client(&session).get(format!("{own}/x")).send().await;
    assert!(
        !matches!(shown, Err(ApiError::OriginNotAllowed { .. })),
        "{shown:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_s_token_is_shown_to_its_issuer_s_api_and_no_other_provider_s() {
    let world = World::start().await;
    let (own, others) = ("https://api.acme.example", "https://api.other.example");
    let acme = registered(&world).provider_api(own);
    let other = registered(&world).provider_api(others);
    let auth = world
        .instance_with(|builder| builder.provider("other", other).provider("acme", acme))
        .await;
    let (id, _) = come_back(&mut world.browser_of(&auth), "/auth/login?provider=acme").await;
    let session = auth.authenticate(Some(&id)).await.expect("signed in");
    let application = auth
        .client(&session)
        .as_application(ClientCredentials::new().at("other"));
    let refused = application.get(format!("{own}/x")).send().await;
    assert!(
        matches!(refused, Err(ApiError::OriginNotAllowed { .. })),
        "{refused:?}"
    );
    let shown = application.get(format!("{others}/x")).send().await;
    assert!(
        !matches!(shown, Err(ApiError::OriginNotAllowed { .. })),
        "{shown:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_s_token_is_not_kept_for_another_provider_that_has_got_the_name() {
    let (world, other) = (World::start().await, World::start().await);
    let has_moved = Arc::new(AtomicBool::new(false));
    let (before, after, moved) = (registered(&world), registered(&other), Arc::clone(&has_moved));
    let auth = world
        .instance_with(|builder| {
            builder.providers_from(move |_| {
                let now = if moved.load(Ordering::SeqCst) {
                    &after
                } else {
                    &before
                };
                let now = now.clone();
                async move { Ok::<_, std::io::Error>(Some(now)) }
            })
        })
        .await;
    for one in [&world, &other] {
        one.control().set_access_token_lifetime(secs(24 * 3600));
    }
    let credentials = ClientCredentials::new().scopes("machine").at("acme");
    auth.machine_token(&credentials).await.unwrap();
    auth.machine_token(&credentials).await.unwrap();
    assert_eq!(world.control().count(Endpoint::Token), 1, "kept");
    has_moved.store(true, Ordering::SeqCst);
    world.clock.advance(secs(3600));
    auth.machine_token(&credentials).await.unwrap();
    let counts = [&world, &other].map(|one| one.control().count(Endpoint::Token));
    assert_eq!(counts, [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_s_tokens_are_shown_to_nobody_who_has_got_its_provider_s_name() {
    let (world, other) = (World::start().await, World::start().await);
    let mut browser = world.browser();
    let id = browser.sign_in("/").await;
    let moved = world
        .instance_with(|builder| builder.issuer(other.provider.issuer()))
        .await;
    let refused = moved.authenticate(Some(&id)).await;
    assert!(matches!(refused, Err(Error::NotSignedIn(_))), "{refused:?}");
    world
        .auth
        .authenticate(Some(&id))
        .await
        .expect("signed in where it is");
    // A sign-out there ends it, and tells the other provider nothing.
    let mut there = world.browser_of(&moved);
    there.cookies = browser.cookies.clone();
    let reply = there.logout().await;
    assert_eq!(header(&reply, "location"), Some("/"));
    assert!(world.auth.authenticate(Some(&id)).await.is_err());
    moved.shutdown().await;
    for endpoint in [Endpoint::Token, Endpoint::Revoke, Endpoint::EndSession] {
        assert_eq!(other.control().count(endpoint), 0, "{endpoint:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_a_name_stays_what_it_was_beside_others() {
    let world = World::start().await;
    let mut browser = world.browser();
    let before = browser.sign_in("/").await;
    let acme = registered(&world).label("Acme");
    let auth = world
        .instance_with(|builder| builder.provider("acme", acme))
        .await;
    auth.authenticate(Some(&before)).await.expect("still signed in");
    browser.auth = auth.clone();
    let page = get(&mut browser, "/auth/login?return_to=/a&login_hint=ada").await;
    assert_eq!(page.status, 200);
    assert_eq!(header(&page, "cache-control"), Some("no-store"));
    let unnamed = "/auth/login?provider=&amp;return_to=%2Fa&amp;login_hint=ada";
    let named = "/auth/login?provider=acme&amp;return_to=%2Fa&amp;login_hint=ada";
    assert!(
        page.body.contains(unnamed) && page.body.contains(named),
        "{}",
        page.body
    );
    let request = location(&get(&mut browser, "/auth/login?provider=&return_to=/a").await);
    let target = browser.approve(&request).await;
    assert!(target.starts_with("/auth/callback?"), "{target}");
    assert_eq!(location(&browser.callback(&target).await), "/a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9700 §4.4.2.2
async fn an_answer_at_another_provider_s_address_is_refused_and_used_up() {
    let world = World::start().await;
    let acme = registered(&world);
    let auth = world
        .instance_with(|builder| builder.provider("acme", acme))
        .await;
    let mut browser = world.browser_of(&auth);
    let request = location(&get(&mut browser, "/auth/login?provider=acme").await);
    let target = browser.approve(&request).await;
    let moved = target.replacen("/auth/callback/acme", "/auth/callback", 1);
    let cookies = browser.cookies.clone();
    assert_page(&browser.callback(&moved).await, 400, "login.other_provider");
    browser.cookies = cookies;
    let late = auth.callback_of("acme", browser.request("GET", &target)).await;
    assert_page(&late, 400, "login.state_replayed");
    assert_eq!(world.control().count(Endpoint::Token), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 9700 §4.2.4
async fn an_answer_at_nobody_s_address_is_refused_and_used_up() {
    let world = World::start().await;
    for (mode, method) in [
        (ResponseMode::Query, "GET"),
        (ResponseMode::FormPost, "POST"),
        (ResponseMode::Jwt, "GET"),
        (ResponseMode::FormPostJwt, "POST"),
    ] {
        let acme = registered(&world).response_mode(mode);
        let auth = world
            .instance_with(|builder| builder.provider("acme", acme))
            .await;
        let mut browser = world.browser_of(&auth);
        let url = location(&get(&mut browser, "/auth/login?provider=acme").await);
        let approval = world.provider.approve(&url, "ada").await.unwrap();
        let response = match (approval.form, approval.callback_url.split_once('?')) {
            (Some(form), _) => Serializer::new(String::new()).extend_pairs(form).finish(),
            (None, query) => query.unwrap_or_default().1.to_owned(),
        };
        let come_back = async |browser: &mut Browser<'_>, name: &str| {
            let target = format!("/auth/callback/{name}");
            let (target, body) = match method {
                "POST" => (target, response.clone()),
                _ => (format!("{target}?{response}"), String::new()),
            };
            let mut head = browser.head(method, &target);
            let form = "application/x-www-form-urlencoded".to_owned();
            head.headers.push(("content-type", form));
            let request = auth.route_request(&head, body.into_bytes(), auth.session_id(&head));
            let reply = auth.callback_of(name, request).await;
            browser.take(&reply);
            reply
        };
        let cookies = browser.cookies.clone();
        let refused = come_back(&mut browser, "nobody").await;
        assert_page(&refused, 404, "provider.unknown");
        assert!(browser.cookies.is_empty(), "{mode:?}");
        browser.cookies = cookies;
        let late = come_back(&mut browser, "acme").await;
        assert_page(&late, 400, "login.state_replayed");
    }
    assert_eq!(world.control().count(Endpoint::Token), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_for_all_providers_are_published_once_each() {
    let world = World::start().await;
    let (one, other) = (private_key(), private_key());
    let acme = registered(&world).client_key_pem(&one);
    let second = registered(&world).client_key_pem(&other).client_key_pem(&one);
    let further = auth_core::grants::FurtherProvider::issuer("https://id.example")
        .client("x", Some("y"))
        .client_key_pem(&private_key());
    let auth = world
        .instance_with(|builder| {
            builder
                .provider("acme", acme)
                .provider("second", second)
                .further_provider("further", further)
        })
        .await;
    let keys = auth.client_jwks().expect("keys");
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(3), "{keys}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_looked_up_signs_in_and_outlives_a_database_that_is_down() {
    let world = World::start().await;
    let (auth, database) = looked_up(&world, |builder| {
        builder.choose_provider(|to| Some(to.path().strip_prefix("/t/")?.split('/').next()?.to_owned()))
    })
    .await;
    let mut browser = world.browser_of(&auth);
    let (id, reply) = come_back(&mut browser, "/auth/login?return_to=/t/acme/orders").await;
    assert_eq!(location(&reply), "/t/acme/orders");
    let unknown = get(&mut browser, "/auth/login?return_to=/t/nobody/").await;
    assert_page(&unknown, 404, "provider.unknown");
    // Without a tenant's page it is the application's own provider.
    let own = location(&get(&mut browser, "/auth/login?return_to=/").await);
    assert!(own.contains("auth%2Fcallback&"), "{own}");

    database.is(Is::Down);
    world.clock.advance(secs(600));
    let before = world.control().count(Endpoint::Token);
    let session = auth.authenticate(Some(&id)).await.expect("as it was found last");
    assert_eq!(world.control().count(Endpoint::Token), before + 1, "refreshed");
    assert_eq!(session.provider(), Some("acme"));

    // An instance that has never found it cannot say whose the session is: that is no sign-out.
    let (other, others) = looked_up(&world, |builder| builder).await;
    others.is(Is::Down);
    let error = other.authenticate(Some(&id)).await.expect_err("nobody knows");
    assert_eq!((error.status(), error.code()), (503, "provider.lookup_failed"));
    let login = other
        .login(
            world
                .browser_of(&other)
                .request("GET", "/auth/login?provider=acme"),
        )
        .await;
    assert_page(&login, 503, "provider.lookup_failed");
    assert!(header(&login, "retry-after").is_some());
    others.is(Is::Up);
    other.authenticate(Some(&id)).await.expect("signed in all along");

    // Where nobody looks it up any more, the session has no provider.
    let alone = world.instance().await;
    assert!(matches!(
        alone.authenticate(Some(&id)).await,
        Err(Error::NotSignedIn(_))
    ));
    let reply = browser.logout().await;
    assert_eq!(reply.status, 303);
    auth.shutdown().await;
    assert_eq!(world.revoked().len(), 2, "at its own provider");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_provider_and_not_with_the_database() {
    let world = World::start().await;
    world.store.tells(Tells::NoWay);
    let (auth, database) = looked_up(&world, |builder| builder).await;
    let (id, _) = come_back(&mut world.browser_of(&auth), "/auth/login?provider=acme").await;
    let session = auth.authenticate(Some(&id)).await.expect("signed in");
    let mut ended = auth.until_ended(&session);
    for how in [Is::Down, Is::Hanging] {
        database.is(how);
        world.clock.advance(secs(300));
        let before = world.store.count(Op::Load);
        eventually("it is looked up", || world.store.count(Op::Load) >= before + 2).await;
        assert_eq!((&mut ended).now_or_never(), None);
    }
    database.is(Is::WithoutAcme);
    world.clock.advance(secs(300));
    timeout(WAIT, ended).await.expect("the stream ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_does_not_wait_for_a_database_that_hangs() {
    let world = World::start().await;
    let (auth, _) = looked_up(&world, |builder| builder).await;
    let mut browser = world.browser_of(&auth);
    let _ = come_back(&mut browser, "/auth/login?provider=acme").await;
    let (other, database) = looked_up(&world, |builder| builder.http_timeout(secs(600))).await;
    database.is(Is::Hanging);
    browser.auth = other;
    let reply = timeout(WAIT, browser.logout()).await.expect("it does not wait");
    assert_eq!(location(&reply), "/");
    database.is(Is::Down);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_of_a_provider_is_known_before_anybody_has_signed_in_there() {
    let world = World::start().await;
    let database = Database::new();
    let acme = registered(&world).provider_api(world.provider.api_url());
    let builder = Auth::builder()
        .base_url(BASE)
        .issuer("https://own.example")
        .client(CLIENT, Some(SECRET))
        .clock(world.clock.clock());
    let auth = database
        .providers(builder, acme)
        .build()
        .await
        .expect("good settings");
    let machine = auth.machine_client(ClientCredentials::new().at("acme"));
    database.is(Is::Down);
    let url = format!("{}/x", world.provider.api_url().trim_end_matches('/'));
    for url in ["/x", &url] {
        let error = machine.get(url).send().await.expect_err("nobody knows");
        assert_eq!(auth_core::Error::from(error).code(), "provider.lookup_failed");
    }
    database.is(Is::Up);
    let answer = machine.get("/x?a=1").query(&[("b", "2")]).send().await;
    let asked = answer.expect("an answer").into_inner();
    assert_eq!(asked.url().as_str(), format!("{url}?a=1&b=2"));
    let elsewhere = machine.get("https://elsewhere.example/x").send().await;
    assert!(matches!(elsewhere, Err(ApiError::OriginNotAllowed { .. })));
    // Of its own, the provider without a name has none.
    let own = auth.machine_client(ClientCredentials::new());
    assert!(matches!(own.get("/x").send().await, Err(ApiError::NoBaseUrl)));
    assert!(matches!(
        own.get(&url).send().await,
        Err(ApiError::OriginNotAllowed { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // OpenID Connect Core §4
async fn a_third_party_may_name_a_tenant_that_is_not_known_yet() {
    let world = World::start().await;
    let database = Database::new();
    let acme = registered(&world);
    let builder = Auth::builder()
        .base_url(BASE)
        .issuer("https://own.example")
        .client(CLIENT, Some(SECRET))
        .clock(world.clock.clock());
    let auth = database
        .providers(builder, acme)
        .build()
        .await
        .expect("good settings");
    let mut browser = world.browser_of(&auth);
    let mut login = async |iss: &str, name: &str| {
        let target = format!("/auth/login?iss={iss}&provider={name}");
        get(&mut browser, &target).await
    };
    let issuer = world.provider.issuer();
    let begun = location(&login(issuer, "acme").await);
    assert!(begun.contains("auth%2Fcallback%2Facme"), "{begun}");
    for (iss, name) in [("https://own.example", "acme"), (issuer, "nobody")] {
        assert_page(&login(iss, name).await, 400, "login.unknown_issuer");
    }
}
