//! Several providers in one application: which one a sign-in is at, and that what is one's stays apart from the other's.

use std::collections::HashMap;
use std::time::Duration;

use auth_testing::{Client, DevProvider, Endpoint};
use auth_tests::answer::Answer;
use auth_tests::jar::unix_now;
use auth_tests::stage::{BASE, CLIENT_ID, CLIENT_SECRET, Environment};
use auth_tests::{App, Browser, Site, Stage};
use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use url::Url;

/// Two providers at once. This application has the same client id at both, and other secrets.
struct Two {
    staff: DevProvider,
    shop: DevProvider,
    app: App,
    browser: Browser,
}

const SHOP_SECRET: &str = "another-secret-of-the-shop";

async fn start(stage: &Stage, name: &str, secret: &str) -> DevProvider {
    let client = Client::confidential(CLIENT_ID, secret)
        .redirect_uri(format!("{BASE}/auth/callback/{name}"))
        .post_logout_redirect_uri(format!("{BASE}/"));
    let provider = DevProvider::builder().client(client).start().await;
    let provider = provider.expect("the development provider starts");
    stage.watch(&provider);
    provider
}

fn environment(stage: &Stage, staff: &DevProvider, shop: &DevProvider) -> Environment {
    let environment = stage.environment(staff);
    ["AUTH_ISSUER", "AUTH_CLIENT_ID", "AUTH_CLIENT_SECRET"]
        .into_iter()
        .fold(environment, |environment, name| environment.unset(name))
        .set("AUTH_PROVIDERS", "staff,the-shop")
        .set("AUTH_STAFF_ISSUER", staff.issuer())
        .set("AUTH_STAFF_CLIENT_ID", CLIENT_ID)
        .set("AUTH_STAFF_CLIENT_SECRET", CLIENT_SECRET)
        .set("AUTH_STAFF_LABEL", "Staff & friends")
        .set("AUTH_THE_SHOP_ISSUER", shop.issuer())
        .set("AUTH_THE_SHOP_CLIENT_ID", CLIENT_ID)
        .set("AUTH_THE_SHOP_CLIENT_SECRET", SHOP_SECRET)
}

async fn two_with(stage: &Stage, settings: impl FnOnce(Environment) -> Environment) -> Two {
    let staff = start(stage, "staff", CLIENT_SECRET).await;
    let shop = start(stage, "the-shop", SHOP_SECRET).await;
    let app = stage.start(&settings(environment(stage, &staff, &shop))).await;
    let browser = stage.browser(&app, BASE);
    Two {
        staff,
        shop,
        app,
        browser,
    }
}

async fn two(stage: &Stage) -> Two {
    two_with(stage, |environment| environment).await
}

impl Two {
    fn provider(&self, name: &str) -> &DevProvider {
        match name {
            "staff" => &self.staff,
            _ => &self.shop,
        }
    }

    /// The authorization request that this provider is sent.
    async fn begin(&self, browser: &Browser, name: &str) -> Url {
        let login = format!("/auth/login?provider={name}&return_to=/profile");
        let answer = browser.navigate(&login).await;
        answer.assert_redirect().assert_no_store();
        assert!(
            answer
                .location()
                .as_str()
                .starts_with(self.provider(name).issuer())
        );
        answer.location()
    }

    /// The authorization response to a new request.
    async fn response(&self, browser: &Browser, name: &str) -> Url {
        let request = self.begin(browser, name).await;
        self.approve(name, &request).await
    }

    async fn approve(&self, name: &str, request: &Url) -> Url {
        let approval = self.provider(name).approve(request.as_str(), "alice").await;
        Url::parse(&approval.expect("the provider lets the user in").callback_url).unwrap()
    }

    async fn sign_in(&self, browser: &Browser, name: &str) {
        let callback = self.response(browser, name).await;
        assert_eq!(callback.path(), format!("/auth/callback/{name}"));
        let answer = self.callback(browser, &callback).await;
        assert_eq!(answer.location().path(), "/profile", "{}", answer.describe());
    }

    async fn callback(&self, browser: &Browser, callback: &Url) -> Answer {
        browser.navigate(callback.as_str()).site(Site::CrossSite).await
    }

    fn counts(&self, endpoint: Endpoint) -> [u64; 2] {
        [&self.staff, &self.shop].map(|provider| provider.control().count(endpoint))
    }
}

fn parameters(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

fn with(url: &Url, name: &str, value: Option<&str>) -> Url {
    let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
    pairs.retain(|(held, _)| held != name);
    pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    changed
}

pub(crate) async fn without_a_name_a_page_offers_each_and_keeps_the_way_back(stage: Stage) {
    let two = two(&stage).await;
    let refused = two.browser.navigate("/profile?a=b").await;
    assert_eq!(refused.location().path(), "/auth/login");
    let page = two.browser.navigate(refused.location().as_str()).await;
    page.assert_status(200)
        .assert_page()
        .assert_no_store()
        .assert_no_cookie();
    assert!(page.text().contains("Staff & friends"), "{}", page.body);
    assert!(!page.body.contains("<script"));
    let links: Vec<_> = page
        .body
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next().map(|link| link.replace("&amp;", "&")))
        .filter(|link| link.starts_with("/auth/login"))
        .collect();
    assert_eq!(links.len(), 2, "{links:?}");
    for (link, name) in links.iter().zip(["staff", "the-shop"]) {
        let link = two.browser.base().join(link).unwrap();
        assert_eq!(parameters(&link)["provider"], name);
        assert_eq!(parameters(&link)["return_to"], "/profile?a=b");
        let request = two.browser.navigate(link.as_str()).await.location();
        let callback = two.approve(name, &request).await;
        let landing = two.callback(&two.browser, &callback).await.location();
        assert_eq!(landing.as_str(), format!("{BASE}/profile?a=b"));
    }
}

pub(crate) async fn each_signs_in_at_its_own_and_takes_the_place_of_the_other(stage: Stage) {
    let two = two(&stage).await;
    for (name, tokens) in [("staff", [1, 0]), ("the-shop", [1, 1])] {
        let request = two.begin(&two.browser, name).await;
        assert_eq!(
            parameters(&request)["redirect_uri"],
            format!("{BASE}/auth/callback/{name}")
        );
        let before = two.browser.cookies().len();
        let callback = two.approve(name, &request).await;
        two.callback(&two.browser, &callback).await.assert_redirect();
        assert_eq!(two.counts(Endpoint::Token), tokens);
        let session = two.browser.session().await;
        assert_eq!(session["user"]["iss"], two.provider(name).issuer());
        assert!(two.browser.cookies().len() <= before, "one session at a time");
    }
}

pub(crate) async fn refresh_revocation_and_sign_out_are_the_session_s_provider_s(stage: Stage) {
    let two = two(&stage).await;
    for (name, at) in [("staff", 0), ("the-shop", 1)] {
        let provider = two.provider(name);
        let [before_token, before_revoked] = [Endpoint::Token, Endpoint::Revoke].map(|one| two.counts(one));
        provider
            .control()
            .next_access_token_lifetime(Duration::from_secs(1));
        two.sign_in(&two.browser, name).await;
        auth_tests::wait::until("the token's end", Duration::from_secs(10), || async {
            two.browser.session().await["access_token_expires_at"]
                .as_u64()
                .is_some_and(|end| end < unix_now())
        })
        .await;
        two.browser.navigate("/api/ping").await.assert_status(200);
        let answer = two.browser.submit("/auth/logout", &[]).await;
        answer.assert_status(303);
        assert!(answer.location().as_str().starts_with(provider.issuer()));
        let [token, revoked] = [Endpoint::Token, Endpoint::Revoke].map(|one| two.counts(one));
        // The code and one refresh, then both tokens; nothing of it at the other.
        assert_eq!(token[at] - before_token[at], 2, "{name}");
        assert_eq!(revoked[at] - before_revoked[at], 2, "{name}");
        assert_eq!(token[1 - at], before_token[1 - at], "{name}");
        assert_eq!(revoked[1 - at], before_revoked[1 - at], "{name}");
    }
}

// RFC 9700 §4.4.2
pub(crate) async fn an_answer_at_the_other_s_address_is_refused_and_used_up(stage: Stage) {
    let two = two(&stage).await;
    for (name, other) in [("staff", "the-shop"), ("the-shop", "staff")] {
        let browser = two.browser.fresh();
        let callback = two.response(&browser, name).await;
        let mut moved = callback.clone();
        moved.set_path(&format!("/auth/callback/{other}"));
        let answer = two.callback(&browser, &moved).await;
        assert_eq!(answer.assert_failure(400..=400), "login.other_provider");
        let again = two.callback(&browser, &callback).await;
        again.assert_failure(400..=400);
        // Nor where there is no name, or one of nobody.
        for path in ["/auth/callback", "/auth/callback/nobody"] {
            let callback = two.response(&browser, name).await;
            let mut moved = callback.clone();
            moved.set_path(path);
            let answer = two.callback(&browser, &moved).await;
            assert_eq!(answer.assert_failure(404..=404), "provider.unknown", "{path}");
            let again = two.callback(&browser, &callback).await;
            again.assert_failure(400..=400);
        }
        let callback = two.response(&browser, name).await;
        for path in ["/auth/callback/"] {
            let mut moved = callback.clone();
            moved.set_path(path);
            let answer = two.callback(&browser, &moved).await;
            assert!(
                (400..500).contains(&answer.status),
                "{path}: {}",
                answer.describe()
            );
        }
        browser.assert_signed_out().await;
    }
    assert_eq!(two.counts(Endpoint::Token), [0, 0]);
}

// RFC 9700 §4.4, RFC 9207 §2.4
pub(crate) async fn a_code_of_one_with_the_state_of_the_other_is_refused(stage: Stage) {
    let two = two(&stage).await;
    for (name, other) in [("staff", "the-shop"), ("the-shop", "staff")] {
        let browser = two.browser.fresh();
        let honest = two.response(&browser, name).await;
        let stolen = parameters(&honest);
        for iss in [Some(stolen["iss"].as_str()), None] {
            let attempt = two.response(&browser, other).await;
            let mixed = with(&with(&attempt, "code", Some(&stolen["code"])), "iss", iss);
            let answer = two.callback(&browser, &mixed).await;
            let code = answer.assert_failure(400..=400);
            assert!(
                ["login.issuer_mismatch", "login.issuer_missing"].contains(&code.as_str()),
                "{code}"
            );
        }
        browser.assert_signed_out().await;
    }
    assert_eq!(two.counts(Endpoint::Token), [0, 0]);
}

// OpenID Connect Back-Channel Logout 1.0 §2.5, Front-Channel Logout 1.0 §2
pub(crate) async fn a_sign_out_at_one_ends_nothing_of_the_other(stage: Stage) {
    let two = two(&stage).await;
    for (name, other) in [("staff", "the-shop"), ("the-shop", "staff")] {
        let (mine, others) = (two.browser.fresh(), two.browser.fresh());
        two.sign_in(&mine, name).await;
        two.sign_in(&others, other).await;
        let claims = json!({
            "iss": two.provider(name).issuer(),
            "aud": CLIENT_ID,
            "iat": unix_now(),
            "exp": unix_now() + 120,
            "jti": format!("logout-{name}"),
            "sub": "alice",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        let claims = claims.as_object().unwrap();
        let send = async |token: &str| {
            two.browser
                .fresh()
                .request(Method::POST, "/auth/backchannel-logout")
                .form(&[("logout_token", token)])
                .await
        };
        let forged = two.provider(other).control().sign_jwt("logout+jwt", claims);
        send(&forged).await.assert_status(400);
        mine.assert_signed_in_as("alice").await;
        let good = two.provider(name).control().sign_jwt("logout+jwt", claims);
        send(&good).await.assert_status(200);
        mine.assert_signed_out().await;
        others.assert_signed_in_as("alice").await;

        let sid = others.session().await["user"]["sid"].as_str().unwrap().to_owned();
        let front = |issuer: &str| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("iss", issuer)
                .append_pair("sid", &sid)
                .finish();
            two.browser
                .fresh()
                .navigate(&format!("/auth/frontchannel-logout?{query}"))
        };
        front(two.provider(name).issuer()).await.assert_status(200);
        others.assert_signed_in_as("alice").await;
        let answer = front(two.provider(other).issuer()).await;
        answer.assert_status(200);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains(&format!("frame-ancestors {}", two.provider(other).issuer())),
            "{policy}"
        );
        others.assert_signed_out().await;
    }
}

pub(crate) async fn a_name_that_nobody_has_is_404(stage: Stage) {
    let two = two(&stage).await;
    for path in [
        "/auth/login?provider=nobody",
        "/auth/login?provider=",
        "/auth/login?provider=STAFF",
        "/auth/login?provider=%2e%2e",
        "/auth/callback/nobody?state=x&code=y",
        "/auth/callback/%ff?state=x&code=y",
        "/auth/callback?state=x&code=y",
    ] {
        let answer = two.browser.navigate(path).await;
        assert_eq!(answer.assert_failure(404..=404), "provider.unknown", "{path}");
    }
    let twice = two
        .browser
        .navigate("/auth/login?provider=staff&provider=the-shop")
        .await;
    twice.assert_failure(400..=400);
}

// OpenID Connect Core §4
pub(crate) async fn a_third_party_names_the_issuer_that_is_meant(stage: Stage) {
    let two = two(&stage).await;
    for name in ["staff", "the-shop"] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("iss", two.provider(name).issuer())
            .append_pair("target_link_uri", "/dashboard")
            .finish();
        let answer = two
            .browser
            .navigate(&format!("/auth/login?{query}"))
            .site(Site::CrossSite)
            .await;
        let request = answer.location();
        assert!(request.as_str().starts_with(two.provider(name).issuer()));
        let callback = two.approve(name, &request).await;
        let landing = two.callback(&two.browser, &callback).await.location();
        assert_eq!(landing.path(), "/dashboard");
    }
    let elsewhere = two
        .browser
        .navigate("/auth/login?iss=https%3A%2F%2Felsewhere.example")
        .await;
    assert_eq!(elsewhere.assert_failure(400..=400), "login.unknown_issuer");
}

// RFC 9470 §4, RFC 6750 §3.1
pub(crate) async fn what_a_sign_in_lacks_is_asked_of_its_own_provider(stage: Stage) {
    let two = two(&stage).await;
    for name in ["staff", "the-shop"] {
        two.sign_in(&two.browser, name).await;
        let sent = two.browser.navigate("/api/mail").await.location();
        assert_eq!(sent.path(), "/auth/login");
        let request = two.browser.navigate(sent.as_str()).await.location();
        assert!(
            request.as_str().starts_with(two.provider(name).issuer()),
            "{name}: {request}"
        );
        assert!(
            parameters(&request)["scope"]
                .split(' ')
                .any(|scope| scope == "mail.read")
        );
    }
}

pub(crate) async fn settings_go_for_one_provider_alone(stage: Stage) {
    let two = two_with(&stage, |environment| {
        environment
            .set("AUTH_STAFF_SCOPES", "openid internal_login")
            .set("AUTH_THE_SHOP_AUTHORIZE_PARAMS", "prompt=consent")
            .set("AUTH_THE_SHOP_RESPONSE_MODE", "form_post")
    })
    .await;
    let staff = parameters(&two.begin(&two.browser, "staff").await);
    let shop = parameters(&two.begin(&two.browser, "the-shop").await);
    assert_eq!(staff["scope"], "openid internal_login");
    assert_eq!(shop["scope"], "openid profile email offline_access");
    assert_eq!(
        [staff.get("prompt"), shop.get("prompt")],
        [None, Some(&"consent".to_owned())]
    );
    assert_eq!(
        [staff.get("response_mode"), shop.get("response_mode")],
        [None, Some(&"form_post".to_owned())]
    );
    // The answer that comes as a form is taken at the provider's own redirect URI.
    let request = two.begin(&two.browser, "the-shop").await;
    let approval = two.shop.approve(request.as_str(), "alice").await.unwrap();
    let form = approval.form.expect("a form");
    let fields: Vec<_> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert!(approval.callback_url.ends_with("/auth/callback/the-shop"));
    let answer = two
        .browser
        .request(Method::POST, &approval.callback_url)
        .navigation(Site::SameSite)
        .form(&fields)
        .await;
    answer.assert_status(303).assert_no_store();
    two.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn while_one_is_down_the_other_signs_in_and_refreshes(stage: Stage) {
    let two = two(&stage).await;
    two.sign_in(&two.browser, "the-shop").await;
    two.staff.control().go_down().await;
    let down = two.browser.fresh();
    for _ in 0..5 {
        down.navigate("/auth/login?provider=staff")
            .await
            .assert_unavailable();
    }
    two.sign_in(&down, "the-shop").await;
    two.browser.assert_signed_in_as("alice").await;
}

pub(crate) async fn a_session_of_a_provider_that_is_gone_is_signed_out(stage: Stage) {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("sessions.db").display());
    let two = two_with(&stage, |environment| environment.set("AUTH_STORE", &store)).await;
    two.sign_in(&two.browser, "the-shop").await;
    let alone = environment(&stage, &two.staff, &two.shop)
        .set("AUTH_STORE", &store)
        .set("AUTH_PROVIDERS", "staff");
    let app = stage.start(&alone).await;
    let moved = two.browser.copy();
    moved.moved_to(app.address());
    moved.assert_signed_out().await;
    assert_eq!(moved.navigate("/profile").await.location().path(), "/auth/login");
    // With one provider only there is nothing to choose.
    let login = moved.navigate("/auth/login").await.location();
    assert!(login.as_str().starts_with(two.staff.issuer()));
    // It has not ended: the application that still knows the provider serves it.
    moved.moved_to(two.app.address());
    moved.assert_signed_in_as("alice").await;
}

pub(crate) async fn two_hundred_sign_ins_at_both_keep_apart(stage: Stage) {
    let two = two(&stage).await;
    let sign_ins = (0..200).map(|number| {
        let (two, browser) = (&two, two.browser.fresh());
        async move {
            let name = ["staff", "the-shop"][number % 2];
            two.sign_in(&browser, name).await;
            assert_eq!(
                browser.session().await["user"]["iss"],
                two.provider(name).issuer(),
                "{number}"
            );
        }
    });
    join_all(sign_ins).await;
    assert_eq!(two.counts(Endpoint::Token), [100, 100]);
}
