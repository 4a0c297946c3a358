//! Each preset with what its provider says of itself: the document is accepted, and yields what is expected.

use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};

use super::*;
use crate::auth::Auth;
use crate::config::{AuthBuilder, ProviderConfig};
use crate::metadata::{Metadata, accept};
use crate::party::Party;

/// The endpoints that not every provider has.
#[derive(Debug, PartialEq, Eq)]
struct Endpoints<'a> {
    token: &'a str,
    revocation: Option<&'a str>,
    end_session: Option<&'a str>,
}

async fn built(preset: Preset) -> Auth {
    Auth::builder()
        .preset(preset)
        .base_url("https://app.example")
        .client("my-app", Some("secret"))
        .build()
        .await
        .expect("good settings")
}

fn party(auth: &Auth) -> &Party {
    auth.core().config.parties.first()
}

fn accepted(party: &Party, document: &str) -> Metadata {
    let ProviderConfig::Discovery(issuer) = &party.provider.config else {
        panic!("an OpenID provider has an issuer");
    };
    accept(document.as_bytes(), issuer, party.config.overrides.clone()).expect("a good document")
}

macro_rules! document {
    ($provider:literal) => {
        include_str!(concat!("../../tests/data/discovery/", $provider, ".json"))
    };
}

/// Checks a preset against its provider's document: the endpoints, and the scopes that are asked for, each of which the
/// document has to list.
async fn check(preset: Preset, document: &str, scopes: &str, expected: Endpoints<'_>) -> Auth {
    let auth = built(preset).await;
    let metadata = accepted(party(&auth), document);
    let found = Endpoints {
        token: metadata.token_endpoint.as_str(),
        revocation: metadata.revocation_endpoint.as_ref().map(url::Url::as_str),
        end_session: metadata.end_session_endpoint.as_ref().map(url::Url::as_str),
    };
    assert_eq!(found, expected);
    assert_eq!(party(&auth).config.scopes.to_string(), scopes);
    let document: Value = serde_json::from_str(document).expect("JSON");
    if let Some(listed) = document["scopes_supported"].as_array() {
        // WSO2 Identity Server has two that it does not list.
        for scope in scopes
            .split(' ')
            .filter(|scope| !["roles", "internal_login"].contains(scope))
        {
            assert!(listed.contains(&scope.into()), "{scope}");
        }
    }
    auth
}

/// The claim `roles` that the preset makes of an ID token's claims.
fn roles(auth: &Auth, claims: Value) -> Value {
    let mut claims: Map<String, Value> = claims.as_object().expect("an object").clone();
    party(auth).config.role_claims.settle(&mut claims);
    claims.remove("roles").unwrap_or(Value::Null)
}

fn api_base(auth: &Auth) -> Option<String> {
    // Nothing is looked up for it.
    let base = auth.core().api_base(None).now_or_never()?;
    base.ok().map(String::from)
}

#[tokio::test]
async fn asgardeo() {
    for organisation in [
        "acme",
        "https://api.asgardeo.io/t/acme",
        "https://api.asgardeo.io/t/acme/",
        "https://api.asgardeo.io/t/acme/oauth2/token",
        "https://api.asgardeo.io/t/acme/oauth2/token/",
    ] {
        let expected = Endpoints {
            token: "https://api.asgardeo.io/t/acme/oauth2/token",
            revocation: Some("https://api.asgardeo.io/t/acme/oauth2/revoke"),
            end_session: Some("https://api.asgardeo.io/t/acme/oidc/logout"),
        };
        let scopes = "openid profile email roles internal_login";
        let auth = check(
            Preset::asgardeo(organisation),
            document!("asgardeo"),
            scopes,
            expected,
        )
        .await;
        assert_eq!(api_base(&auth).as_deref(), Some("https://api.asgardeo.io/t/acme"));
        assert_eq!(roles(&auth, json!({"roles": "admin", "groups": ["x"]})), "admin");
    }
}

#[tokio::test]
async fn wso2_identity_server() {
    let expected = Endpoints {
        token: "https://localhost:9443/oauth2/token",
        revocation: Some("https://localhost:9443/oauth2/revoke"),
        end_session: Some("https://localhost:9443/oidc/logout"),
    };
    let preset = Preset::wso2_identity_server("https://localhost:9443");
    let scopes = "openid profile email roles internal_login";
    let auth = check(preset, document!("wso2_identity_server"), scopes, expected).await;
    assert_eq!(api_base(&auth).as_deref(), Some("https://localhost:9443/"));
}

#[tokio::test]
async fn thunderid() {
    let expected = Endpoints {
        token: "https://localhost:8090/oauth2/token",
        revocation: Some("https://localhost:8090/oauth2/revoke"),
        end_session: Some("https://localhost:8090/oauth2/logout"),
    };
    let preset = Preset::thunderid("https://localhost:8090/");
    let auth = check(preset, document!("thunderid"), "openid profile email", expected).await;
    assert_eq!(api_base(&auth).as_deref(), Some("https://localhost:8090/"));
    assert!(accepted(party(&auth), document!("thunderid")).names_issuer_in_response);
}

#[tokio::test]
async fn auth0() {
    let scopes = "openid profile email offline_access";
    let expected = || Endpoints {
        token: "https://acme.eu.auth0.com/oauth/token",
        revocation: Some("https://acme.eu.auth0.com/oauth/revoke"),
        end_session: Some("https://acme.eu.auth0.com/oidc/logout"),
    };
    let preset = Preset::auth0("acme.eu.auth0.com", Some("https://api.example"));
    let auth = check(preset, document!("auth0"), scopes, expected()).await;
    let audience = ("audience".to_owned(), "https://api.example".to_owned());
    assert_eq!(party(&auth).config.authorize_params, [audience]);
    // An older tenant, whose document does not name what it has.
    let old = document!("auth0").replace("\"end_session_endpoint\"", "\"_\"");
    let auth = check(
        Preset::auth0("https://acme.eu.auth0.com/", None),
        &old,
        scopes,
        expected(),
    )
    .await;
    assert!(party(&auth).config.authorize_params.is_empty());
}

#[tokio::test]
async fn keycloak() {
    let realm = "https://id.example/realms/acme/protocol/openid-connect";
    let expected = Endpoints {
        token: &format!("{realm}/token"),
        revocation: Some(&format!("{realm}/revoke")),
        end_session: Some(&format!("{realm}/logout")),
    };
    let preset = Preset::keycloak("https://id.example/", "acme");
    let auth = check(preset, document!("keycloak"), "openid profile email", expected).await;
    let claims = json!({
        "realm_access": {"roles": ["offline_access", "admin"]},
        "resource_access": {"my-app": {"roles": ["editor"]}, "account": {"roles": ["manage-account"]}},
        "roles": ["of a mapper that nobody asked for"],
    });
    assert_eq!(roles(&auth, claims), json!(["offline_access", "admin", "editor"]));
}

#[tokio::test]
async fn entra() {
    let tenant = "https://login.microsoftonline.com/8a1e6f3c-0000-4000-8000-00000000acde";
    for id in [
        "8a1e6f3c-0000-4000-8000-00000000acde",
        "8A1E6F3C-0000-4000-8000-00000000ACDE",
    ] {
        let expected = Endpoints {
            token: &format!("{tenant}/oauth2/v2.0/token"),
            revocation: None,
            end_session: Some(&format!("{tenant}/oauth2/v2.0/logout")),
        };
        let scopes = "openid profile email offline_access";
        let auth = check(Preset::entra(id), document!("entra"), scopes, expected).await;
        assert_eq!(party(&auth).config.userinfo, UserinfoPolicy::Never);
        assert_eq!(
            api_base(&auth).as_deref(),
            Some("https://graph.microsoft.com/v1.0")
        );
        // Groups that are too many for the token are elsewhere, and nobody's roles.
        let claims = json!({"_claim_names": {"groups": "src1"}, "groups": ["8c1f"]});
        assert_eq!(roles(&auth, claims), Value::Null);
    }
}

#[tokio::test]
async fn google() {
    let expected = Endpoints {
        token: "https://oauth2.googleapis.com/token",
        revocation: Some("https://oauth2.googleapis.com/revoke"),
        end_session: None,
    };
    let auth = check(
        Preset::google(),
        document!("google"),
        "openid profile email",
        expected,
    )
    .await;
    let parameters = [("access_type", "offline"), ("prompt", "consent")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(party(&auth).config.authorize_params, parameters);
}

#[tokio::test]
async fn okta() {
    let server = "https://acme.okta.com/oauth2/default/v1";
    let expected = Endpoints {
        token: &format!("{server}/token"),
        revocation: Some(&format!("{server}/revoke")),
        end_session: Some(&format!("{server}/logout")),
    };
    let preset = Preset::okta("acme.okta.com", Some("default"));
    let scopes = "openid profile email offline_access";
    let auth = check(preset, document!("okta"), scopes, expected).await;
    assert_eq!(
        roles(&auth, json!({"groups": ["Everyone", "admin"]})),
        json!(["Everyone", "admin"])
    );

    let org = built(Preset::okta("https://acme.okta.com/", None)).await;
    assert!(
        matches!(&party(&org).provider.config, ProviderConfig::Discovery(issuer) if issuer.as_str() == "https://acme.okta.com")
    );
    assert!(party(&org).config.scopes.contains("groups"));
}

#[tokio::test]
async fn cognito() {
    let domain = "https://acme.auth.eu-west-1.amazoncognito.com";
    let expected = Endpoints {
        token: &format!("{domain}/oauth2/token"),
        revocation: Some(&format!("{domain}/oauth2/revoke")),
        end_session: Some(&format!("{domain}/logout")),
    };
    let preset = Preset::cognito("eu-west-1_AbCdEfGhI");
    let auth = check(preset, document!("cognito"), "openid profile email", expected).await;
    assert_eq!(
        party(&auth).config.end_session_parameter.as_deref(),
        Some("logout_uri")
    );
    assert_eq!(
        roles(&auth, json!({"cognito:groups": ["admin"]})),
        json!(["admin"])
    );
}

#[tokio::test]
async fn github() {
    let auth = built(Preset::github()).await;
    let party = party(&auth);
    let ProviderConfig::Endpoints { authorization, token } = &party.provider.config else {
        panic!("GitHub has no issuer");
    };
    let userinfo = party.config.overrides.userinfo.as_ref().map(url::Url::as_str);
    let listed: Value = serde_json::from_str(document!("github")).expect("JSON");
    assert_eq!(listed["authorization_endpoint"], authorization.as_str());
    assert_eq!(listed["token_endpoint"], token.as_str());
    assert_eq!(listed["userinfo_endpoint"].as_str(), userinfo);
    assert_eq!(party.config.scopes.to_string(), "read:user user:email");
    assert_eq!(api_base(&auth).as_deref(), Some("https://api.github.com/"));
}

#[tokio::test]
async fn gitlab() {
    let expected = Endpoints {
        token: "https://gitlab.com/oauth/token",
        revocation: Some("https://gitlab.com/oauth/revoke"),
        end_session: None,
    };
    let preset = Preset::gitlab("https://gitlab.com/");
    let auth = check(preset, document!("gitlab"), "openid profile email", expected).await;
    assert_eq!(api_base(&auth).as_deref(), Some("https://gitlab.com/api/v4"));
    let claims = json!({"groups_direct": ["admin"], "groups": ["admin"]});
    assert_eq!(roles(&auth, claims), Value::Null, "everybody can make a group");
}

#[tokio::test]
async fn zitadel() {
    let expected = Endpoints {
        token: "https://acme.zitadel.cloud/oauth/v2/token",
        revocation: Some("https://acme.zitadel.cloud/oauth/v2/revoke"),
        end_session: Some("https://acme.zitadel.cloud/oidc/v1/end_session"),
    };
    let preset = Preset::zitadel("https://acme.zitadel.cloud/");
    let scopes = "openid profile email offline_access";
    let auth = check(preset, document!("zitadel"), scopes, expected).await;
    let claims =
        json!({"urn:zitadel:iam:org:project:roles": {"admin": {"178204173316174381": "acme.example"}}});
    assert_eq!(roles(&auth, claims), json!(["admin"]));
}

#[tokio::test]
async fn authentik() {
    let expected = Endpoints {
        token: "https://id.example/application/o/token/",
        revocation: Some("https://id.example/application/o/revoke/"),
        end_session: Some("https://id.example/application/o/shop/end-session/"),
    };
    let preset = Preset::authentik("https://id.example", "shop");
    let scopes = "openid profile email offline_access";
    let auth = check(preset, document!("authentik"), scopes, expected).await;
    assert_eq!(
        roles(&auth, json!({"groups": ["authentik Admins"]})),
        json!(["authentik Admins"])
    );
}

macro_rules! page {
    ($provider:literal) => {
        include_str!(concat!("../../../../docs/providers/", $provider, ".md"))
    };
}

/// The origins that are shown the provider's tokens.
fn origins(auth: &Auth) -> Vec<String> {
    let own = party(auth).config.api.as_ref();
    let own = own.map(|api| api.origin().ascii_serialization());
    auth.core()
        .config
        .api_origins
        .iter()
        .cloned()
        .chain(own)
        .collect()
}

/// Whatever a preset may set, as text.
fn settings(auth: &Auth) -> String {
    let party = party(auth);
    let own = &party.config;
    format!(
        "{:#?}",
        (
            (&party.provider.config, &own.overrides, &own.end_session_parameter),
            (&own.scopes, &own.authorize_params, &own.role_claims),
            (
                own.userinfo,
                &party.registration.authentication,
                api_base(auth),
                origins(auth),
            ),
        )
    )
}

/// The environment that a page shows: the lines of its one block for a shell.
fn shown(page: &str) -> Vec<(&str, &str)> {
    let block = page
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let lines = block.expect("a block for a shell").lines();
    lines
        .map(|line| line.split_once('=').expect("a variable and its value"))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

#[tokio::test]
async fn the_environment_on_each_page_is_the_preset_on_that_page() {
    for (code, preset, page) in [
        (r#"asgardeo("acme")"#, Preset::asgardeo("acme"), page!("asgardeo")),
        (
            r#"wso2_identity_server("https://localhost:9443")"#,
            Preset::wso2_identity_server("https://localhost:9443"),
            page!("wso2_identity_server"),
        ),
        (
            r#"thunderid("https://localhost:8090")"#,
            Preset::thunderid("https://localhost:8090"),
            page!("thunderid"),
        ),
        (
            r#"auth0("acme.eu.auth0.com", Some("https://api.example"))"#,
            Preset::auth0("acme.eu.auth0.com", Some("https://api.example")),
            page!("auth0"),
        ),
        (
            r#"keycloak("https://id.example", "acme")"#,
            Preset::keycloak("https://id.example", "acme"),
            page!("keycloak"),
        ),
        (
            r#"entra("8a1e6f3c-0000-4000-8000-00000000acde")"#,
            Preset::entra("8a1e6f3c-0000-4000-8000-00000000acde"),
            page!("entra"),
        ),
        ("google()", Preset::google(), page!("google")),
        (
            r#"okta("acme.okta.com", Some("default"))"#,
            Preset::okta("acme.okta.com", Some("default")),
            page!("okta"),
        ),
        (
            r#"cognito("eu-west-1_AbCdEfGhI")"#,
            Preset::cognito("eu-west-1_AbCdEfGhI"),
            page!("cognito"),
        ),
        ("github()", Preset::github(), page!("github")),
        (
            r#"gitlab("https://gitlab.com")"#,
            Preset::gitlab("https://gitlab.com"),
            page!("gitlab"),
        ),
        (
            r#"zitadel("https://acme.zitadel.cloud")"#,
            Preset::zitadel("https://acme.zitadel.cloud"),
            page!("zitadel"),
        ),
        (
            r#"authentik("https://id.example", "shop")"#,
            Preset::authentik("https://id.example", "shop"),
            page!("authentik"),
        ),
    ] {
        assert_eq!(
            page.matches(&format!(".preset(Preset::{code})")).count(),
            2,
            "{code}"
        );
        let variables = shown(page);
        let builder = AuthBuilder::from_variables(|name| {
            let value = variables.iter().find(|(held, _)| *held == name);
            Ok(value.map(|(_, value)| (*value).to_owned()))
        });
        let by_hand = builder
            .expect(code)
            .base_url("https://app.example")
            .client("my-app", Some("secret"))
            .build()
            .await
            .expect(code);
        assert_eq!(settings(&by_hand), settings(&built(preset).await), "{code}");
    }
}

#[tokio::test]
async fn what_a_preset_cannot_use_is_said_at_the_start() {
    for (preset, named) in [
        (Preset::entra("common"), "Microsoft Entra ID"),
        (Preset::entra("organizations"), "Microsoft Entra ID"),
        (Preset::entra("acme.onmicrosoft.com"), "Microsoft Entra ID"),
        (
            Preset::entra("8a1e6f3c-0000-4000-8000-00000000acd"),
            "Microsoft Entra ID",
        ),
        (
            Preset::entra("8a1e6f3c-0000-4000-8000-00000000acd/"),
            "Microsoft Entra ID",
        ),
        (Preset::asgardeo(""), "Asgardeo"),
        (Preset::asgardeo("acme/../other"), "Asgardeo"),
        (Preset::asgardeo("acme?x"), "Asgardeo"),
        (Preset::keycloak("https://id.example", "a b"), "Keycloak"),
        (Preset::keycloak("https://id.example", ".."), "Keycloak"),
        (Preset::cognito("AbCdEfGhI"), "Amazon Cognito"),
        (Preset::okta("acme.okta.com", Some("a/b")), "Okta"),
        (Preset::authentik("https://id.example", ""), "authentik"),
        (Preset::keycloak("http://id.example", "acme"), "AUTH_ISSUER"),
        (Preset::zitadel("acme.zitadel.cloud"), "AUTH_ISSUER"),
        (Preset::auth0("", None), "AUTH_ISSUER"),
    ] {
        let builder = Auth::builder()
            .preset(preset)
            .base_url("https://app.example")
            .client("my-app", Some("secret"));
        let error = builder.build().await.expect_err(named);
        assert_eq!(error.variable(), named, "{error}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[tokio::test]
async fn what_is_set_after_a_preset_takes_its_place() {
    let auth = Auth::builder()
        .preset(Preset::keycloak("https://id.example", "acme"))
        .scopes("openid offline_access")
        .roles_claims(["groups"])
        .api("https://api.example")
        .provider_api("https://directory.example")
        .base_url("https://app.example")
        .client("my-app", Some("secret"))
        .build()
        .await
        .expect("good settings");
    assert_eq!(party(&auth).config.scopes.to_string(), "openid offline_access");
    assert_eq!(
        roles(&auth, json!({"groups": "a", "realm_access": {"roles": ["b"]}})),
        json!(["a"])
    );
    // The app's own API comes first, wherever it was named.
    assert_eq!(api_base(&auth).as_deref(), Some("https://api.example/"));
    let origins = ["https://api.example", "https://directory.example"];
    assert_eq!(self::origins(&auth), origins);

    let auth = Auth::builder()
        .preset(Preset::google())
        .authorize_param("prompt", "select_account")
        .base_url("https://app.example")
        .client("my-app", Some("secret"))
        .build()
        .await
        .expect("good settings");
    let parameters = [("access_type", "offline"), ("prompt", "select_account")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(party(&auth).config.authorize_params, parameters);
}

#[tokio::test]
async fn a_preset_takes_the_place_of_whatever_provider_was_set_before() {
    let by_hand = |builder: AuthBuilder| {
        builder
            .endpoints("https://old.example/authorize", "https://old.example/token")
            .userinfo_url("https://old.example/userinfo")
            .end_session_url("https://old.example/logout")
    };
    let by_discovery = |builder: AuthBuilder| builder.issuer("https://old.example");
    for before in [by_hand, by_discovery] {
        for preset in [Preset::github, Preset::google] {
            let auth = before(Auth::builder())
                .preset(preset())
                .base_url("https://app.example")
                .client("my-app", Some("secret"))
                .build()
                .await
                .expect("good settings");
            let alone = built(preset()).await;
            let where_it_is = |auth: &Auth| {
                let Party { provider, config, .. } = party(auth);
                format!("{:?} {:?}", provider.config, config.overrides)
            };
            assert_eq!(where_it_is(&auth), where_it_is(&alone));
        }
    }
}
