//! No answer leads a browser elsewhere, whatever it was asked: return paths, targets of third parties, sign-out, odd request targets.
//!
//! The list of return paths is the core's; `crates/auth-core/tests/core/payloads.rs` names the rule of the URL standard that each counts on.

#[path = "../../../crates/auth-core/tests/core/payloads.rs"]
mod payloads;

use auth_tests::stage::BASE;
use auth_tests::{Answer, Site, Stage, World, html, raw};
use futures_util::future::join_all;
use http::Method;
use url::Url;

use crate::login::parameters;
use payloads::{EVIL, HONEST, Payload, payloads};

/// Lets the provider answer `access_denied`: the page that says so offers to begin anew, with the return path that the sign-in has kept.
async fn kept_path(world: &World, login: &str) -> (Answer, String) {
    let browser = world.browser.fresh();
    let request = world.begin(&browser, login).await;
    let state = &parameters(&request)["state"];
    let denied = format!(
        "/auth/callback?error=access_denied&state={state}&iss={}",
        world.provider.issuer()
    );
    let page = browser.navigate(&denied).site(Site::CrossSite).await;
    assert_eq!(page.assert_failure(403..=403), "login.access_denied");
    let links = html::links(&page.body);
    let again = links
        .iter()
        .find(|link| link.starts_with("/auth/login?"))
        .unwrap_or_else(|| panic!("no button to begin anew: {links:?}"));
    let again = world.browser.base().join(again).unwrap();
    let kept = parameters(&again)["return_to"].clone();
    for link in links {
        stays_here(&link, &link);
    }
    (page, kept)
}

/// A world whose application prints little: a case of a thousand requests has as many secrets to look for in it.
async fn quiet(stage: &Stage) -> World {
    stage
        .world_with(|settings| settings.set("RUST_LOG", "info"))
        .await
}

/// A browser at the application's callback that is sent there stays here.
#[track_caller]
fn stays_here(location: &str, what: &str) {
    let what: String = what.chars().take(200).collect();
    let at = Url::parse(BASE).unwrap().join("/auth/callback?code=x").unwrap();
    let landing = at
        .join(location)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(landing.origin(), at.origin(), "{what} leads to {landing}");
    assert_ne!(landing.host_str(), Some(EVIL), "{what} leads to {landing}");
    assert!(
        location.starts_with('/')
            && !location.starts_with("//")
            && !location.contains(['\\', '\r', '\n', '\t']),
        "{what} leads to {location:?}"
    );
}

pub(crate) async fn no_return_path_of_the_list_is_kept_that_leads_elsewhere(stage: Stage) {
    let world = quiet(&stage).await;
    let list = payloads(BASE);
    assert!(list.len() >= 400, "{}", list.len());
    for some in list.chunks(24) {
        join_all(some.iter().map(async |payload| {
            let login = format!("/auth/login?return_to={}", payload.encoded());
            let (page, kept) = kept_path(&world, &login).await;
            stays_here(&kept, &format!("{payload:?}"));
            assert!(!page.body.contains("<script"), "{payload:?}");
        }))
        .await;
    }
}

pub(crate) async fn sign_in_ends_on_this_origin_whatever_return_path_it_began_with(stage: Stage) {
    let world = quiet(&stage).await;
    // Whole sign-ins with one of each rule, and with every thirtieth besides.
    let mut rules = std::collections::HashSet::new();
    let sample: Vec<Payload> = payloads(BASE)
        .into_iter()
        .enumerate()
        .filter(|(number, payload)| rules.insert(payload.rule) || number % 30 == 0)
        .map(|(_, payload)| payload)
        .collect();
    assert!(sample.len() >= 40, "{}", sample.len());
    for payload in sample {
        let browser = world.browser.fresh();
        let login = format!("/auth/login?return_to={}", payload.encoded());
        let request = world.begin(&browser, &login).await;
        let answer = world.finish(&browser, &request, "alice").await;
        answer.assert_status(303);
        stays_here(&answer.header("location").unwrap(), &format!("{payload:?}"));
    }
}

pub(crate) async fn paths_of_honest_pages_come_through_to_the_byte(stage: Stage) {
    let world = quiet(&stage).await;
    for path in HONEST {
        let browser = world.browser.fresh();
        let encoded: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        let request = world
            .begin(&browser, &format!("/auth/login?return_to={encoded}"))
            .await;
        let answer = world.finish(&browser, &request, "alice").await;
        assert_eq!(answer.header("location").as_deref(), Some(path));
    }
}

pub(crate) async fn a_third_party_s_target_is_a_page_of_this_origin(stage: Stage) {
    let world = quiet(&stage).await;
    let issuer: String = url::form_urlencoded::byte_serialize(world.provider.issuer().as_bytes()).collect();
    let list = payloads(BASE);
    for some in list.chunks(24) {
        // OpenID Connect Core §4: a target that is not ours is not gone to.
        join_all(some.iter().step_by(2).map(async |payload| {
            let login = format!("/auth/login?iss={issuer}&target_link_uri={}", payload.encoded());
            let (_, kept) = kept_path(&world, &login).await;
            stays_here(&kept, &format!("{payload:?}"));
        }))
        .await;
    }
    for path in ["/", "/profile", "/profile?a=1&b=%2F%2Fx", "/a#b"] {
        let target: String =
            url::form_urlencoded::byte_serialize(format!("{BASE}{path}").as_bytes()).collect();
        let (_, kept) = kept_path(
            &world,
            &format!("/auth/login?iss={issuer}&target_link_uri={target}"),
        )
        .await;
        assert_eq!(kept, path);
    }
}

pub(crate) async fn of_several_return_paths_none_leads_elsewhere(stage: Stage) {
    let world = stage.world().await;
    let evil = format!("https://{EVIL}/");
    for query in [
        format!("return_to=/a&return_to={evil}"),
        format!("return_to={evil}&return_to=/a"),
        format!("return_to=/a&target_link_uri={evil}"),
        format!("return_to={evil}&target_link_uri=/a"),
        format!("return_to[]={evil}"),
        format!("return_to[0]={evil}&return_to=/a"),
        format!("return_to=/a%26return_to={evil}"),
        format!("return_to=/a;return_to={evil}"),
        format!("return_to=/a%00&return_to={evil}"),
        format!(
            "RETURN_TO={evil}&returnTo={evil}&redirect_uri={evil}&next={evil}&post_login_redirect_uri={evil}"
        ),
        format!("return_to=/a&redirect_uri={evil}&client_id=evil&response_mode=fragment&state=x&nonce=y"),
    ] {
        let browser = world.browser.fresh();
        let request = world.begin(&browser, &format!("/auth/login?{query}")).await;
        assert!(!request.as_str().contains(EVIL), "{query}: {request}");
        assert_eq!(
            parameters(&request)["redirect_uri"],
            format!("{BASE}/auth/callback")
        );
        let landing = world.finish(&browser, &request, "alice").await;
        stays_here(&landing.header("location").unwrap(), &query);
    }
    // A form's fields count in a form only.
    let browser = world.browser.fresh();
    let answer = browser
        .request(Method::POST, &format!("/auth/login?return_to={evil}"))
        .navigation(Site::CrossSite)
        .form(&[("return_to", "/from-the-form")])
        .await;
    let landing = world.finish(&browser, &answer.location(), "alice").await;
    assert_eq!(landing.header("location").as_deref(), Some("/from-the-form"));
}

pub(crate) async fn sign_out_leads_where_the_configuration_says(stage: Stage) {
    let world = stage.world().await;
    let evil = format!("https://{EVIL}/");
    let fields = [
        ("post_logout_redirect_uri", evil.as_str()),
        ("return_to", evil.as_str()),
        ("redirect_uri", evil.as_str()),
        ("next", evil.as_str()),
        ("state", evil.as_str()),
    ];
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    for with_session in [true, false] {
        let browser = world.browser.fresh();
        if with_session {
            world.sign_in_with(&browser, "alice").await;
        }
        let answer = browser
            .submit(&format!("/auth/logout?{query}"), &fields)
            .header("referer", &evil)
            .await;
        let location = answer.assert_status(303).location();
        assert!(!location.as_str().contains(EVIL), "{location}");
        if with_session {
            assert_eq!(
                parameters(&location)["post_logout_redirect_uri"],
                format!("{BASE}/")
            );
        } else {
            assert_eq!(answer.header("location").as_deref(), Some("/"));
        }
    }
}

pub(crate) async fn a_protected_page_is_come_back_to_by_its_own_query(stage: Stage) {
    let world = stage.world().await;
    let address = world.app.address();
    for query in [
        "next=//evil.example",
        "next=https://evil.example/",
        "return_to=//evil.example",
        "a&return_to=https://evil.example&b",
        "//evil.example",
        "a=b?c=d",
        "%0d%0aLocation:%20https://evil.example",
        "%26return_to=//evil.example",
        "a=%",
        "'\"<>",
    ] {
        let target = format!("/profile?{query}");
        let answer = raw::exchange(
            address,
            &raw::navigation(target.as_bytes(), "127.0.0.1:3000", &[]),
        )
        .await;
        let answer = answer.unwrap_or_else(|| panic!("no answer to {query}"));
        if answer.status == 400 {
            // The server's own parser takes no such byte.
            assert!(query.contains(['"', '<']), "{query}: {}", answer.head);
            continue;
        }
        let location = answer
            .header("location")
            .unwrap_or_else(|| panic!("{query}: {}", answer.head));
        stays_here(location, query);
        let login = Url::parse(BASE).unwrap().join(location).unwrap();
        assert_eq!(login.path(), "/auth/login");
        assert_eq!(parameters(&login)["return_to"], target);
    }
    // A target that names another host, in whatever form, leads nowhere else.
    for target in [
        "http://evil.example/profile",
        "https://evil.example/profile",
        "//evil.example/profile",
        "///evil.example/profile",
        "/\\evil.example/profile",
        "/.//evil.example/profile",
        "/profile/..//evil.example",
        "/profile//evil.example",
        "evil.example:443",
        "@evil.example/profile",
        "evil.example/profile",
    ] {
        let sent = raw::navigation(target.as_bytes(), "127.0.0.1:3000", &[]);
        let Some(answer) = raw::exchange(address, &sent).await else {
            continue;
        };
        assert!(answer.status < 500, "{target}: {}", answer.head);
        if let Some(location) = answer.header("location") {
            stays_here(location, target);
            let login = Url::parse(BASE).unwrap().join(location).unwrap();
            stays_here(&parameters(&login)["return_to"], target);
        }
    }
}
