//! What each provider asks for that others do not. A preset calls methods of [`SignInProvider`] and nothing else.
//!
//! `docs/providers` has a page for each: what to register there, and what to expect.

use std::fmt;

#[cfg(doc)]
use crate::config::AuthBuilder;
use crate::config::{ClientAuthMethod, ConfigError, UserinfoPolicy};
use crate::party::SignInProvider;

/// The settings that a provider asks for, for [`AuthBuilder::preset`].
///
/// A preset says where the provider is, which scopes it knows (one that it does not know may fail the sign-in), where it puts
/// roles, how it signs out, and which of its own APIs takes the user's access token. The client's registration and the app's
/// address are not in it. Where nothing else is said, it asks for the [default scopes](AuthBuilder::scopes). A name or an address
/// that cannot be one makes [`AuthBuilder::build`] fail.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), auth_core::ConfigError> {
/// use auth_core::{Auth, Preset};
///
/// let auth = Auth::builder()
///     .preset(Preset::asgardeo("acme"))
///     .base_url("https://app.example")
///     .client("my-client", Some("its secret"))
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Preset {
    name: &'static str,
    set: Box<dyn FnOnce(SignInProvider) -> SignInProvider + Send + Sync>,
}

impl fmt::Debug for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Preset").field(&self.name).finish()
    }
}

impl Preset {
    fn new(
        name: &'static str,
        set: impl FnOnce(SignInProvider) -> SignInProvider + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            set: Box::new(set),
        }
    }

    pub(crate) fn apply(self, provider: SignInProvider) -> SignInProvider {
        (self.set)(provider)
    }

    /// Asgardeo: the name of the organisation; or its address, `https://api.asgardeo.io/t/acme`, with or without the
    /// `/oauth2/token` that its issuer ends with.
    ///
    /// Asks for `openid profile email roles internal_login`; the last one is for SCIM (`/scim2/Me`), which is the base of
    /// relative URLs. Roles are the claim `roles`. A refresh token comes with the grant type *Refresh Token*, whatever the
    /// scopes are.
    pub fn asgardeo(organisation: &str) -> Self {
        if organisation.contains("://") {
            return Self::wso2("Asgardeo", organisation);
        }
        let base = segment(organisation).map(|name| format!("https://api.asgardeo.io/t/{name}"));
        match base {
            Some(base) => Self::wso2("Asgardeo", &base),
            None => Self::unusable(
                "Asgardeo",
                "the organisation is its name in the console's address, acme",
            ),
        }
    }

    /// WSO2 Identity Server: its address, `https://id.example:9443`; for a tenant `https://id.example:9443/t/acme`. With or
    /// without the `/oauth2/token` that its issuer ends with. Otherwise as [Asgardeo](Self::asgardeo).
    pub fn wso2_identity_server(base: &str) -> Self {
        Self::wso2("WSO2 Identity Server", base)
    }

    fn wso2(name: &'static str, base: &str) -> Self {
        let base = without_slash(base);
        let base = base.strip_suffix("/oauth2/token").unwrap_or(base).to_owned();
        Self::new(name, move |builder| {
            builder
                .issuer(format!("{base}/oauth2/token"))
                .scopes("openid profile email roles internal_login")
                .provider_api(base)
        })
    }

    /// ThunderID: its address, `https://localhost:8090`, which is also its issuer and its own API (`/users/me`).
    ///
    /// Asks for `openid profile email`; a refresh token comes with the grant type. Roles are the claim `roles`.
    pub fn thunderid(base: &str) -> Self {
        let base = without_slash(base).to_owned();
        Self::new("ThunderID", move |builder| {
            builder
                .issuer(base.as_str())
                .scopes("openid profile email")
                .provider_api(base)
        })
    }

    /// Auth0: the tenant's domain, `acme.eu.auth0.com`, or a custom one; and the API that access tokens are for, if any:
    /// without one they are opaque and good for userinfo only.
    ///
    /// A sign-out goes to `/oidc/logout`, which each tenant has, whether or not its discovery document names it. Roles are in
    /// a claim that an Action of the tenant's own sets: name it with [`roles_claims`](AuthBuilder::roles_claims).
    pub fn auth0(domain: &str, audience: Option<&str>) -> Self {
        let base = address(domain);
        let audience = audience.map(str::to_owned);
        Self::new("Auth0", move |builder| {
            let builder = builder
                .issuer(format!("{base}/"))
                .end_session_url(format!("{base}/oidc/logout"));
            match audience {
                Some(audience) => builder.authorize_param("audience", audience),
                None => builder,
            }
        })
    }

    /// Keycloak: its address, `https://id.example` (`https://id.example/auth` before version 17), and the realm.
    ///
    /// Asks for `openid profile email`: refresh tokens come without `offline_access`, and those that come with it outlive
    /// Keycloak's own session. Roles are those of the realm and of this client (`realm_access`, `resource_access`).
    pub fn keycloak(base: &str, realm: &str) -> Self {
        let Some(realm) = segment(realm) else {
            return Self::unusable(
                "Keycloak",
                "the realm is its name as it stands in addresses, acme",
            );
        };
        let issuer = format!("{}/realms/{realm}", without_slash(base));
        Self::new("Keycloak", move |builder| {
            builder
                .issuer(issuer)
                .scopes("openid profile email")
                .roles_claims(["/realm_access/roles", "/resource_access/{client_id}/roles"])
        })
    }

    /// Microsoft Entra ID, v2.0: the directory (tenant) ID, a GUID. One tenant only: `common`, `organizations` and
    /// `consumers` have an issuer that is none, and are refused.
    ///
    /// Microsoft Graph is the base of relative URLs, as access tokens are for Graph unless a scope of another API is asked
    /// for. Userinfo is left out: it takes tokens for Graph alone, and adds nothing to the ID token. Roles are the app roles,
    /// the claim `roles`.
    pub fn entra(tenant: &str) -> Self {
        const MEND: &str = "the tenant is the directory (tenant) ID of one tenant, a GUID; \
                            common, organizations, consumers and names are not supported";
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
        let lengths: Vec<_> = tenant.split('-').map(str::len).collect();
        if lengths != [8, 4, 4, 4, 12] || !tenant.split('-').all(digits) {
            return Self::unusable("Microsoft Entra ID", MEND);
        }
        // As the tenant's own documents and tokens have it.
        let tenant = tenant.to_ascii_lowercase();
        Self::new("Microsoft Entra ID", move |builder| {
            builder
                .issuer(format!("https://login.microsoftonline.com/{tenant}/v2.0"))
                .userinfo(UserinfoPolicy::Never)
                .provider_api("https://graph.microsoft.com/v1.0")
        })
    }

    /// Google. Asks for `openid profile email` (a sign-in with `offline_access` fails there), and for a refresh token in
    /// Google's own way: `access_type=offline`, and `prompt=consent` because there is one with consent only.
    ///
    /// Google has no sign-out and no roles.
    pub fn google() -> Self {
        Self::new("Google", |builder| {
            builder
                .issuer("https://accounts.google.com")
                .scopes("openid profile email")
                .authorize_param("access_type", "offline")
                .authorize_param("prompt", "consent")
        })
    }

    /// Okta: the domain, `acme.okta.com`, and the custom authorization server, `default` for one; without it, the org
    /// authorization server, whose access tokens are for Okta's own APIs only.
    ///
    /// Roles are the claim `groups`. The org authorization server is asked for the scope `groups` as well; a custom one gives
    /// them without a scope where its claim says so.
    pub fn okta(domain: &str, authorization_server: Option<&str>) -> Self {
        let base = address(domain);
        let (issuer, scopes) = match authorization_server {
            None => (base, "openid profile email offline_access groups"),
            Some(server) => match segment(server) {
                Some(server) => (
                    format!("{base}/oauth2/{server}"),
                    "openid profile email offline_access",
                ),
                None => return Self::unusable("Okta", "the authorization server is its name or id, default"),
            },
        };
        Self::new("Okta", move |builder| {
            builder.issuer(issuer).scopes(scopes).roles_claims(["groups"])
        })
    }

    /// Amazon Cognito: the id of the user pool, `eu-west-1_AbCdEfGhI`. The pool needs a domain.
    ///
    /// Asks for `openid profile email` (a sign-in with `offline_access` fails there, and refresh tokens come without). Roles
    /// are the claim `cognito:groups`. A sign-out goes to the pool's own `/logout`, which is not RP-Initiated Logout, although
    /// the discovery document says so.
    pub fn cognito(user_pool: &str) -> Self {
        let region = segment(user_pool).and_then(|pool| pool.split_once('_'));
        let Some((region, _)) = region else {
            return Self::unusable(
                "Amazon Cognito",
                "the user pool is its id, which begins with the region: eu-west-1_AbCdEfGhI",
            );
        };
        let issuer = format!("https://cognito-idp.{region}.amazonaws.com/{user_pool}");
        Self::new("Amazon Cognito", |builder| {
            builder
                .issuer(issuer)
                .scopes("openid profile email")
                .roles_claims(["cognito:groups"])
                .end_session_parameter("logout_uri")
        })
    }

    /// GitHub: plain OAuth 2.0, for OAuth Apps and GitHub Apps. The user is whoever GitHub's API says; the subject is the
    /// account's number, which stays when its name changes.
    ///
    /// Asks for `read:user user:email`. The client authenticates by `client_secret_post`. GitHub's API is the base of
    /// relative URLs. The user's `email` is the public one, and often null: `/user/emails` has them all. GitHub has no
    /// sign-out, no roles, and no revocation that is RFC 7009's.
    pub fn github() -> Self {
        Self::new("GitHub", |builder| {
            builder
                .endpoints(
                    "https://github.com/login/oauth/authorize",
                    "https://github.com/login/oauth/access_token",
                )
                .userinfo_url("https://api.github.com/user")
                .client_auth(ClientAuthMethod::ClientSecretPost)
                .scopes("read:user user:email")
                .provider_api("https://api.github.com")
        })
    }

    /// GitLab: its address, `https://gitlab.com` or that of an instance of your own.
    ///
    /// Asks for `openid profile email` (a sign-in with `offline_access` fails there, and refresh tokens come without). GitLab's
    /// API is the base of relative URLs; it wants `read_user` or more. GitLab has no sign-out. Groups are no roles here,
    /// because everybody can make one and name it: see [`roles_claims`](AuthBuilder::roles_claims).
    pub fn gitlab(base: &str) -> Self {
        let base = without_slash(base).to_owned();
        Self::new("GitLab", move |builder| {
            builder
                .issuer(base.as_str())
                .scopes("openid profile email")
                .provider_api(format!("{base}/api/v4"))
        })
    }

    /// ZITADEL: the instance's address, `https://acme.zitadel.cloud`.
    ///
    /// Roles are those of the application's project (`urn:zitadel:iam:org:project:roles`), whichever organisation has given
    /// them.
    pub fn zitadel(base: &str) -> Self {
        let base = without_slash(base).to_owned();
        Self::new("ZITADEL", move |builder| {
            builder
                .issuer(base)
                .roles_claims(["urn:zitadel:iam:org:project:roles"])
        })
    }

    /// authentik: its address, `https://id.example`, and the application's slug. The provider's issuer mode is the default
    /// one, an issuer for each application.
    ///
    /// Roles are the claim `groups`.
    pub fn authentik(base: &str, application: &str) -> Self {
        let Some(application) = segment(application) else {
            return Self::unusable(
                "authentik",
                "the application is its slug, as it stands in addresses",
            );
        };
        let issuer = format!("{}/application/o/{application}/", without_slash(base));
        Self::new("authentik", move |builder| {
            builder.issuer(issuer).roles_claims(["groups"])
        })
    }

    fn unusable(name: &'static str, mend: &'static str) -> Self {
        let error = ConfigError::new(name, mend);
        Self::new(name, move |builder| builder.preset_error(error))
    }
}

fn without_slash(address: &str) -> &str {
    address.trim_end_matches('/')
}

/// The address of a host that may have been given without `https://`.
fn address(domain: &str) -> String {
    let domain = without_slash(domain);
    if domain.contains("://") {
        domain.to_owned()
    } else {
        format!("https://{domain}")
    }
}

/// A name that is a segment of a path as it is.
fn segment(name: &str) -> Option<&str> {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (!name.is_empty() && !name.starts_with('.') && name.bytes().all(is_good)).then_some(name)
}

#[cfg(test)]
mod tests;
