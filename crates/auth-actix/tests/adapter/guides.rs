//! Five guides that people come from, performed step by step: a case per guide, its steps in the guide's order, on a small
//! application that is written as the guide has it (`guides_app`), on both frameworks and with both carriers.
//!
//! | guide | step of the guide | where |
//! | --- | --- | --- |
//! | 0 Passport with Asgardeo | strategy with the scope `internal_login`; `verify`; `serializeUser`, `deserializeUser` | `passport_with_asgardeo`, steps 1 to 3 |
//! | | `ensureLoggedIn` and the call of `/scim2/Me` in `routes/users.js` | step 4 |
//! | 1 Auth.js with Asgardeo | `.env.local` with the endpoint `/scim2/Me` (guide 2 as well) | the API's address in `World`, `me_endpoint` of `guides_app` |
//! | | callbacks `jwt` and `session` | `auth_js_with_asgardeo`, step 1 |
//! | | `authorization.params.scope` | step 2; signing in again for it: `tests/behaviour/guides.rs` |
//! | | `server-profile/page.tsx` | step 3 |
//! | | `client-profile/page.tsx`, `withProtectedRoute` | step 4 |
//! | | `SignOutButton` | step 5 |
//! | 2 Asgardeo's Next.js SDK | `getSessionId`, `getAccessToken`, `fetchUserDetails`, `ServerProfile` | `asgardeo_s_next_js_sdk`, steps 1 to 3 |
//! | | `goToHome`, `SignOutButton` | step 4 |
//! | 3 ThunderID's Node SDK | `getAccessToken`, `fetchUserProfile` | `thunderid_s_node_sdk`, step 1 |
//! | | route with `requireAuth` | step 2 |
//! | | `Promise.all` | step 3 |
//! | | token expiry, `isSignedIn` | step 4 |
//! | | `exchangeToken` with `account_switch` | step 5 |
//! | | `revokeAccessToken` | step 6 |
//! | 4 OAuth 2.0 with Auth0 | 2, 4 session and `passport.initialize` | the layer of `guides_app` |
//! | | 3 strategy, `verify`; 5 `requiresLogin`; 6 `Authorization: Bearer` | `plain_oauth_with_auth0`, steps 3, 5 and 6 |
//!
//! What needs no code of an application's own is performed on the example applications as well: `tests/behaviour/guides.rs`.
//! Where the original is wrong, the case says so and asserts what is right.

use std::time::Duration;

use auth_core::grants::CustomGrant;
use auth_core::session::{Session, SignIn};
use auth_core::store::SessionKey;
use auth_core::{AuthBuilder, Refused};
use auth_testing::{DevProvider, Endpoint, Fault};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::guides_app;
use crate::world::{Answer, Browser, Carrier, World};

/// The guides whose applications there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guide {
    Passport,
    AuthJs,
    NextSdk,
    NodeSdk,
    Auth0,
}

const CARRIERS: [Carrier; 2] = [Carrier::Cookie, Carrier::FrameworkSession];
const ME: Endpoint = Endpoint::Api("/scim2/Me");

/// `UserDetails` of guides 1 and 2, which say that an e-mail address is a text; SCIM says that it is an object.
#[derive(Deserialize)]
pub(crate) struct UserDetails {
    emails: Vec<Value>,
    name: Name,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    given_name: String,
    family_name: String,
}

/// `ServerProfile`
pub(crate) fn server_profile_page(details: &UserDetails) -> String {
    let email = details.emails.first();
    let email = email.and_then(|email| email.as_str().or(email["value"].as_str()));
    format!(
        "<h1>Profile Page</h1><p>Email: {}</p><p>First Name: {}</p><p>Last Name: {}</p>
         <form method=post action=/go-to-index><button>Go to index page</button></form>
         <form method=post action=/auth/logout><button>Sign out</button></form>",
        email.unwrap_or_default(),
        details.name.given_name,
        details.name.family_name,
    )
}

/// What guides 1 and 2 show where the API fails.
pub(crate) const FAILED: &str = "<h1>Failed to fetch user details</h1>";

/// `Profile` of guide 1, without the token: the app attaches it.
pub(crate) const CLIENT_PROFILE: &str = r#"<h1>Profile Page</h1><p></p>
<form method="post" action="/auth/logout"><button>Sign out</button></form>
<script type="module">
const headers = { "X-CSRF": "1", Accept: "application/scim+json", "Content-Type": "application/scim+json" };
const me = await (await fetch("/proxy/api/scim2/Me", { headers })).json();
document.querySelector("p").textContent = `Email : ${me.emails?.[0]}`;
</script>"#;

async fn start(
    guide: Guide,
    carrier: Carrier,
    settings: impl FnOnce(AuthBuilder, &DevProvider) -> AuthBuilder,
) -> World {
    World::start_as(settings, |listener, auth, api| {
        guides_app::serve(listener, auth, carrier, guide, api)
    })
    .await
}

/// Where a page sends a browser that has to sign in: the way to the provider, followed.
async fn sent_to_sign_in(browser: &mut Browser<'_>, page: &str) -> Url {
    let answer = browser.open(page).await;
    assert_eq!(answer.status, 303, "{page}: {}", answer.body);
    authorization_request(browser, answer.header("location")).await
}

async fn authorization_request(browser: &mut Browser<'_>, login: &str) -> Url {
    assert!(login.contains("/auth/login"), "{login}");
    let answer = browser.open(login).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    Url::parse(answer.header("location")).unwrap()
}

fn parameter(url: &Url, name: &str) -> String {
    let mut values = url.query_pairs().filter(|(held, _)| held == name);
    values
        .next()
        .unwrap_or_else(|| panic!("no {name} in {url}"))
        .1
        .into_owned()
}

/// The user approves; the callback's answer.
async fn approve(world: &World, browser: &mut Browser<'_>, request: &Url) -> Answer {
    let approval = world.provider.approve(request.as_str(), "ada").await.unwrap();
    browser.open(&approval.callback_url).await
}

/// No token that the provider has given out, and no secret, stands in an answer.
fn assert_no_token(world: &World, answer: &Answer) {
    for secret in world.provider.control().issued_secrets() {
        assert!(!answer.body.contains(&secret), "a token: {}", answer.body);
    }
}

/// The API was asked as the guides ask it.
fn assert_asked_for_scim(world: &World) {
    let request = world.provider.control().requests(ME).pop().unwrap();
    for name in ["accept", "content-type"] {
        assert_eq!(request.header(name), Some("application/scim+json"), "{name}");
    }
    assert!(request.header("authorization").unwrap().starts_with("Bearer "));
}

/// What `serializeUser` keeps: everything but the access token, which the library keeps.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SerializedUser {
    id: String,
    username: String,
    given_name: String,
    family_name: String,
}

/// `verify` of guide 0.
async fn verify(mut sign_in: SignIn) -> Result<SignIn, Refused> {
    let profile = sign_in
        .userinfo()
        .ok_or(Refused::because("userinfo did not answer"))?;
    let text = |claim: Option<&str>| claim.unwrap_or_default().to_owned();
    let user = SerializedUser {
        id: sign_in.subject().to_owned(),
        username: text(profile.preferred_username()),
        given_name: text(profile.given_name()),
        family_name: text(profile.family_name()),
    };
    sign_in
        .set_app(&user)
        .map_err(|_| Refused::because("the user cannot be kept"))?;
    Ok(sign_in)
}

#[tokio::test]
async fn passport_with_asgardeo() {
    for carrier in CARRIERS {
        let world = start(Guide::Passport, carrier, |auth, provider| {
            // `scope: ["profile internal_login"]`; `openid` comes by itself.
            auth.issuer(provider.issuer())
                .scopes("profile internal_login")
                .on_sign_in(verify)
        })
        .await;
        let mut browser = world.browser();

        // 1. The strategy: issuer, endpoints, client, scope. `ensureLoggedIn` sends to it.
        let request = sent_to_sign_in(&mut browser, "/users?tab=2").await;
        assert_eq!(parameter(&request, "scope"), "openid profile internal_login");
        assert!(request.as_str().starts_with(world.provider.issuer()));
        // There, another tab would have taken the only slot for a `state`.
        let other = sent_to_sign_in(&mut browser, "/users").await;

        // 2. `verify`, with the access token and the profile of userinfo.
        let answer = approve(&world, &mut browser, &request).await;
        assert_eq!(answer.status, 303);
        // Passport has lost `returnTo` since 0.6.
        assert_eq!(answer.header("location"), "/users?tab=2");
        assert_eq!(approve(&world, &mut browser, &other).await.status, 303);

        // 3. `serializeUser` and `deserializeUser`.
        let user = browser.script("/user").await;
        assert_eq!(
            user.json(),
            json!({"id": "ada", "username": "ada", "givenName": "Ada", "familyName": "Archer"})
        );
        assert_no_token(&world, &user);

        // 4. `routes/users.js`: the SCIM 2 API is called with the token.
        let answer = browser.open("/users?tab=2").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "This is a protected resource")
        );
        assert_asked_for_scim(&world);
        // There, a failure is logged and answered with 200.
        world.provider.control().fail(ME, Fault::status(500));
        assert_eq!(browser.open("/users").await.status, 502);

        // There, nobody looks at the ID token's signature.
        world.provider.control().unsigned_id_token(true);
        let mut stranger = world.browser();
        let request = sent_to_sign_in(&mut stranger, "/users").await;
        let answer = approve(&world, &mut stranger, &request).await;
        assert_eq!(answer.status, 502, "{carrier:?}");
        assert_eq!(stranger.script("/user").await.status, 401);
    }
}

/// The `jwt` callback of guide 1.
async fn jwt(mut sign_in: SignIn) -> Result<SignIn, Refused> {
    let username = sign_in.claims().preferred_username().map(str::to_owned);
    sign_in.keep_claims(["email", "given_name", "family_name"]);
    sign_in.set_claim("username", username);
    Ok(sign_in)
}

/// The `session` callback of guide 1. There, the e-mail address becomes the user name.
fn session(session: &Session, mut shown: Value) -> Value {
    let claims = session.claims();
    shown["user"] = json!({
        "username": claims.str("username"),
        "email": claims.email(),
        "given_name": claims.given_name(),
        "family_name": claims.family_name(),
    });
    shown
}

#[tokio::test]
async fn auth_js_with_asgardeo() {
    for carrier in CARRIERS {
        let world = start(Guide::AuthJs, carrier, |auth, provider| {
            auth.issuer(provider.issuer())
                .scopes("openid profile email internal_login")
                .on_sign_in(jwt)
                .session_view(session)
        })
        .await;
        let mut browser = world.browser();
        // `if (!session) return`
        let nobody = browser.open("/server-profile").await;
        assert_eq!((nobody.status, nobody.body.as_str()), (200, ""));

        let request = authorization_request(&mut browser, "/auth/login?return_to=/server-profile").await;
        let answer = approve(&world, &mut browser, &request).await;
        assert_eq!(answer.header("location"), "/server-profile");

        // 1. What the callbacks `jwt` and `session` expose. There, both tokens go to the browser.
        let shown = browser.script("/auth/session").await;
        assert_eq!(
            shown.json()["user"],
            json!({
                "username": "ada", "email": "ada@example.com", "given_name": "Ada", "family_name": "Archer"
            })
        );
        assert_no_token(&world, &shown);

        // 2. The scope of the authorize request, and that this sign-in has it.
        assert_eq!(
            parameter(&request, "scope"),
            "openid profile email internal_login"
        );
        let granted = shown.json()["scopes"].clone();
        assert!(
            granted.as_array().unwrap().contains(&json!("internal_login")),
            "{granted}"
        );

        // 3. From the server side.
        let page = browser.open("/server-profile").await;
        assert_eq!(page.status, 200);
        for text in [
            "Email: ada@example.com",
            "First Name: Ada",
            "Last Name: Archer",
            "/auth/logout",
        ] {
            assert!(page.body.contains(text), "{text}: {}", page.body);
        }
        assert_no_token(&world, &page);
        assert_asked_for_scim(&world);
        let index = browser.post("/go-to-index").await;
        assert_eq!((index.status, index.header("location")), (303, "/"));

        // 4. From the client side: the page's script asks, and never sees a token.
        let mut stranger = world.browser();
        let away = stranger.open("/client-profile").await;
        assert_eq!((away.status, away.header("location")), (303, "/"));
        let page = browser.open("/client-profile").await;
        assert!(page.body.contains("/proxy/api/scim2/Me"), "{}", page.body);
        let headers = [
            ("x-csrf", "1"),
            ("accept", "application/scim+json"),
            ("content-type", "application/scim+json"),
        ];
        let me = browser
            .send(Method::GET, "/proxy/api/scim2/Me", &headers, "")
            .await;
        assert_eq!(
            (me.status, &me.json()["emails"][0]),
            (200, &json!("ada@example.com"))
        );
        assert_no_token(&world, &me);
        assert_asked_for_scim(&world);
        // `Failed to fetch user details`
        world.provider.control().fail(ME, Fault::status(500));
        assert_eq!(browser.open("/server-profile").await.status, 502);

        // 5. `SignOutButton`. There, the session ended only where the browser came back.
        let answer = browser.post("/auth/logout").await;
        let end_session = Url::parse(answer.header("location")).unwrap();
        assert!(end_session.as_str().starts_with(world.provider.issuer()));
        assert!(!parameter(&end_session, "id_token_hint").is_empty());
        let shown = browser.script("/auth/session").await.json();
        assert_eq!(shown, json!({"authenticated": false}), "{carrier:?}");
    }
}

#[tokio::test]
async fn asgardeo_s_next_js_sdk() {
    for carrier in CARRIERS {
        let world = start(Guide::NextSdk, carrier, |auth, provider| {
            auth.issuer(provider.issuer())
                .scopes("openid profile internal_login offline_access")
        })
        .await;
        let mut browser = world.browser();

        // 1. `getSessionId`: nobody has one who has not signed in. There, `code` and `state` of anybody's opened the page.
        for path in ["/server-profile", "/server-profile?code=made&state=up"] {
            let nobody = browser.open(path).await;
            assert_eq!((nobody.status, nobody.body.as_str()), (200, ""), "{path}");
        }
        browser.sign_in("/server-profile").await;
        // It names the session, and opens none: the cookie is another text.
        let key = browser.script("/session-id").await.body;
        assert!(browser.cookies.values().all(|cookie| !cookie.contains(&key)));

        // 2. `getAccessToken(sessionId)`, and 3. `fetchUserDetails` with a client of the app's own.
        let page = browser.open("/server-profile").await;
        for text in ["Email: ada@example.com", "First Name: Ada", "Last Name: Archer"] {
            assert!(page.body.contains(text), "{text}: {}", page.body);
        }
        assert_no_token(&world, &page);
        assert_asked_for_scim(&world);
        // There, a token is given out although it has expired.
        world.clock.advance(Duration::from_secs(2 * 3600));
        assert_eq!(browser.open("/server-profile").await.status, 200);
        let control = world.provider.control();
        assert_eq!(
            (control.refresh_count(), control.reuse_count()),
            (1, 0),
            "{carrier:?}"
        );
        let tokens = control.requests(ME);
        assert_ne!(
            tokens[0].header("authorization"),
            tokens[1].header("authorization")
        );
        control.fail_next(ME, 1, Fault::status(500));
        let failed = browser.open("/server-profile").await;
        assert_eq!(failed.status, 502);
        assert!(
            failed.body.contains("Failed to fetch user details"),
            "{}",
            failed.body
        );

        // 4. `goToHome` and `SignOutButton`.
        let home = browser.post("/go-to-index").await;
        assert_eq!((home.status, home.header("location")), (303, "/"));
        browser.post("/auth/logout").await;
        assert_eq!(browser.open("/server-profile").await.body, "");
    }
}

/// `exchangeToken` of guide 3. The placeholder stands for `currentAccessToken`; that demo provider has to be told which account.
pub(crate) fn account_switch() -> CustomGrant {
    CustomGrant::new("account_switch")
        .template("client_id", "{{clientId}}")
        .param("scope", "openid profile")
        .template("token", "{{accessToken}}")
        .param("account", "bob")
        .changes_user()
}

#[tokio::test]
async fn thunderid_s_node_sdk() {
    for carrier in CARRIERS {
        let world = start(Guide::NodeSdk, carrier, |auth, provider| {
            auth.issuer(provider.issuer())
        })
        .await;
        let control = world.provider.control();
        let mut browser = world.browser();

        // Prerequisites: the user is signed in. There, `state` is a constant, and there is no nonce.
        let request = sent_to_sign_in(&mut browser, "/profile").await;
        assert!(parameter(&request, "state").len() >= 32 && !parameter(&request, "nonce").is_empty());
        let answer = approve(&world, &mut browser, &request).await;
        assert_eq!(answer.header("location"), "/profile");

        // 1. `fetchUserProfile(sessionId)`.
        assert_eq!(browser.script("/profile").await.json()["id"], "ada");
        let asked = control.requests(Endpoint::Api("/users/me")).pop().unwrap();
        assert_eq!(asked.header("content-type"), Some("application/json"));

        // 2. A route that requires authentication; `Failed to load profile.`
        assert_eq!(world.browser().script("/profile").await.status, 401);
        control.fail_next(Endpoint::Api("/users/me"), 1, Fault::status(503));
        assert_eq!(browser.open("/profile").await.status, 502);

        // 3. `Promise.all`: both calls are under way at once.
        let paths = ["/users/me", "/organizations"];
        let held = paths.map(|path| control.hold(Endpoint::Api(path)));
        let (both, ()) = tokio::join!(browser.script("/dashboard"), async {
            for call in &held {
                call.waiting(1).await.unwrap();
            }
            held.into_iter().for_each(auth_testing::Hold::release);
        });
        let both = both.json();
        assert!(
            both["profile"]["id"] == "ada" && both["organizations"].is_array(),
            "{both}"
        );

        // 4. Token expiry: in a route nothing has to be done.
        world.clock.advance(Duration::from_secs(2 * 3600));
        assert_eq!(browser.script("/profile").await.status, 200);
        assert_eq!(control.refresh_count(), 1);
        // Outside of one: `isSignedIn`, which there never refreshes, then `getAccessToken`.
        let key: SessionKey = browser.script("/session-id").await.body.parse().unwrap();
        world.clock.advance(Duration::from_secs(2 * 3600));
        assert!(world.auth.is_signed_in(&key).await.unwrap());
        assert_eq!((control.refresh_count(), control.reuse_count()), (2, 0));
        let session = world.auth.signed_in(&key).await.unwrap();
        let token = world.auth.access_token(&session).await.unwrap();
        assert!(
            control
                .issued_secrets()
                .iter()
                .any(|issued| issued == token.expose())
        );
        assert_eq!(control.refresh_count(), 2);

        // 5. `exchangeToken` with `returnsSession`. There, a text of the user's could add parameters.
        let old = browser.cookies.clone();
        assert_eq!(browser.post("/switch-account").await.body, "bob");
        let sent = control.requests(Endpoint::Token).pop().unwrap();
        assert_eq!(
            (sent.form("grant_type"), sent.form("scope"), sent.form("token")),
            (
                Some("account_switch"),
                Some("openid profile"),
                Some(token.expose())
            )
        );
        assert_eq!(browser.script("/profile").await.json()["id"], "bob");
        // The old identifier is of no use any more, nor is the old key.
        let mut thief = world.browser();
        thief.cookies = old;
        assert_eq!(thief.script("/profile").await.status, 401, "{carrier:?}");
        assert!(!world.auth.is_signed_in(&key).await.unwrap());

        // 6. `revokeAccessToken`: there and here.
        let key: SessionKey = browser.script("/session-id").await.body.parse().unwrap();
        let session = world.auth.signed_in(&key).await.unwrap();
        let token = world.auth.access_token(&session).await.unwrap();
        assert_eq!(browser.post("/revoke").await.status, 204);
        let revoked = control.requests(Endpoint::Revoke).pop().unwrap();
        assert_eq!(
            (revoked.form("token"), revoked.form("token_type_hint")),
            (Some(token.expose()), Some("access_token"))
        );
        // There is nothing to get another one with, so nobody is signed in.
        assert_eq!(browser.script("/profile").await.status, 401);
        assert!(!world.auth.is_signed_in(&key).await.unwrap());

        // There, a sign-out leaves the tokens where they are.
        browser.sign_in("/").await;
        let key: SessionKey = browser.script("/session-id").await.body.parse().unwrap();
        assert!(world.auth.is_signed_in(&key).await.unwrap());
        browser.post("/auth/logout").await;
        assert!(!world.auth.is_signed_in(&key).await.unwrap());
    }
}

#[tokio::test]
async fn plain_oauth_with_auth0() {
    for carrier in CARRIERS {
        let world = start(Guide::Auth0, carrier, |auth, provider| {
            let at = |path: &str| format!("{}{path}", provider.issuer());
            auth.endpoints(at("/authorize"), at("/token"))
                .scopes("offline_access")
                // `jwt.decode(accessToken)`, with the check that is missing there.
                .user_from_access_token(provider.issuer(), at("/jwks"), provider.api_url())
        })
        .await;
        let control = world.provider.control();
        let mut browser = world.browser();

        // 3. The strategy's two URLs. There, it sends neither `state` nor a challenge.
        let request = authorization_request(&mut browser, "/auth/login?return_to=/appointments").await;
        assert_eq!(parameter(&request, "code_challenge_method"), "S256");
        // There, a code of the attacker's signs the victim in.
        let stolen = world.provider.approve(request.as_str(), "bob").await.unwrap();
        let mut victim = world.browser();
        assert_eq!(victim.open(&stolen.callback_url).await.status, 400);
        assert_eq!(victim.open("/appointments").await.header("location"), "/");
        let request = authorization_request(&mut browser, "/auth/login?return_to=/appointments").await;
        let answer = approve(&world, &mut browser, &request).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/appointments"));
        // `skipUserProfile: true`
        assert_eq!(control.count(Endpoint::Userinfo), 0);

        // 5. `requiresLogin` sends home whoever is not signed in, without a way back.
        let away = world.browser().open("/appointments").await;
        assert_eq!((away.status, away.header("location")), (303, "/"));

        // 6. The access token goes along, and `appointments` is rendered with `user.id`.
        let page = browser.open("/appointments").await;
        assert_eq!(page.status, 200);
        assert!(
            page.body.starts_with("ada: ") && page.body.contains("org-1"),
            "{}",
            page.body
        );
        assert_no_token(&world, &page);
        let asked = control.requests(Endpoint::Api("/organizations")).pop().unwrap();
        assert!(asked.header("authorization").unwrap().starts_with("Bearer "));
        // There, the browser waits for ever.
        control.fail_next(Endpoint::Api("/organizations"), 1, Fault::Reset);
        assert_eq!(browser.open("/appointments").await.status, 502);

        // There, whatever stands in a token is believed.
        control.tamper_token_response(|answer| {
            let token = answer["access_token"].as_str().unwrap();
            let (signed, _) = token.rsplit_once('.').unwrap();
            answer["access_token"] = json!(format!("{signed}.AAAA"));
        });
        let mut stranger = world.browser();
        let request = authorization_request(&mut stranger, "/auth/login").await;
        let answer = approve(&world, &mut stranger, &request).await;
        assert_eq!(answer.status, 502, "{carrier:?}");
        assert_eq!(stranger.open("/appointments").await.header("location"), "/");
    }
}
