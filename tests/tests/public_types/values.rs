//! A value of each public type that can hold a secret, made on the way through a sign-in, a session's life and every failure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_axum::AuthExt as _;
use auth_core::bearer::{BearerRequest, IntrospectionClient, PeerCertificate, ResourceServer};
use auth_core::clock::{TestClock, Timestamp};
use auth_core::grants::{
    ClientCredentials, CustomGrant, FurtherProvider, Presented, TokenExchange, TokenType,
};
use auth_core::jose::SigningKey;
use auth_core::login::LoginError;
use auth_core::proxy::{Proxy, ProxyBody, ProxyRequest, Rest, Upgrade};
use auth_core::refresh::RefreshError;
use auth_core::reply::{ReplyBody, SessionChange};
use auth_core::request::{RequestHead, RouteRequest};
use auth_core::secret::{
    AccessToken, AuthorizationCode, ClientSecret, CodeVerifier, IdToken, RefreshToken, SecurityToken,
    SessionId,
};
use auth_core::session::{Session, SignIn};
use auth_core::store::{
    Inserted, LeaseOwner, MemoryStore, PostgresStore, RedisStore, ScanCursor, SessionStore as _, SqliteStore,
    StoreError,
};
use auth_core::testing::{Network, NoAnswer};
use auth_core::{Auth, AuthBuilder, Error, Outage, ProviderError, Refused, SecretKeys, SignInProvider};
use auth_doctor::{Depth, Options, Variables, examine};
use auth_testing::mtls::{Authority, Gateway};
use auth_testing::servers::{PostgresServer, RedisServer};
use auth_testing::{ApiAnswer, Client, DevProvider, Endpoint, Fault, TestAuth};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::Shown;

const BASE: &str = "http://127.0.0.1:3000";
const CLIENT_SECRET: &str = "the-client-secret-0123456789-abcdef";
const KEY: &str = "8f1d2c3b4a5968778695a4b3c2d1e0f08f1d2c3b4a5968778695a4b3c2d1e0f1";
const PASSWORD: &str = "the-password-of-a-store-0123456789";
const PAYLOAD: &str = "what-a-user-has-told-an-api-0123456789";

struct Head {
    target: String,
    cookies: Vec<String>,
}

impl RequestHead for Head {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        match name {
            "accept" => each("text/html"),
            "cookie" => each(&self.cookies.join("; ")),
            _ => {}
        }
    }
}

/// All values, and the secrets that none of them may show.
pub(crate) async fn shown() -> (Shown, Vec<String>) {
    let mut shown = Shown::default();
    let mut secrets: Vec<String> = [CLIENT_SECRET, KEY, PASSWORD, PAYLOAD].map(str::to_owned).into();
    plain(&mut shown, &mut secrets);
    stores(&mut shown).await;
    examination(&mut shown).await;
    tests_of_handlers(&mut shown, &mut secrets).await;
    sign_in(&mut shown, &mut secrets).await;
    (shown, secrets)
}

/// Values that need no sign-in.
fn plain(shown: &mut Shown, secrets: &mut Vec<String>) {
    shown.value(&AccessToken::new(PAYLOAD));
    shown.value(&RefreshToken::new(PAYLOAD));
    shown.value(&IdToken::new(PAYLOAD));
    shown.value(&ClientSecret::new(PAYLOAD));
    shown.value(&AuthorizationCode::new(PAYLOAD));
    shown.value(&CodeVerifier::new(PAYLOAD));
    shown.value(&SecurityToken::new(PAYLOAD));
    shown.value(&SecretKeys::from_hex(KEY).unwrap());
    shown.error(&SecretKeys::from_hex(&KEY[..60]).unwrap_err());
    shown.error(&SecretKeys::from_hex(&KEY.replace('f', "g")).unwrap_err());

    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let body = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    shown.value(&SigningKey::from_pem(&pem).unwrap());
    shown.error(&SigningKey::from_pem(&pem.replace("PRIVATE", "PUBLIC")).unwrap_err());
    // The private scalar is the second half of what is not the same for each key.
    secrets.push(body);
    secrets.push(der.as_ref().iter().map(|byte| format!("{byte:02x}")).collect());

    let client = Client::confidential("types", CLIENT_SECRET);
    shown.value(&client);
    shown.value(&DevProvider::builder().client(client));
    shown.value(&RedisServer::builder().password(PASSWORD));
}

/// A set-up with secrets, examined.
async fn examination(shown: &mut Shown) {
    let mut variables = Variables::of_table([
        ("AUTH_ISSUER", "https://id.example"),
        ("AUTH_CLIENT_ID", "types"),
        ("AUTH_CLIENT_SECRET", CLIENT_SECRET),
        ("AUTH_SECRET", &KEY[..60]),
    ]);
    variables.set("AUTH_STORE", format!("mysql://app:{PASSWORD}@db.example/app"));
    shown.value(&variables);
    let options = Options {
        depth: Depth::Settings,
        ..Options::default()
    };
    let report = examine(&variables, &options).await;
    shown.value(&report.subject);
    shown.value(&report.findings[0]);
    shown.value(&report);
}

/// Stores with a password in their address, open and refused.
async fn stores(shown: &mut Shown) {
    let redis = RedisServer::builder().password(PASSWORD).start().unwrap();
    shown.value(&redis);
    shown.value(&RedisStore::open(&redis.url()).await.unwrap());
    let postgres = PostgresServer::start().unwrap();
    let with_password = |url: String| {
        let mut url = Url::parse(&url).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        url.to_string()
    };
    shown.value(&PostgresStore::open(&with_password(postgres.url())).await.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.db");
    shown.value(&SqliteStore::open(file.to_str().unwrap()).await.unwrap());
    shown.error(&SqliteStore::open("/nowhere/sessions.db").await.unwrap_err());

    let wrong = redis
        .url()
        .replace(PASSWORD, &PASSWORD.replace("password", "passw0rd"));
    shown.error(&RedisStore::open(&wrong).await.unwrap_err());
    for url in [
        format!("redis://:{PASSWORD}@127.0.0.1:1/"),
        format!("redis://:{PASSWORD}@[nonsense"),
        format!("redis://127.0.0.1:1/?password={PASSWORD}"),
        format!("rediss://user:{PASSWORD}@127.0.0.1:1/"),
        format!("postgres://user:{PASSWORD}@127.0.0.1:1/app"),
        format!("postgres://user:{PASSWORD}@[nonsense/app"),
        format!("postgres://user@127.0.0.1:1/app?password={PASSWORD}"),
        format!(
            "postgres://user:{PASSWORD}@127.0.0.1:{}/no_such_database",
            postgres.port()
        ),
        format!("mysql://user:{PASSWORD}@127.0.0.1/app"),
    ] {
        let built = Auth::builder()
            .base_url(BASE)
            .issuer("https://login.example")
            .client("types", Some(CLIENT_SECRET))
            .store_url(&url)
            .build()
            .await;
        shown.error(&built.unwrap_err());
        if url.starts_with("redis") {
            shown.error(&RedisStore::open(&url).await.unwrap_err());
        } else if url.starts_with("postgres") {
            shown.error(&PostgresStore::open(&url).await.unwrap_err());
        }
    }
}

fn builder(provider: &DevProvider, clock: &TestClock) -> AuthBuilder {
    Auth::builder()
        .base_url(BASE)
        .issuer(provider.issuer())
        .client("types", Some(CLIENT_SECRET))
        .secret(SecretKeys::from_hex(KEY).unwrap())
        .api(provider.api_url())
        .clock(clock.clock())
}

/// A sign-in, the session that comes of it, and what fails later.
async fn sign_in(shown: &mut Shown, secrets: &mut Vec<String>) {
    let clock = TestClock::new();
    let provider = DevProvider::builder()
        .clock(clock.clock())
        .client(Client::confidential("types", CLIENT_SECRET).redirect_uri(format!("{BASE}/auth/callback")))
        .start()
        .await
        .unwrap();
    shown.value(&provider);
    let control = provider.control().clone();
    shown.value(&control);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.db").to_str().unwrap().to_owned();
    let open = async || SqliteStore::open(&file).await.unwrap();
    let signing_in = Arc::new(Mutex::new(Shown::default()));
    let hook = Arc::clone(&signing_in);
    let told = Arc::clone(&signing_in);
    let builder = builder(&provider, &clock)
        .store(open().await)
        .on_event(move |event| told.lock().unwrap().value(event))
        .on_sign_in(move |sign_in: SignIn| {
            let hook = Arc::clone(&hook);
            async move {
                hook.lock().unwrap().value(&sign_in);
                Ok(sign_in)
            }
        });
    shown.value(&builder);
    let auth = builder.build().await.unwrap();
    shown.value(&auth);
    shown.value(&auth.layer());
    shown.value(&auth_actix::AuthExt::layer(&auth));
    response_future(shown, secrets, &auth);
    choices(shown, secrets).await;
    shown.value(&auth.app_session_layer().unwrap());
    shown.value(&auth.app_session_store().unwrap());
    shown.value(&auth_actix::AuthExt::app_session_layer(&auth).unwrap());
    shown.value(&auth_actix::AuthExt::app_session_store(&auth).unwrap());

    // To the provider and back.
    let reply = auth
        .login(auth.route_request(&head("/auth/login", &[]), Vec::new(), None))
        .await;
    shown.value(&reply);
    let value = |name: &str| {
        let header = reply.headers.iter().find(|(held, _)| *held == name);
        header.unwrap().1.clone()
    };
    let attempt = value("set-cookie").split(';').next().unwrap().to_owned();
    secrets.push(attempt.split_once('=').unwrap().1.to_owned());
    let location = value("location");
    for (name, value) in Url::parse(&location).unwrap().query_pairs() {
        if ["state", "nonce", "code_challenge"].contains(&&*name) {
            secrets.push(value.into_owned());
        }
    }
    let approval = provider.approve(&location, "alice").await.unwrap();
    shown.value(&approval);
    let callback = Url::parse(&approval.callback_url).unwrap();
    let target = format!("{}?{}", callback.path(), callback.query().unwrap());
    let head = head(&target, &[attempt]);
    shown.value(&auth.incoming(&head));
    let request: RouteRequest = auth.route_request(
        &head,
        target.clone().into_bytes(),
        Some(SessionId::parse(&"A".repeat(43)).unwrap()),
    );
    shown.value(&request);
    let request = auth.route_request(&head, Vec::new(), None);
    let reply = auth.callback(request).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    shown.value(&reply);
    shown.value(&reply.session);
    let SessionChange::Set { id, .. } = reply.session else {
        panic!("nobody was signed in");
    };
    shown.value(&id);
    secrets.push(id.expose().to_owned());
    // The same answer once more, in a browser that is not signed in: a page.
    let again = auth.callback(auth.route_request(&head, Vec::new(), None)).await;
    shown.value(&again);
    shown.value(&ReplyBody::from(PAYLOAD.to_owned()));
    shown.value(again.failure.as_deref().unwrap());
    shown.texts.append(&mut signing_in.lock().unwrap().texts);

    session(shown, &auth, &id).await;
    let id = grants(shown, &auth, &id).await;
    secrets.push(id.expose().to_owned());
    bearer(shown, secrets, &auth, &id, provider.api_url()).await;
    certificates(shown, secrets, &provider).await;
    records(shown, &open().await, &id, clock.clock().now()).await;
    app_sessions(shown, secrets, &auth).await;
    failures(shown, (&auth, open().await), &provider, &clock, &id).await;

    secrets.extend(control.issued_secrets());
    for (_, request) in control.all_requests() {
        shown.value(&request);
        secrets.extend(
            request
                .form
                .iter()
                .filter(|(name, _)| ["code", "code_verifier", "refresh_token"].contains(&name.as_str()))
                .map(|(_, value)| value.clone()),
        );
    }
}

fn head(target: &str, cookies: &[String]) -> Head {
    Head {
        target: target.to_owned(),
        cookies: cookies.to_vec(),
    }
}

/// A request under way, whose head waits for a page of the app's own that may be needed.
fn response_future(shown: &mut Shown, secrets: &mut Vec<String>, auth: &Auth) {
    const COOKIE: &str = "a-cookie-of-a-request-under-way-0123456789";
    secrets.push(COOKIE.to_owned());
    let router: axum::Router = axum::Router::new();
    let layer = auth
        .layer()
        .error_page(|_, _| "a page")
        .choice_page(|_, _| "another page");
    shown.value(&layer);
    let mut service = tower_layer::Layer::layer(&layer, router);
    let request = axum::http::Request::builder()
        .uri(format!("/?code={COOKIE}"))
        .header("cookie", format!("auth_session={COOKIE}"))
        .body(axum::body::Body::empty())
        .unwrap();
    shown.value(&tower_service::Service::call(&mut service, request));
}

/// The page to choose a provider on, whose links hold what the request has brought.
async fn choices(shown: &mut Shown, secrets: &mut Vec<String>) {
    const SEALED: &str = "a-sealed-demand-of-the-request-0123456789";
    secrets.push(SEALED.to_owned());
    let provider = |name: &str| {
        SignInProvider::default()
            .issuer(format!("https://{name}.example"))
            .client("types", None)
    };
    let builder = Auth::builder().base_url("http://127.0.0.1:1");
    let builder = builder
        .provider("one", provider("one"))
        .provider("other", provider("other"));
    let auth = builder.build().await.unwrap();
    let head = head(&format!("/auth/login?step_up={SEALED}&return_to=/{SEALED}"), &[]);
    let reply = auth.login(auth.route_request(&head, Vec::new(), None)).await;
    shown.value(&reply);
    let choices = reply.choices.unwrap();
    shown.value(&*choices);
    for choice in choices.iter() {
        assert!(choice.href.contains(SEALED));
        shown.value(choice);
    }
}

/// A certificate, and what demands it.
async fn certificates(shown: &mut Shown, secrets: &mut Vec<String>, provider: &DevProvider) {
    let authority = Authority::new();
    shown.value(&authority);
    let identity = authority.client("types");
    secrets.push(identity.key.clone());
    secrets.extend(identity.key.lines().nth(1).map(str::to_owned));
    shown.value(&identity);
    shown.value(&Gateway::start(&authority, provider.issuer()).await.unwrap());
    let given = |builder: AuthBuilder| builder.client_certificate_pem(&identity.certificate, &identity.key);
    shown.value(&given(Auth::builder()));
    shown.value(&PeerCertificate::from_der(identity.certificate.as_bytes()));
}

/// A request that brings the user's access token to an API of the application's own, and some that bring a bad one.
async fn bearer(shown: &mut Shown, secrets: &mut Vec<String>, auth: &Auth, id: &SessionId, api: &str) {
    const FORGED: &str = "a-token-that-somebody-has-made-up-0123456789";
    secrets.push(FORGED.to_owned());
    let session = auth.authenticate(Some(id)).await.unwrap();
    let token = auth.access_token(&session).await.unwrap();
    let client = IntrospectionClient::secret_basic("types", CLIENT_SECRET);
    shown.value(&client);
    let builder = ResourceServer::builder()
        .issuer("https://login.example")
        .audience(api)
        .secret(SecretKeys::from_hex(KEY).unwrap())
        .introspection("https://login.example/introspect", client);
    shown.value(&builder);
    let server = auth.resource_server(api).build().unwrap();
    shown.value(&server);
    let request = BearerRequest::of(&Caller(format!("Bearer {}", token.expose())));
    shown.value(&request);
    let verified = server.check(&request).await.unwrap();
    shown.value(&verified);
    shown.value(&verified.token);
    let token_of_axum = auth_axum::BearerToken(verified.token.clone());
    shown.value(&token_of_axum);
    shown.value(&auth_axum::MaybeBearer(Some(token_of_axum)));
    let token_of_actix = auth_actix::BearerToken(verified.token);
    shown.value(&token_of_actix);
    shown.value(&auth_actix::MaybeBearer(Some(token_of_actix)));
    shown.value(&auth_actix::bearer_layer(server.clone()));
    let layer = auth_axum::bearer_layer(server.clone());
    shown.value(&layer);
    for authorization in [
        format!("Bearer {FORGED}"),
        format!("Bearer {FORGED} {FORGED}"),
        format!("DPoP {}", token.expose()),
    ] {
        let error = server.verify(&Caller(authorization)).await.unwrap_err();
        shown.error(&error);
        shown.value(&server.refuse(&error));
    }

    let router: axum::Router = axum::Router::new();
    let mut service = tower_layer::Layer::layer(&layer, router);
    let request = axum::http::Request::builder()
        .header("authorization", format!("Bearer {FORGED}"))
        .body(axum::body::Body::empty())
        .unwrap();
    shown.value(&tower_service::Service::call(&mut service, request));
    let handler = actix_web::dev::fn_service(|request: actix_web::dev::ServiceRequest| {
        let response = request.into_response(actix_web::HttpResponse::Ok().finish());
        std::future::ready(Ok::<_, actix_web::Error>(response))
    });
    let layer = auth_actix::bearer_layer(server.clone());
    let service = actix_web::dev::Transform::new_transform(&layer, handler).await;
    let request = actix_web::test::TestRequest::default()
        .insert_header(("authorization", format!("Bearer {FORGED}")))
        .to_srv_request();
    shown.value(&actix_web::dev::Service::call(&service.unwrap(), request));
    // Without the layer an extractor says so itself.
    let (mut parts, ()) = axum::http::Request::new(()).into_parts();
    let extracted =
        <auth_axum::BearerToken as axum::extract::FromRequestParts<()>>::from_request_parts(&mut parts, &());
    shown.error(&extracted.await.unwrap_err());
    let request = actix_web::test::TestRequest::default().to_http_request();
    let extracted = <auth_actix::BearerToken as actix_web::FromRequest>::extract(&request);
    shown.error(&extracted.await.unwrap_err());
}

/// A caller with an access token, and a proof that is none.
struct Caller(String);

impl RequestHead for Caller {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn path(&self) -> &'static str {
        "/"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header_values(&self, name: &'static str, each: &mut dyn FnMut(&str)) {
        match name {
            "authorization" => each(&self.0),
            "dpop" => each(PAYLOAD),
            _ => {}
        }
    }
}

async fn session(shown: &mut Shown, auth: &Auth, id: &SessionId) {
    let session = auth.authenticate(Some(id)).await.unwrap();
    shown.value(&session);
    shown.value(session.claims());
    shown.value(&auth.sessions_of_user(&session).await.unwrap()[0]);
    shown.value(&auth.access_token(&session).await.unwrap());
    let client = auth.client(&session);
    shown.value(&client);
    let request = client
        .post("/echo")
        .header("x-secret", PAYLOAD)
        .json(&serde_json::json!({ "secret": PAYLOAD }));
    shown.value(&request);
    let answer = request.send().await.unwrap();
    shown.value(&answer);
    shown.error(&answer.json::<Vec<u8>>().await.unwrap_err());
    proxy(shown, auth, &session).await;

    let user = auth_axum::RequireAuth {
        claims: session.claims().clone(),
        session: session.clone(),
    };
    shown.value(&user);
    shown.value(&auth_axum::MaybeAuth(Some(user)));
    shown.value(&auth_axum::PeekSession(Some(session.clone())));
    shown.value(&auth_axum::AuthenticatedClient(client.clone()));
    let user = auth_actix::RequireAuth {
        claims: session.claims().clone(),
        session: session.clone(),
    };
    shown.value(&user);
    shown.value(&auth_actix::MaybeAuth(Some(user)));
    shown.value(&auth_actix::PeekSession(Some(session)));
    shown.value(&auth_actix::AuthenticatedClient(client));
}

/// Tokens by other grants; gives the identifier that the session has afterwards.
async fn grants(shown: &mut Shown, auth: &Auth, id: &SessionId) -> SessionId {
    let session = auth.authenticate(Some(id)).await.unwrap();
    let given = Presented::Given(SecurityToken::new(PAYLOAD), TokenType::Jwt);
    shown.value(&given);
    let exchange = TokenExchange::new().subject(given.clone()).actor(given);
    shown.value(&exchange);
    let error = auth.exchange(&session, &exchange).await.unwrap_err();
    let Error::Grant(grant) = &error else {
        panic!("{error:?}")
    };
    shown.error(&**grant);
    shown.error(&error);
    let credentials = ClientCredentials::new().scopes("machine");
    let token = auth.machine_token(&credentials).await.unwrap();
    shown.value(&token);
    shown.value(token.token());
    shown.value(&auth.machine_client(credentials));
    shown.value(&FurtherProvider::issuer("https://id.example").client("types", Some(CLIENT_SECRET)));
    shown.value(&SignInProvider::default().client("types", Some(CLIENT_SECRET)));
    let grant = CustomGrant::new("organization_switch")
        .template("client_secret", "{{clientSecret}}")
        .template("token", "{{accessToken}}")
        .param("note", PAYLOAD)
        .param("switching_organization", "one");
    shown.value(&grant);
    let switched = auth.switch(&session, &grant).await.unwrap();
    shown.value(&switched);
    let harmless = CustomGrant::new("client_credentials");
    shown.value(&auth.custom_grant(&switched.session, &harmless).await.unwrap());
    let SessionChange::Set { id, .. } = switched.change else {
        panic!("the identifier stays");
    };
    id
}

async fn proxy(shown: &mut Shown, auth: &Auth, session: &Session) {
    let proxy = Proxy::to_api().set_header(
        HeaderName::from_static("x-api-key"),
        HeaderValue::from_static(PAYLOAD),
    );
    shown.value(&proxy);
    let chunks = futures_util::stream::iter([Ok(PAYLOAD.into())]);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(PAYLOAD));
    let request = |headers: &HeaderMap| ProxyRequest {
        method: Method::POST,
        target: format!("/echo?{PAYLOAD}"),
        headers: headers.clone(),
        body: ProxyBody::new(chunks.clone(), None),
        upgrade: Upgrade::Impossible,
    };
    shown.value(&request(&headers));
    shown.value(&request(&headers).body);
    let error = auth
        .forward(&proxy, session, request(&headers))
        .await
        .unwrap_err();
    if let Error::Proxy(error) = &error {
        shown.error(&**error);
    }
    headers.insert("x-csrf", HeaderValue::from_static("1"));
    let answer = auth.forward(&proxy, session, request(&headers)).await.unwrap();
    assert!(answer.headers["content-type"] == PAYLOAD);
    shown.value(&answer);
    shown.value(&answer.rest);
    if let Rest::Body(download) = &answer.rest {
        shown.value(download);
    }
}

/// The record as a store holds it, opened.
async fn records(shown: &mut Shown, store: &SqliteStore, id: &SessionId, now: Timestamp) {
    let key = id.key();
    let record = store.load(&key, now).await.unwrap().unwrap();
    let memory = MemoryStore::new();
    let inserted = memory.insert(&key, (*record).clone(), now).await.unwrap();
    assert_eq!(inserted, Inserted::Yes);
    shown.value(&memory);
    shown.value(&memory.scan(None, now).await.unwrap());
    shown.value(&ScanCursor::from_bytes(*key.as_bytes()));
    shown.value(&*record);
    shown.value(&record.opened);
    let version = record.version;
    let acquired = store
        .acquire(
            &key,
            version,
            LeaseOwner::from_u128(1),
            Duration::from_secs(1),
            now,
        )
        .await
        .unwrap();
    shown.value(&acquired);
    let swapped = store
        .compare_and_swap(&key, version + 7, (*record).clone(), now)
        .await
        .unwrap();
    shown.value(&swapped);
}

async fn app_sessions(shown: &mut Shown, secrets: &mut Vec<String>, auth: &Auth) {
    let sessions = auth.app_sessions().unwrap();
    shown.value(&sessions);
    let id = sessions.new_id();
    let cookie = format!("{}={id}", sessions.cookie_name());
    let brought = sessions.brought(&head("/", &[cookie]));
    shown.value(&brought);
    let (_, watched) = sessions
        .watch(brought, async {
            auth_core::app_sessions::note_present(&id);
            let inserted = sessions
                .insert(&id, PAYLOAD.as_bytes(), Duration::from_secs(60))
                .await
                .unwrap();
            assert_eq!(inserted, Inserted::Yes);
            sessions.load(&id).await.unwrap();
            let too_large = vec![b'x'; 2 * 1024 * 1024];
            let error = sessions
                .update(&id, &too_large, Duration::from_secs(60))
                .await
                .unwrap_err();
            shown.error(&error);
            sessions.end_present().await.unwrap();
        })
        .await;
    shown.value(&watched);
    secrets.push(id);
}

/// What tests of an application's own handlers are made of.
async fn tests_of_handlers(shown: &mut Shown, secrets: &mut Vec<String>) {
    let settings = |builder: AuthBuilder| {
        builder.on_sign_in(|sign_in: SignIn| async move {
            match sign_in.subject() {
                "eve" => Err(Refused::because(PAYLOAD)),
                _ => Ok(sign_in),
            }
        })
    };
    let builder = TestAuth::builder().settings(settings);
    shown.value(&builder);
    let auth = builder.build().await.unwrap();
    shown.value(&auth);
    shown.value(&auth.guest());
    let user = auth
        .user("ada")
        .claim("note", PAYLOAD)
        .access_token("the-first-access-token");
    shown.value(&user);
    let ada = user.signed_in().await;
    shown.value(&ada);
    let token = auth.token("ada").claim("note", PAYLOAD);
    shown.value(&token);
    let token = token.issue();
    shown.value(&token);
    let api = auth.api();
    let answer = ApiAnswer::json(&serde_json::json!({ "note": PAYLOAD }));
    shown.value(&answer);
    api.on("POST", "/notes", answer);
    let client = auth.auth().client(&ada.session().await.unwrap().unwrap());
    let sent = client.post("/notes").body(PAYLOAD).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    shown.value(&api);
    shown.value(&api.requests()[0]);
    shown.error(&auth.user("eve").try_signed_in().await.unwrap_err());
    shown.value(&Network::new(|_| true, |_| async { Err(NoAnswer::Unreachable) }));
    shown.error(&NoAnswer::BrokenOff);
    let (_, cookie) = ada.cookie();
    secrets.extend(cookie.split_once('=').map(|(_, id)| id.to_owned()));
    secrets.push(token.text().to_owned());
    secrets.extend(auth.provider().issued_secrets());
}

/// What goes wrong at a refresh and at an API.
async fn failures(
    shown: &mut Shown,
    (auth, store): (&Auth, SqliteStore),
    provider: &DevProvider,
    clock: &TestClock,
    id: &SessionId,
) {
    let control = provider.control();
    let session = auth.authenticate(Some(id)).await.unwrap();
    let client = auth.client(&session);
    let url = format!("{}/users/me", provider.api_url());
    shown.value(&client.authorization(&Method::GET, &url).await.unwrap());
    for error in [
        client.get("https://elsewhere.example/").send().await.unwrap_err(),
        client
            .get(format!("/no?token={PAYLOAD}#{PAYLOAD}"))
            .header("bad header", PAYLOAD)
            .send()
            .await
            .unwrap_err(),
        client
            .get("/no/such/path")
            .send()
            .await
            .unwrap()
            .success()
            .await
            .unwrap_err(),
    ] {
        shown.error(&error);
    }
    clock.advance(Duration::from_secs(300));
    // An instance that has never seen the provider up.
    control.go_down().await;
    let other = builder(provider, clock).store(store).build().await.unwrap();
    refused(shown, &other.authenticate(Some(id)).await.unwrap_err());
    let request = other.route_request(&head("/auth/login", &[]), Vec::new(), None);
    shown.value(&other.login(request).await);
    control.come_up().await.unwrap();
    clock.advance(Duration::from_secs(60));
    let words = format!(r#"{{"error":"invalid_request","error_description":"{PAYLOAD}"}}"#);
    for fault in [
        Fault::body(400, "application/json", words),
        Fault::body(200, "text/html", PAYLOAD),
        Fault::oauth(401, "invalid_client"),
        Fault::status(503),
        Fault::Reset,
    ] {
        control.fail_next(Endpoint::Token, 1, fault);
        refused(shown, &auth.authenticate(Some(id)).await.unwrap_err());
        clock.advance(Duration::from_secs(60));
    }
    shown.error(&StoreError::unavailable("the store's own words"));
    shown.error(&LoginError::StateMissing);
    control.kill_refresh_tokens();
    shown.error(&auth.authenticate(Some(id)).await.unwrap_err());
}

/// A refused request's error, and what lies in it.
fn refused(shown: &mut Shown, error: &Error) {
    shown.error(error);
    shown.error(&auth_axum::AuthError::from(error.clone()));
    shown.error(&auth_actix::AuthError::from(error.clone()));
    let Error::Refresh(refresh) = error else { return };
    shown.error(&**refresh);
    match &**refresh {
        RefreshError::Unavailable(token)
        | RefreshError::Unanswered(token)
        | RefreshError::ClientRefused(token) => {
            shown.error(&**token);
        }
        RefreshError::Provider(provider) => {
            shown.error(provider);
            if let ProviderError::Unavailable { cause, .. } = provider {
                shown.error(&**cause);
                if let Outage::Http(http) = &**cause {
                    shown.error(http);
                }
            }
        }
        _ => {}
    }
}
