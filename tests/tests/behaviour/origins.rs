//! Several public origins of one application, each with a host of its own: a request belongs to the one that `Host` names, and what
//! began at one is good at no other.

use std::collections::HashMap;
use std::net::SocketAddr;

use auth_testing::{Client, DevProvider, Endpoint};
use auth_tests::stage::{CLIENT_ID, CLIENT_SECRET, Environment};
use auth_tests::{App, Browser, Site, Stage, raw};
use http::Method;
use url::Url;

const A: &str = "http://a.localhost:3000";
const B: &str = "http://b.localhost:3000";
const HOST_A: &str = "a.localhost:3000";
const HOST_B: &str = "b.localhost:3000";

/// A provider that redirects to these addresses, and to both home pages.
async fn provider(stage: &Stage, redirect_uris: &[String]) -> DevProvider {
    let mut client = Client::confidential(CLIENT_ID, CLIENT_SECRET);
    for uri in redirect_uris {
        client = client.redirect_uri(uri);
    }
    for origin in [A, B] {
        client = client.post_logout_redirect_uri(format!("{origin}/"));
    }
    let provider = DevProvider::builder().client(client).start().await;
    let provider = provider.expect("the development provider starts");
    stage.watch(&provider);
    provider
}

fn both(environment: Environment) -> Environment {
    environment
        .set("AUTH_BASE_URL", A)
        .set("AUTH_FURTHER_BASE_URLS", B)
}

/// One provider for both origins, and a browser at each.
struct World {
    provider: DevProvider,
    app: App,
    a: Browser,
    b: Browser,
}

async fn world(stage: &Stage) -> World {
    let redirect_uris = [A, B].map(|origin| format!("{origin}/auth/callback"));
    let provider = provider(stage, &redirect_uris).await;
    let app = stage.start(&both(stage.environment(&provider))).await;
    let (a, b) = (stage.browser(&app, A), stage.browser(&app, B));
    World { provider, app, a, b }
}

/// A provider for each origin: `acme` at the first, `globex` at the other.
struct Tenants {
    providers: [DevProvider; 2],
    app: App,
    browsers: [Browser; 2],
}

const NAMES: [&str; 2] = ["acme", "globex"];

async fn tenants(stage: &Stage) -> Tenants {
    let acme = provider(stage, &[format!("{A}/auth/callback/acme")]).await;
    let globex = provider(stage, &[format!("{B}/auth/callback/globex")]).await;
    let mut environment = both(stage.environment(&acme)).set("AUTH_PROVIDERS", "acme,globex");
    for name in ["AUTH_ISSUER", "AUTH_CLIENT_ID", "AUTH_CLIENT_SECRET"] {
        environment = environment.unset(name);
    }
    for (name, provider, origin) in [("ACME", &acme, A), ("GLOBEX", &globex, B)] {
        environment = environment
            .set(&format!("AUTH_{name}_ISSUER"), provider.issuer())
            .set(&format!("AUTH_{name}_CLIENT_ID"), CLIENT_ID)
            .set(&format!("AUTH_{name}_CLIENT_SECRET"), CLIENT_SECRET)
            .set(&format!("AUTH_{name}_ONLY_AT"), origin);
    }
    let app = stage.start(&environment).await;
    let browsers = [stage.browser(&app, A), stage.browser(&app, B)];
    Tenants {
        providers: [acme, globex],
        app,
        browsers,
    }
}

fn parameters(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// The provider's answer to a sign-in that this browser begins.
async fn answer(browser: &Browser, provider: &DevProvider, login: &str) -> Url {
    let begun = browser.navigate(login).await;
    begun.assert_redirect().assert_no_store();
    let request = begun.location();
    assert!(request.as_str().starts_with(provider.issuer()), "{request}");
    let approval = provider.approve(request.as_str(), "alice").await;
    Url::parse(&approval.expect("the provider lets the user in").callback_url).unwrap()
}

async fn sign_in(browser: &Browser, provider: &DevProvider) {
    let callback = answer(browser, provider, "/auth/login?return_to=/profile").await;
    assert_eq!(callback.origin(), browser.base().origin());
    let landing = browser.navigate(callback.as_str()).site(Site::CrossSite).await;
    assert_eq!(landing.location(), browser.base().join("/profile").unwrap());
}

/// All that this browser's user could copy.
fn cookies(browser: &Browser) -> String {
    let held = browser.cookies();
    let pairs = held
        .iter()
        .map(|cookie| format!("{}={}", cookie.name, cookie.value));
    pairs.collect::<Vec<_>>().join("; ")
}

pub(crate) async fn each_host_signs_in_at_its_own_provider(stage: Stage) {
    let tenants = tenants(&stage).await;
    for at in [0, 1] {
        let (browser, provider, name) = (&tenants.browsers[at], &tenants.providers[at], NAMES[at]);
        let refused = browser.navigate("/profile").await.location();
        assert_eq!(refused.origin(), browser.base().origin());
        let request = browser.navigate(refused.as_str()).await.location();
        assert!(
            request.as_str().starts_with(provider.issuer()),
            "{name}: {request}"
        );
        let redirect_uri = browser.base().join(&format!("/auth/callback/{name}")).unwrap();
        assert_eq!(parameters(&request)["redirect_uri"], redirect_uri.as_str());
        sign_in(browser, provider).await;
        browser.assert_signed_in_as("alice").await;
        assert_eq!(browser.session().await["user"]["iss"], provider.issuer());
        assert_eq!(tenants.providers.each_ref().map(token_requests), [1, at as u64]);
    }
}

pub(crate) async fn the_pages_of_a_host_name_it(stage: Stage) {
    let tenants = tenants(&stage).await;
    for (browser, name) in tenants.browsers.iter().zip(NAMES) {
        let page = browser.navigate("/auth/errors/login.cookie_other_address").await;
        page.assert_status(200);
        let origin = browser.base().origin().ascii_serialization();
        for named in [origin.clone(), format!("{origin}/auth/callback/{name}")] {
            assert!(
                page.body.contains(&format!("<code>{named}</code>")),
                "{}",
                page.body
            );
        }
    }
    drop(tenants.app);
}

fn token_requests(provider: &DevProvider) -> u64 {
    provider.control().count(Endpoint::Token)
}

pub(crate) async fn a_provider_of_one_host_is_unknown_at_the_other(stage: Stage) {
    let tenants = tenants(&stage).await;
    for (at, other) in [(0, 1), (1, 0)] {
        let browser = &tenants.browsers[at];
        let named = format!("/auth/login?provider={}", NAMES[other]);
        let answered = browser.navigate(&named).await;
        assert_eq!(answered.assert_failure(404..=404), "provider.unknown");
        let iss = tenants.providers[other].issuer();
        let third_party = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("iss", iss)
            .finish();
        let answered = browser.navigate(&format!("/auth/login?{third_party}")).await;
        assert_eq!(answered.assert_failure(400..=400), "login.unknown_issuer");

        // Nor is its answer taken, whatever cookies come along.
        let theirs = &tenants.browsers[other];
        let mut moved = answer(theirs, &tenants.providers[other], "/auth/login").await;
        moved.set_host(browser.base().host_str()).unwrap();
        let refused = browser
            .navigate(moved.as_str())
            .header("cookie", &cookies(theirs))
            .await;
        assert_eq!(refused.assert_failure(404..=404), "provider.unknown");
        browser.assert_signed_out().await;
    }
    assert_eq!(tenants.providers.each_ref().map(token_requests), [0, 0]);
}

pub(crate) async fn an_answer_at_the_other_host_is_refused(stage: Stage) {
    let world = world(&stage).await;
    for (browser, other) in [(&world.a, &world.b), (&world.b, &world.a)] {
        let callback = answer(browser, &world.provider, "/auth/login").await;
        let mut moved = callback.clone();
        moved.set_host(other.base().host_str()).unwrap();
        let without = other.navigate(moved.as_str()).await;
        assert_eq!(without.assert_failure(400..=400), "login.other_origin");
        let refused = other
            .navigate(moved.as_str())
            .header("cookie", &cookies(browser))
            .await;
        assert_eq!(refused.assert_failure(400..=400), "login.other_origin");
        other.assert_signed_out().await;
    }
    assert_eq!(token_requests(&world.provider), 0);
}

pub(crate) async fn a_session_is_good_at_its_own_host_alone(stage: Stage) {
    const NOTE: &str = "Buy eleven oranges";
    let world = world(&stage).await;
    for (browser, other) in [(&world.a, &world.b), (&world.b, &world.a)] {
        sign_in(browser, &world.provider).await;
        let noted = browser.submit("/note", &[("text", NOTE)]).await;
        noted.assert_redirect();
        let copied = cookies(browser);
        let at_other = other.fetch("/auth/session").header("cookie", &copied).await;
        assert_eq!(at_other.json(), serde_json::json!({"authenticated": false}));
        let refused = other.fetch("/api/ping").header("cookie", &copied).await;
        refused.assert_status(401);
        let sent = other
            .navigate("/profile")
            .header("cookie", &copied)
            .await
            .location();
        assert_eq!(
            sent,
            other.base().join("/auth/login?return_to=%2Fprofile").unwrap()
        );
        let page = other.navigate("/").header("cookie", &copied).await;
        assert!(!page.body.contains(NOTE), "{}", page.body);
        // A sign-out there is none of this session's.
        let away = other.submit("/auth/logout", &[]).header("cookie", &copied).await;
        assert_eq!(away.location(), other.base().join("/").unwrap());
        browser.assert_signed_in_as("alice").await;
        assert!(browser.navigate("/").await.body.contains(NOTE));
        other.assert_signed_out().await;
        browser.submit("/auth/logout", &[]).await.assert_redirect();
    }
    assert_eq!(world.provider.control().count(Endpoint::Revoke), 4);
}

pub(crate) async fn one_browser_is_signed_in_at_both_at_once(stage: Stage) {
    let world = world(&stage).await;
    sign_in(&world.a, &world.provider).await;
    sign_in(&world.b, &world.provider).await;
    for browser in [&world.a, &world.b] {
        browser.assert_signed_in_as("alice").await;
    }
    // A sign-out comes back to its own host, and is that one's alone.
    let away = world.b.submit("/auth/logout", &[]).await.location();
    assert_eq!(parameters(&away)["post_logout_redirect_uri"], format!("{B}/"));
    world.b.assert_signed_out().await;
    world.a.assert_signed_in_as("alice").await;
    let away = world.a.submit("/auth/logout", &[]).await.location();
    assert_eq!(parameters(&away)["post_logout_redirect_uri"], format!("{A}/"));
}

pub(crate) async fn the_other_host_is_another_site_to_what_changes_something(stage: Stage) {
    let world = world(&stage).await;
    for (browser, other) in [(&world.a, &world.b), (&world.b, &world.a)] {
        sign_in(browser, &world.provider).await;
        let post = |origin: &Browser| {
            browser
                .request(Method::POST, "/auth/logout")
                .header("origin", &origin.base().origin().ascii_serialization())
        };
        post(other).await.assert_status(403);
        browser.assert_signed_in_as("alice").await;
        post(browser).await.assert_redirect();
        browser.assert_signed_out().await;
    }
}

// RFC 6749 §3.1.2; RFC 9700 §4.13
pub(crate) async fn a_forged_host_chooses_no_more_than_an_origin_of_the_app(stage: Stage) {
    let world = world(&stage).await;
    let address = world.app.address();
    for (what, target, headers, origin) in [
        ("the first", "/auth/login", &[HOST_A][..], A),
        ("the other", "/auth/login", &[HOST_B], B),
        ("without case", "/auth/login", &["B.LocalHost:3000"], B),
        ("a foreign one", "/auth/login", &["evil.example"], A),
        ("without the port", "/auth/login", &["b.localhost"], A),
        ("with another port", "/auth/login", &["b.localhost:80"], A),
        ("with a dot", "/auth/login", &["b.localhost.:3000"], A),
        ("with a user", "/auth/login", &["user@b.localhost:3000"], A),
        ("behind it", "/auth/login", &["b.localhost:3000.evil.example"], A),
        ("two", "/auth/login", &[HOST_B, HOST_B], A),
        ("two that differ", "/auth/login", &[HOST_B, "evil.example"], A),
        ("a whole URL", "http://b.localhost:3000/auth/login", &[HOST_B], B),
        (
            "another than the URL",
            "http://b.localhost:3000/auth/login",
            &[HOST_A],
            A,
        ),
        (
            "an URL of elsewhere",
            "http://evil.example/auth/login",
            &[HOST_B],
            A,
        ),
    ] {
        // A server may well refuse what is no HTTP.
        if let Some(redirect_uri) = redirect_uri(address, target, headers).await {
            assert_eq!(redirect_uri, format!("{origin}/auth/callback"), "{what}");
        } else {
            assert_eq!(origin, A, "{what}");
        }
    }
    for name in ["x-forwarded-host", "x-forwarded-server", "x-original-host"] {
        let answer = world.a.navigate("/auth/login").header(name, HOST_B);
        let answer = answer.also("forwarded", "host=\"b.localhost:3000\"").await;
        let request = answer.location();
        assert_eq!(parameters(&request)["redirect_uri"], format!("{A}/auth/callback"));
    }
}

/// What the authorization request says to a request with these `Host`s, unless the server refuses it.
async fn redirect_uri(address: SocketAddr, target: &str, hosts: &[&str]) -> Option<String> {
    let hosts: String = hosts.iter().map(|host| format!("host: {host}\r\n")).collect();
    let request = format!("GET {target} HTTP/1.1\r\n{hosts}accept: text/html\r\nconnection: close\r\n\r\n");
    let answer = raw::exchange(address, request.as_bytes()).await?;
    if answer.status == 400 {
        return None;
    }
    assert_eq!(answer.status, 303, "{}", answer.head);
    let request = Url::parse(answer.header("location").unwrap()).unwrap();
    Some(parameters(&request)["redirect_uri"].clone())
}

pub(crate) async fn a_step_up_stays_at_its_host(stage: Stage) {
    let tenants = tenants(&stage).await;
    for at in [0, 1] {
        let (browser, provider) = (&tenants.browsers[at], &tenants.providers[at]);
        sign_in(browser, provider).await;
        let sent = browser.navigate("/api/mail").await.location();
        // Elsewhere the link is one to sign in, and asks for no more, whatever cookies come along.
        let other = &tenants.browsers[1 - at];
        let mut moved = sent.clone();
        moved.set_host(other.base().host_str()).unwrap();
        let elsewhere = other
            .navigate(moved.as_str())
            .header("cookie", &cookies(browser))
            .await
            .location();
        assert!(
            elsewhere.as_str().starts_with(tenants.providers[1 - at].issuer()),
            "{elsewhere}"
        );
        assert!(!parameters(&elsewhere)["scope"].contains("mail.read"));
        let request = browser.navigate(sent.as_str()).await.location();
        assert!(request.as_str().starts_with(provider.issuer()), "{request}");
        assert!(parameters(&request)["scope"].contains("mail.read"));
    }
    drop(tenants.app);
}
