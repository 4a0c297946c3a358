//! Several providers, configured and looked up: where one's tokens may go, and what becomes of a session whose provider cannot be
//! found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use auth_core::client::ApiError;
use auth_core::grants::ClientCredentials;
use auth_core::reply::{Reply, SessionChange};
use auth_core::secret::SessionId;
use auth_core::{AuthBuilder, Error, SignInProvider};
use auth_testing::Endpoint;

use crate::par::private_key;
use crate::world::{BASE, Browser, CLIENT, SECRET, World, assert_page, header, location, secs};

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

/// A world with an application database that knows `acme`, as long as it is up.
async fn looked_up(
    world: &World,
    set: impl FnOnce(AuthBuilder) -> AuthBuilder,
) -> (auth_core::Auth, Arc<AtomicBool>) {
    let is_down = Arc::new(AtomicBool::new(false));
    let (acme, down) = (registered(world), Arc::clone(&is_down));
    let auth = world
        .instance_with(|builder| {
            set(builder).providers_from(move |name| {
                let found = (name == "acme").then(|| acme.clone());
                let is_down = down.load(Ordering::SeqCst);
                async move {
                    match is_down {
                        true => Err("the database is down"),
                        false => Ok(found),
                    }
                }
            })
        })
        .await;
    (auth, is_down)
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
    let (auth, is_down) = looked_up(&world, |builder| {
        builder.choose_provider(|path| Some(path.strip_prefix("/t/")?.split('/').next()?.to_owned()))
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

    is_down.store(true, Ordering::SeqCst);
    world.clock.advance(secs(600));
    let before = world.control().count(Endpoint::Token);
    let session = auth.authenticate(Some(&id)).await.expect("as it was found last");
    assert_eq!(world.control().count(Endpoint::Token), before + 1, "refreshed");
    assert_eq!(session.provider(), Some("acme"));

    // An instance that has never found it cannot say whose the session is: that is no sign-out.
    let (other, other_is_down) = looked_up(&world, |builder| builder).await;
    other_is_down.store(true, Ordering::SeqCst);
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
    other_is_down.store(false, Ordering::SeqCst);
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
