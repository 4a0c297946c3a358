//! Mutual TLS (RFC 8705): who sees the client's certificate, where it is shown, and what happens where it is refused.

use auth_core::bearer::{BearerError, IntrospectionClient};
use auth_core::client::ApiError;
use auth_core::config::ClientAuthMethod;
use auth_core::grants::{ClientCredentials, FurtherProvider};
use auth_core::proxy::Proxy;
use auth_core::reply::Reply;
use auth_core::{Auth, AuthBuilder};
use auth_testing::mtls::{Authority, Gateway, Identity, Versions};
use auth_testing::{Client, Endpoint};
use http::Method;
use serde_json::{Value, json};

use crate::par::always;
use crate::proxy::{forward, request};
use crate::world::{BASE, Head, LIFE, World, assert_page, eventually, location};

/// The client that is registered for a certificate. In its requests it differs from a public one in nothing but the connection.
const CLIENT: &str = "certified";

/// A provider behind a gateway, an API behind another, and a certificate for both.
struct Stage {
    world: World,
    authority: Authority,
    identity: Identity,
    provider: Gateway,
    api: Gateway,
}

impl Stage {
    async fn start() -> Self {
        Self::with(Versions::All).await
    }

    async fn with(versions: Versions) -> Self {
        let world = World::start().await;
        world.control().register(
            Client::public(CLIENT)
                .redirect_uri(format!("{BASE}/auth/callback"))
                .post_logout_redirect_uri(format!("{BASE}/")),
        );
        let authority = Authority::new();
        let identity = authority.client("app");
        let start = async |upstream: &str| {
            let gateway = Gateway::with_versions(&authority, upstream, versions).await;
            gateway.unwrap()
        };
        let provider = start(world.provider.issuer()).await;
        let api = start(world.provider.api_url()).await;
        provider.alias(&world.provider);
        Self {
            world,
            identity,
            provider,
            api,
            authority,
        }
    }

    /// An application with this certificate.
    async fn auth(&self, identity: &Identity, set: impl FnOnce(AuthBuilder) -> AuthBuilder) -> Auth {
        self.world
            .instance_with(|builder| {
                set(builder
                    .client(CLIENT, None)
                    .client_auth(ClientAuthMethod::TlsClientAuth)
                    .client_certificate_pem(&identity.certificate, &identity.key)
                    .ca_pem(self.authority.pem())
                    .api(self.api.url()))
            })
            .await
    }

    /// Everybody who came to the gateway was this application.
    fn assert_seen(&self, gateway: &Gateway, least: usize) {
        let seen = gateway.seen();
        assert!(seen.len() >= least, "{} of {least}", seen.len());
        assert!(seen.iter().all(|seen| *seen == self.identity.thumbprint));
        assert_eq!(gateway.refused(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §2, §5
async fn a_client_with_a_certificate_signs_in_refreshes_and_signs_out_at_the_aliases() {
    let stage = Stage::start().await;
    let auth = stage.auth(&stage.identity, always).await;
    let control = stage.world.control();
    let mut browser = stage.world.browser_of(&auth);
    let url = browser.begin("/").await;
    assert!(
        url.starts_with(stage.world.provider.issuer()),
        "the browser is sent where no certificate is asked for: {url}"
    );
    assert_eq!(control.count(Endpoint::PushedAuthorization), 1);
    let target = browser.approve(&url).await;
    assert_eq!(location(&browser.callback(&target).await), "/");
    assert_eq!(control.count(Endpoint::Userinfo), 1);
    stage.assert_seen(&stage.provider, 1);

    let request = control.requests(Endpoint::Token).pop().unwrap();
    assert_eq!(request.form("client_id"), Some(CLIENT));
    assert_eq!(request.form("client_secret"), None);
    assert_eq!(request.form("client_assertion"), None);
    assert_eq!(request.header("authorization"), None);

    let id = browser.session().unwrap();
    stage.world.clock.advance(LIFE);
    let session = auth.authenticate(Some(&id)).await.unwrap();
    auth.access_token(&session).await.unwrap();
    assert_eq!(control.refresh_count(), 1);

    let reply = browser.logout().await;
    assert_eq!(reply.status, 303);
    auth.shutdown().await;
    assert_eq!(stage.world.revoked().len(), 2);
    stage.assert_seen(&stage.provider, 1);
    // The API is not one that tokens are bound for.
    assert_eq!(stage.api.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §8
async fn documents_for_everybody_are_fetched_without_the_certificate() {
    let stage = Stage::start().await;
    // Keys where a certificate is demanded: nobody brings one.
    let keys = Gateway::start(&stage.authority, stage.world.provider.issuer())
        .await
        .unwrap();
    let (provider, at) = (stage.provider.url().to_owned(), format!("{}/jwks", keys.url()));
    stage.world.control().tamper_discovery(move |document| {
        document.insert("jwks_uri".to_owned(), json!(at));
        document.insert(
            "mtls_endpoint_aliases".to_owned(),
            json!({"token_endpoint": format!("{provider}/token"), "jwks_uri": format!("{provider}/jwks")}),
        );
    });
    let auth = stage.auth(&stage.identity, |builder| builder).await;
    let reply = stage.world.browser_of(&auth).try_sign_in("/").await;
    assert_eq!(reply.status, 503, "{}", reply.body);
    eventually("the handshake has failed", || keys.refused() > 0).await;
    assert_eq!(keys.seen().len(), 0);
    assert_eq!(stage.world.control().count(Endpoint::Jwks), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §8
async fn other_providers_and_endpoints_of_others_do_not_see_the_certificate() {
    let stage = Stage::start().await;
    // With TLS 1.2 it is certain that a client learns why it is refused.
    let elsewhere = Gateway::with_versions(&stage.authority, stage.world.provider.issuer(), Versions::Tls12);
    let elsewhere = elsewhere.await.unwrap();
    let partner = |builder: AuthBuilder| {
        let token = format!("{}/token", elsewhere.url());
        let provider =
            FurtherProvider::token_endpoint(token).client(crate::world::CLIENT, Some(crate::world::SECRET));
        builder.further_provider("partner", provider)
    };
    let auth = stage
        .auth(&stage.identity, |builder| {
            partner(builder).certificate_bound_tokens()
        })
        .await;
    let credentials = ClientCredentials::new().at("partner");
    let error = auth.machine_token(&credentials).await.unwrap_err();
    assert_eq!(
        error.code(),
        "grant.client_refused",
        "a certificate is demanded, and none is shown"
    );

    // The same for an introspection endpoint that is not the provider's own.
    let client = IntrospectionClient::secret_basic(crate::world::CLIENT, crate::world::SECRET);
    let server = auth
        .resource_server("https://api.example")
        .introspection(format!("{}/introspect", elsewhere.url()), client)
        .build()
        .unwrap();
    let head = Head {
        method: "GET",
        target: "/".to_owned(),
        headers: vec![("authorization", "Bearer opaque".to_owned())],
    };
    let error = server.verify(&head).await.unwrap_err();
    assert!(matches!(error, BearerError::Introspection { .. }), "{error}");
    assert_eq!(elsewhere.seen().len(), 0);
    eventually("both handshakes have failed", || elsewhere.refused() >= 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §2
async fn a_further_provider_may_know_the_client_by_a_certificate_of_its_own() {
    let stage = Stage::start().await;
    let identity = stage.authority.client("at the partner");
    let provider = FurtherProvider::issuer(stage.world.provider.issuer())
        .client(crate::world::CLIENT, Some(crate::world::SECRET))
        .client_certificate_pem(&identity.certificate, &identity.key)
        .certificate_bound_tokens();
    let auth = stage
        .auth(&stage.identity, |builder| {
            builder.further_provider("partner", provider)
        })
        .await;
    let api = auth.machine_client(ClientCredentials::new().scopes("machine").at("partner"));
    let answer = api
        .get(format!("{}/machine", stage.api.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let own = std::slice::from_ref(&identity.thumbprint);
    assert_eq!((&*stage.provider.seen(), &*stage.api.seen()), (own, own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §2
async fn a_certificate_that_the_provider_does_not_know_is_named() {
    for versions in [Versions::All, Versions::Tls12] {
        let stage = Stage::with(versions).await;
        // With TLS 1.3 the client has sent its request when it is refused, and may learn no more than that the connection broke.
        let assert_refused = |reply: &Reply| match versions {
            Versions::Tls12 => assert_page(reply, 502, "login.client_certificate_refused"),
            Versions::All => assert!([502, 503].contains(&reply.status), "{}", reply.body),
        };
        // Of another authority: the handshake fails.
        let stranger = Authority::new().client("app");
        let auth = stage.auth(&stranger, |builder| builder).await;
        assert_refused(&stage.world.browser_of(&auth).try_sign_in("/").await);
        // The gateway writes it down when it has told the client so.
        eventually("the handshake has failed", || stage.provider.refused() > 0).await;
        // A push fails as well.
        let auth = stage.auth(&stranger, always).await;
        assert_refused(&stage.world.browser_of(&auth).login("/").await);
        // Of the authority, and not the registered one: the provider says so.
        stage.provider.register(&stage.identity);
        let auth = stage
            .auth(&stage.authority.client("another"), |builder| builder)
            .await;
        let reply = stage.world.browser_of(&auth).try_sign_in("/").await;
        assert_page(&reply, 502, "login.client_certificate_refused");
        assert_eq!(stage.world.control().count(Endpoint::Token), 0);
        stage
            .world
            .browser_of(&stage.auth(&stage.identity, |builder| builder).await)
            .sign_in("/")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §2
async fn a_refresh_that_fails_for_the_certificate_keeps_the_session() {
    let stage = Stage::with(Versions::Tls12).await;
    let auth = stage.auth(&stage.identity, |builder| builder).await;
    let id = stage.world.browser_of(&auth).sign_in("/").await;
    stage.world.clock.advance(LIFE);
    let other = stage
        .auth(&Authority::new().client("app"), |builder| builder)
        .await;
    let error = other.authenticate(Some(&id)).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (503, "refresh.client_refused"));
    // Nothing was presented: whoever has the right certificate goes on.
    let session = auth.authenticate(Some(&id)).await.unwrap();
    auth.access_token(&session).await.unwrap();
    assert_eq!(stage.world.control().refresh_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §3
async fn apis_see_the_certificate_where_tokens_are_bound_to_it_and_only_there() {
    let stage = Stage::start().await;
    let proxy = Proxy::to(stage.api.url()).unwrap();
    let at = |path: &str| format!("{}{path}", stage.api.url());

    let auth = stage
        .auth(&stage.identity, AuthBuilder::certificate_bound_tokens)
        .await;
    let id = stage.world.browser_of(&auth).sign_in("/").await;
    let session = auth.authenticate(Some(&id)).await.unwrap();
    let api = auth.client(&session);
    let me: Value = api
        .get(at("/users/me"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(me["id"], "ada");
    stage.assert_seen(&stage.api, 1);
    let me = forward(&auth, &proxy, &session, request(Method::GET, "/users/me")).await;
    assert!(String::from_utf8(me.unwrap()).unwrap().contains("ada"));
    stage.assert_seen(&stage.api, 2);

    // A certificate that only authenticates the client is none of the APIs' business.
    let auth = stage.auth(&stage.identity, |builder| builder).await;
    let session = auth.authenticate(Some(&id)).await.unwrap();
    let error = auth
        .client(&session)
        .get(at("/users/me"))
        .send()
        .await
        .unwrap_err();
    assert!(matches!(error, ApiError::Unreachable(_)), "{error}");
    let error = forward(&auth, &proxy, &session, request(Method::GET, "/users/me")).await;
    assert_eq!(error.unwrap_err(), "502 api.unreachable");
    assert_eq!(stage.api.seen().len(), 2);
    assert!(stage.api.refused() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §3, §4
async fn tokens_of_any_client_can_be_bound() {
    let stage = Stage::start().await;
    for method in [ClientAuthMethod::None, ClientAuthMethod::ClientSecretBasic] {
        let auth = stage
            .auth(&stage.identity, |builder| {
                let builder = match method {
                    ClientAuthMethod::None => builder,
                    _ => builder.client(crate::world::CLIENT, Some(crate::world::SECRET)),
                };
                builder.client_auth(method).certificate_bound_tokens()
            })
            .await;
        let before = stage.provider.seen().len();
        stage.world.browser_of(&auth).sign_in("/").await;
        stage.assert_seen(&stage.provider, before + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §3.3
async fn bound_tokens_need_a_provider_that_binds_them() {
    let stage = Stage::start().await;
    let token = format!("{}/token", stage.provider.url());
    stage.world.control().tamper_discovery(move |document| {
        document.insert(
            "mtls_endpoint_aliases".to_owned(),
            json!({"token_endpoint": token}),
        );
    });
    // For authentication alone, it will do.
    let auth = stage.auth(&stage.identity, |builder| builder).await;
    stage.world.browser_of(&auth).sign_in("/").await;
    let auth = stage
        .auth(&stage.identity, AuthBuilder::certificate_bound_tokens)
        .await;
    let reply = stage.world.browser_of(&auth).login("/").await;
    assert_page(&reply, 502, "provider.discovery_insufficient");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // RFC 8705 §2.2.2
async fn a_provider_that_knows_the_certificate_itself_finds_it_in_the_set() {
    let stage = Stage::start().await;
    let auth = stage
        .auth(&stage.identity, |builder| {
            builder.client_auth(ClientAuthMethod::SelfSignedTlsClientAuth)
        })
        .await;
    let keys: Value = serde_json::from_str(&auth.jwks().body).unwrap();
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    let body: String = (stage.identity.certificate.lines())
        .filter(|line| !line.starts_with("-----"))
        .collect();
    assert_eq!(keys[0]["x5c"], json!([body]));
    assert_eq!(keys[0]["x5t#S256"], stage.identity.thumbprint);
    assert_eq!((&keys[0]["kty"], &keys[0]["use"]), (&json!("EC"), &json!("sig")));
    assert_eq!(keys[0].get("d"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_do_not_go_together_are_refused_by_name() {
    let stage = Stage::start().await;
    let (identity, other) = (&stage.identity, stage.authority.client("other"));
    let given = |builder: AuthBuilder| builder.client_certificate_pem(&identity.certificate, &identity.key);
    let tls = |builder: AuthBuilder| builder.client_auth(ClientAuthMethod::TlsClientAuth);
    type Set<'a> = &'a dyn Fn(AuthBuilder) -> AuthBuilder;
    let cases: [(&str, Set<'_>); 8] = [
        ("AUTH_CLIENT_CERT", &tls),
        ("AUTH_CLIENT_CERT", &|builder| builder.certificate_bound_tokens()),
        // Of no use: better to say so.
        ("AUTH_CLIENT_CERT", &|builder| {
            given(builder).client_auth(ClientAuthMethod::None)
        }),
        ("AUTH_CLIENT_CERT", &|builder| {
            tls(builder).client_certificate_pem(&identity.certificate, &other.key)
        }),
        ("AUTH_CLIENT_CERT", &|builder| {
            tls(builder).client_certificate_pem(&identity.key, &identity.key)
        }),
        ("AUTH_CLIENT_CERT", &|builder| {
            let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
            tls(builder).client_certificate_pem(damaged, &identity.key)
        }),
        ("AUTH_CLIENT_KEY", &|builder| {
            tls(builder).client_certificate_pem(&identity.certificate, &identity.certificate)
        }),
        ("AUTH_TOKEN_URL", &|builder| {
            let builder = tls(given(builder));
            builder.endpoints("https://id.example/authorize", "http://127.0.0.1:1/token")
        }),
    ];
    for (at, (named, set)) in cases.into_iter().enumerate() {
        let builder = set(Auth::builder().base_url(BASE).client(CLIENT, None));
        let builder = match named {
            "AUTH_TOKEN_URL" => builder,
            _ => builder.issuer("https://id.example"),
        };
        let error = builder.build().await.expect_err("refused");
        assert_eq!(error.variable(), named, "{at}: {error}");
        let text = error.to_string();
        assert!(!text.contains('\n') && !text.contains("-----BEGIN P"), "{text}");
    }
}
