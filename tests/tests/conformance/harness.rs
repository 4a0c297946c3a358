//! What every module needs: the relying party under test, and a provider that bends one thing at a time.
//!
//! The Foundation's suite sees only which requests reach its provider. Here the application is seen as well: a refusal is a page with a stable
//! code, nobody is signed in, and the provider is asked nothing further with what came of the bad answer.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use auth_core::jose::SigningKey;
use auth_testing::{Client, Control, DevProviderBuilder, Endpoint, Fault, PublicKey, SigningAlgorithm, Wire};
use auth_tests::stage::{BASE, CLIENT_ID, CLIENT_SECRET, Environment, HTTPS_BASE};
use auth_tests::{Answer, Browser, Carrier, Framework, Site, Stage, World};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use url::Url;

/// Who signs in.
pub(crate) const USER: &str = "alice";

/// The suite's variant `response_mode`: how the authorization response comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseMode {
    /// In the redirect's query, `default` there.
    Query,
    /// In a form that the provider's page posts, from another site.
    FormPost,
}

/// What a module is run with.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    /// Framework, secrets and processes of the module.
    pub(crate) stage: Stage,
    mode: ResponseMode,
}

/// The last request that a sign-in may make before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// None: the authorization response itself is refused.
    Response,
    /// The token request.
    Token,
    /// The userinfo request.
    Userinfo,
}

/// A relying party and its provider.
#[derive(Debug)]
pub(crate) struct Rp {
    /// Provider, application and browser.
    pub(crate) world: World,
    mode: ResponseMode,
    /// Where the client's key lies.
    key: Option<TempDir>,
}

impl Suite {
    /// Runs a module. Afterwards nothing secret may stand in what the application printed.
    pub(crate) async fn run<F: Future<Output = ()>>(
        framework: Framework,
        mode: ResponseMode,
        module: impl FnOnce(Self) -> F,
    ) {
        Stage::run(framework, Carrier::Cookie, |stage| module(Self { stage, mode })).await;
    }

    /// The relying party with the usual settings.
    pub(crate) async fn start(&self) -> Rp {
        self.start_with(|provider| provider, |settings| settings).await
    }

    /// The relying party with other settings.
    pub(crate) async fn start_set(&self, settings: impl FnOnce(Environment) -> Environment) -> Rp {
        self.start_with(|provider| provider, settings).await
    }

    /// The relying party that pushes its requests and has the responses signed (JARM), as FAPI 2.0 Message Signing has it.
    pub(crate) async fn start_jarm(&self) -> Rp {
        self.start_set(|settings| {
            settings
                .set("AUTH_PAR", "always")
                .set("AUTH_RESPONSE_MODE", "jwt")
        })
        .await
    }

    /// The relying party as the FAPI 2.0 Security Profile has it, with a key of its own.
    pub(crate) async fn start_fapi2(&self) -> Rp {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.pem");
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let pem = STANDARD.encode(key.to_pkcs8v1().unwrap().as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
        std::fs::write(&path, &pem).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap().public_jwk();
        let client = Client::private_key_jwt(CLIENT_ID, PublicKey::from_jwk(&key).unwrap());
        let mut rp = self
            .start_of(
                client,
                |provider| provider.signing_algorithm(SigningAlgorithm::Es256),
                |settings| {
                    settings
                        .unset("AUTH_CLIENT_SECRET")
                        .set("AUTH_PROFILE", "fapi2_security")
                        .set("AUTH_CLIENT_KEY", path.display())
                },
            )
            .await;
        rp.control().require_pushed_requests(true);
        rp.key = Some(folder);
        rp
    }

    /// The relying party with another provider and other settings.
    pub(crate) async fn start_with(
        &self,
        provider: impl FnOnce(DevProviderBuilder) -> DevProviderBuilder,
        settings: impl FnOnce(Environment) -> Environment,
    ) -> Rp {
        self.start_of(Client::confidential(CLIENT_ID, CLIENT_SECRET), provider, settings)
            .await
    }

    async fn start_of(
        &self,
        client: Client,
        provider: impl FnOnce(DevProviderBuilder) -> DevProviderBuilder,
        settings: impl FnOnce(Environment) -> Environment,
    ) -> Rp {
        // A form from another site brings a cookie of this attempt only where there is https.
        let base = match self.mode {
            ResponseMode::Query => BASE,
            ResponseMode::FormPost => HTTPS_BASE,
        };
        let builder = provider(self.stage.provider_for(client, base));
        let world = self
            .stage
            .world_of(builder, |environment| {
                let environment = environment.set("AUTH_BASE_URL", base);
                settings(match self.mode {
                    ResponseMode::Query => environment,
                    ResponseMode::FormPost => environment.set("AUTH_RESPONSE_MODE", "form_post"),
                })
            })
            .await;
        Rp {
            world,
            mode: self.mode,
            key: None,
        }
    }
}

/// The provider bends.
impl Rp {
    pub(crate) fn control(&self) -> &Control {
        self.world.provider.control()
    }

    pub(crate) fn issuer(&self) -> String {
        self.world.provider.issuer().to_owned()
    }

    /// Sets a claim of all coming ID tokens, and changes nothing else of them; `null` removes it.
    pub(crate) fn id_token_claim(&self, name: &'static str, value: Value) {
        self.control()
            .tamper_id_token(move |_: &mut Map<_, _>, claims: &mut Map<_, _>| set(claims, name, &value));
    }

    /// Sets a claim of all coming signed authorization responses, and signs them again; `null` removes it.
    pub(crate) fn response_claim(&self, name: &'static str, value: Value) {
        let control = self.control().clone();
        self.forge_response(move |good| {
            let payload = URL_SAFE_NO_PAD.decode(good.split('.').nth(1).unwrap()).unwrap();
            let mut claims: Map<String, Value> = serde_json::from_slice(&payload).unwrap();
            set(&mut claims, name, &value);
            control.sign_jwt("JWT", &claims)
        });
    }

    /// Puts another token in the place of all coming signed authorization responses.
    pub(crate) fn forge_response(&self, forge: impl Fn(&str) -> String + Send + Sync + 'static) {
        self.control()
            .tamper_callback(move |parameters: &mut Vec<(String, String)>| {
                let (name, response) = &mut parameters[0];
                assert_eq!(name, "response");
                *response = forge(response);
            });
    }

    /// Sets a parameter of all coming authorization responses; `None` removes it.
    pub(crate) fn response_parameter(&self, name: &'static str, value: Option<&'static str>) {
        self.control()
            .tamper_callback(move |parameters: &mut Vec<(String, String)>| {
                parameters.retain(|(held, _)| held != name);
                parameters.extend(value.map(|value| (name.to_owned(), value.to_owned())));
            });
    }

    /// Sets a member of the discovery document. The application keeps the document, so this comes before its first request.
    pub(crate) fn discovery_member(&self, name: &'static str, value: Value) {
        self.control()
            .tamper_discovery(move |document: &mut Map<_, _>| set(document, name, &value));
    }

    /// Sets a claim of all coming userinfo answers; `null` removes it.
    pub(crate) fn userinfo_claim(&self, name: &'static str, value: Value) {
        self.control()
            .tamper_userinfo(move |claims: &mut Map<_, _>| set(claims, name, &value));
    }
}

/// What the modules of FAPI 2.0 look at.
pub(crate) struct Fapi;

impl Fapi {
    /// Header and claims of a JWT that the relying party has made.
    pub(crate) fn parts(token: &str) -> (Value, Value) {
        let mut parts = token
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default());
        let mut part = || serde_json::from_slice(&parts.next().unwrap()).unwrap_or_default();
        (part(), part())
    }

    /// An API's demand for a proof with this nonce (RFC 9449 §9), its scheme spelt so.
    pub(crate) fn nonce_challenge(scheme: &str, nonce: &str) -> Fault {
        Fault::Wire(Wire::close_after(format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {scheme} error=\"use_dpop_nonce\"\r\nDPoP-Nonce: {nonce}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )))
    }
}

/// Sets a member; `null` removes it.
pub(crate) fn set(object: &mut Map<String, Value>, name: &str, value: &Value) {
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), value.clone());
    }
}

/// A user signs in.
impl Rp {
    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        self.world.browser.fresh()
    }

    /// The authorization request.
    pub(crate) async fn begin(&self, browser: &Browser) -> Url {
        self.world.begin(browser, "/auth/login").await
    }

    /// Lets the user approve, and brings the authorization response to the application in the plan's response mode.
    pub(crate) async fn finish(&self, browser: &Browser, request: &Url) -> Answer {
        let approval = self
            .world
            .provider
            .approve(request.as_str(), USER)
            .await
            .expect("the provider knows the client and the redirect URI");
        match (self.mode, approval.form) {
            (ResponseMode::Query, None) => {
                let callback = Url::parse(&approval.callback_url).unwrap();
                self.world.callback(browser, &callback).await
            }
            (ResponseMode::FormPost, Some(form)) => {
                let fields: Vec<_> = form
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                browser
                    .request(Method::POST, &approval.callback_url)
                    .navigation(Site::CrossSite)
                    .form(&fields)
                    .await
            }
            (mode, form) => panic!("{mode:?} was to be asked for; a form came: {}", form.is_some()),
        }
    }

    /// The sign-in succeeds. Gives the browser that is signed in now.
    #[track_caller]
    pub(crate) fn accepts(&self) -> impl Future<Output = Browser> {
        let caller = Location::caller();
        async move {
            let browser = self.browser();
            let request = self.begin(&browser).await;
            let answer = self.finish(&browser, &request).await;
            assert!(
                matches!(answer.status, 302 | 303),
                "at {caller}: {}",
                answer.describe()
            );
            browser.assert_signed_in_as(USER).await;
            browser
        }
    }

    /// The sign-in is refused with this code, after `last` and no further request: a page, and nobody is signed in.
    #[track_caller]
    pub(crate) fn refuses(&self, code: &'static str, last: Last) -> impl Future<Output = Answer> {
        let caller = Location::caller();
        async move {
            let browser = self.browser();
            let request = self.begin(&browser).await;
            let before = self.asked();
            let answer = self.finish(&browser, &request).await;
            assert!(answer.status >= 400, "at {caller}: {}", answer.describe());
            assert_eq!(
                answer.assert_failure(400..=599),
                code,
                "at {caller}: {}",
                answer.describe()
            );
            let (token, userinfo) = match last {
                Last::Response => (0, 0),
                Last::Token => (1, 0),
                Last::Userinfo => (1, 1),
            };
            let after = self.asked();
            assert_eq!(
                (after.0 - before.0, after.1 - before.1),
                (token, userinfo),
                "requests to the token endpoint and to userinfo, at {caller}"
            );
            for secret in self.control().issued_secrets() {
                assert!(!answer.body.contains(&secret), "a token on the page, at {caller}");
            }
            browser
                .navigate(&format!("/auth/errors/{code}"))
                .await
                .assert_status(200);
            browser.assert_signed_out().await;
            answer
        }
    }

    /// How often the token endpoint and userinfo were asked.
    fn asked(&self) -> (u64, u64) {
        let control = self.control();
        (control.count(Endpoint::Token), control.count(Endpoint::Userinfo))
    }

    /// The parameters of the latest authorization request, as the provider saw them.
    pub(crate) fn authorization_parameter(&self, name: &str) -> Option<String> {
        let requests = self.control().requests(Endpoint::Authorize);
        requests.last().expect("an authorization request").query(name)
    }
}

/// A user who is signed in comes back when the access token is dead.
impl Rp {
    /// A browser that is signed in, with an access token that has to be refreshed before it serves.
    pub(crate) async fn signed_in_with_a_dead_token(&self) -> Browser {
        let browser = self.browser();
        let request = self.begin(&browser).await;
        self.control().next_access_token_lifetime(Duration::ZERO);
        self.finish(&browser, &request).await.assert_redirect();
        browser
    }

    /// With the provider bent after the sign-in, the refresh ends the session, and nothing that came of it reaches the API or userinfo.
    #[track_caller]
    pub(crate) fn refuses_the_refresh(&self, bend: impl FnOnce(&Self)) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let control = self.control();
            let browser = self.signed_in_with_a_dead_token().await;
            let asked = || (control.count(API), control.count(Endpoint::Userinfo));
            let (before, refreshes) = (asked(), control.refresh_count());
            bend(self);
            let answer = browser.fetch("/api/me").await;
            assert_eq!(answer.status, 401, "at {caller}: {}", answer.describe());
            answer.assert_problem(401);
            browser.assert_signed_out().await;
            assert_eq!(
                asked(),
                before,
                "requests to the API and to userinfo, at {caller}"
            );
            assert_eq!(control.refresh_count(), refreshes + 1, "at {caller}");
            control.clear_tampering();
        }
    }

    /// With the provider bent after the sign-in, the refresh succeeds, and the API is called with the new access token.
    #[track_caller]
    pub(crate) fn accepts_the_refresh(&self, bend: impl FnOnce(&Self)) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let control = self.control();
            let browser = self.signed_in_with_a_dead_token().await;
            let (known, refreshes) = (control.issued_secrets(), control.refresh_count());
            bend(self);
            let answer = browser.fetch("/api/me").await;
            assert_eq!(answer.status, 200, "at {caller}: {}", answer.describe());
            let calls = control.requests(API);
            let header = calls.last().and_then(|call| call.header("authorization"));
            let token = header
                .and_then(|header| header.strip_prefix("Bearer "))
                .expect("an access token");
            assert!(
                !known.iter().any(|secret| secret == token),
                "the old token, at {caller}"
            );
            assert_eq!(control.refresh_count(), refreshes + 1, "at {caller}");
            browser.assert_signed_in_as(USER).await;
            control.clear_tampering();
        }
    }
}

/// Where `/api/me` gets its answer.
const API: Endpoint = Endpoint::Api("/scim2/Me");

const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The provider tells of a sign-out (Back-Channel Logout 1.0 §2.5).
impl Rp {
    /// The claims of a good logout token for this browser's session.
    pub(crate) async fn logout_claims(&self, browser: &Browser) -> Map<String, Value> {
        let now = auth_tests::jar::unix_now();
        let sid = self.sid(browser).await;
        let claims = json!({
            "iss": self.issuer(),
            "sub": USER,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": format!("logout of {sid}"),
            "events": {LOGOUT_EVENT: {}},
            "sid": sid,
        });
        claims.as_object().unwrap().clone()
    }

    /// A logout token with these claims, signed with the provider's key.
    pub(crate) fn sign(&self, claims: &Map<String, Value>) -> String {
        self.control().sign_jwt("logout+jwt", claims)
    }

    /// Sends a logout token, as the provider does.
    pub(crate) async fn tells(&self, logout_token: &str) -> Answer {
        let request = self.browser().request(Method::POST, "/auth/backchannel-logout");
        request.form(&[("logout_token", logout_token)]).await
    }

    /// This logout token is refused with 400, and the session goes on. Its twin without the fault ends it.
    pub(crate) async fn refuses_to_sign_out(&self, browser: &Browser, bad: &str) {
        let answer = self.tells(bad).await;
        answer.assert_status(400).assert_no_store();
        assert_eq!(answer.json()["error"], "invalid_request");
        browser.assert_signed_in_as(USER).await;
        self.signs_out(browser).await;
    }

    /// A good logout token is accepted, and the session is over.
    pub(crate) async fn signs_out(&self, browser: &Browser) {
        let good = self.sign(&self.logout_claims(browser).await);
        self.tells(&good).await.assert_status(200).assert_no_store();
        browser.assert_signed_out().await;
    }

    /// A frame in the provider's page that names this session, and this issuer (Front-Channel Logout 1.0 §2).
    pub(crate) async fn shows_a_frame(&self, iss: &str, sid: &str) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("iss", iss), ("sid", sid)])
            .finish();
        let address = format!("/auth/frontchannel-logout?{query}");
        self.browser().navigate(&address).site(Site::CrossSite).await
    }

    /// The provider's name of this browser's session.
    pub(crate) async fn sid(&self, browser: &Browser) -> String {
        browser.session().await["user"]["sid"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}
