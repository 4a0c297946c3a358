//! Any other grant (RFC 6749 §4.5).

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::GrantError;
use crate::auth::{Auth, Core};
use crate::client_auth::ClientAuthentication;
use crate::clock::Timestamp;
use crate::error::{Error, NotSignedIn};
use crate::http::SendGuard;
use crate::metadata::Metadata;
use crate::party::Party;
use crate::refresh::RefreshError;
use crate::secret::{AccessToken, IdToken, RefreshToken, sha256};
use crate::session::Session;
use crate::token::{TokenRequest, TokenResponse, Way};
use crate::types::Scopes;

/// A request for tokens by any grant type: an extension grant (RFC 6749 §4.5) such as `organization_switch`,
/// `account_switch` or a JWT bearer assertion (RFC 7523 §2.1).
///
/// Values are form-encoded, and the client authenticates as it is registered. In a [`template`](Self::template) these
/// are replaced, wherever they stand and however often:
///
/// | placeholder | by |
/// | --- | --- |
/// | `{{accessToken}}`, `{{token}}` | the session's access token, alive |
/// | `{{idToken}}` | the session's ID token |
/// | `{{clientId}}`, `{{clientID}}` | the client's identifier |
/// | `{{clientSecret}}` | its secret; an error where it has none |
/// | `{{scopes}}`, `{{scope}}` | the scopes that were asked for at sign-in |
/// | `{{username}}` | the claim `username`, or else `preferred_username`, or else the subject |
///
/// Any other placeholder is an error ([`GrantError::Misuse`]), and so are the parameters `grant_type`, `client_assertion` and
/// `client_assertion_type`. `client_id` and `client_secret` may stand among the parameters, as in the guides of the Node SDKs;
/// they have to be this client's, and go where the registered method has them.
///
/// # Example
///
/// ```
/// use auth_core::grants::CustomGrant;
///
/// fn switch_to(organization: &str) -> CustomGrant {
///     CustomGrant::new("organization_switch")
///         .template("token", "{{accessToken}}")
///         .template("scope", "{{scopes}}")
///         .param("switching_organization", organization)
/// }
/// ```
#[derive(Clone)]
#[must_use]
pub struct CustomGrant {
    grant_type: String,
    parameters: Vec<(String, Text)>,
    is_attached: bool,
    pub(super) changes_user: bool,
    pub(super) provider: Option<String>,
}

/// A parameter's value.
#[derive(Clone)]
enum Text {
    Literal(Zeroizing<String>),
    Template(String),
}

impl fmt::Debug for CustomGrant {
    /// Names only: a value may be a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        f.debug_struct("CustomGrant")
            .field("grant_type", &self.grant_type)
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}

impl CustomGrant {
    /// A request with this `grant_type`.
    pub fn new(grant_type: impl Into<String>) -> Self {
        Self {
            grant_type: grant_type.into(),
            parameters: Vec::new(),
            is_attached: false,
            changes_user: false,
            provider: None,
        }
    }

    /// Adds a parameter. The value is sent as it is, whatever stands in it: it may come from a user.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = Text::Literal(Zeroizing::new(value.into()));
        self.parameters.push((name.into(), value));
        self
    }

    /// Adds a parameter whose value has placeholders, which are replaced by the session's tokens and the client's
    /// registration. It is for texts of the application's own: one that comes from a user could name the client's secret.
    pub fn template(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), Text::Template(value.into())));
        self
    }

    /// Sends the session's access token in the `Authorization` header as well. A client that authenticates by
    /// `client_secret_basic` cannot: its credentials stand there.
    pub fn attach_token(mut self) -> Self {
        self.is_attached = true;
        self
    }

    /// Says that the new tokens may be another user's, as with `account_switch`. It counts for
    /// [`Auth::switch`](crate::Auth::switch) alone, which otherwise refuses them.
    pub fn changes_user(mut self) -> Self {
        self.changes_user = true;
        self
    }

    /// Asks a [further provider](crate::AuthBuilder::further_provider) instead of the one that the user signed in with.
    pub fn at(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// The scopes that the request asks for, where it says so.
    pub(super) fn asked_scopes(&self, party: &Party, session: &Session) -> Option<Scopes> {
        let (_, text) = self.parameters.iter().find(|(name, _)| name == "scope")?;
        Some(Scopes::parse(&self.value(text, session, party).ok()?))
    }

    fn value(&self, text: &Text, session: &Session, place: &Party) -> Result<Zeroizing<String>, Error> {
        match text {
            Text::Literal(text) => Ok(text.clone()),
            Text::Template(template) => {
                fill(template, |placeholder| replacement(placeholder, session, place))
            }
        }
    }

    /// The form's fields, without the client's credentials.
    fn form(&self, session: &Session, place: &Party) -> Result<Vec<(&str, Zeroizing<String>)>, Error> {
        let registration = &place.registration;
        let mut form = Vec::new();
        for (name, text) in &self.parameters {
            let value = self.value(text, session, place)?;
            match name.as_str() {
                "grant_type" => {
                    return Err(GrantError::misuse("`grant_type` is what the grant was made with").into());
                }
                "client_assertion" | "client_assertion_type" => {
                    return Err(GrantError::misuse(
                        "the client authenticates as it is registered; remove `client_assertion`",
                    )
                    .into());
                }
                "client_id" if *value != registration.client_id => {
                    return Err(GrantError::misuse("`client_id` is not this client's").into());
                }
                "client_secret" if Some(value.as_str()) != secret_of(&registration.authentication) => {
                    return Err(GrantError::misuse("`client_secret` is not this client's").into());
                }
                // The registered method puts them where they belong (RFC 6749 §2.3: no two methods in one request).
                "client_secret" => {}
                "client_id" if !matches!(registration.authentication, ClientAuthentication::Basic(_)) => {}
                _ => form.push((name.as_str(), value)),
            }
        }
        if self.is_attached && matches!(registration.authentication, ClientAuthentication::Basic(_)) {
            return Err(GrantError::misuse(
                "the token cannot be attached: `client_secret_basic` needs the `Authorization` header",
            )
            .into());
        }
        Ok(form)
    }
}

fn secret_of(authentication: &ClientAuthentication) -> Option<&str> {
    match authentication {
        ClientAuthentication::Basic(secret) | ClientAuthentication::Post(secret) => Some(secret.expose()),
        ClientAuthentication::PrivateKeyJwt(_)
        | ClientAuthentication::SecretJwt(_)
        | ClientAuthentication::Certificate(_)
        | ClientAuthentication::None => None,
    }
}

/// Replaces all placeholders of a text, from left to right. What is put in is not looked at again.
fn fill(
    template: &str,
    mut replacement: impl FnMut(&str) -> Result<Zeroizing<String>, Error>,
) -> Result<Zeroizing<String>, Error> {
    let mut filled = Zeroizing::new(String::new());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (placeholder, after) = after
            .split_once("}}")
            .ok_or_else(|| GrantError::misuse("a placeholder does not end with `}}`"))?;
        filled.push_str(before);
        filled.push_str(&replacement(placeholder)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn replacement(placeholder: &str, session: &Session, place: &Party) -> Result<Zeroizing<String>, Error> {
    let (data, registration) = (&session.data, &place.registration);
    let text = match placeholder {
        "accessToken" | "token" => {
            let token = data.tokens.access.as_ref().ok_or(NotSignedIn::TokenExpired)?;
            token.expose().to_owned()
        }
        "idToken" => {
            let token = session.verified_id_token();
            token.ok_or(GrantError::NothingToPresent("ID token"))?.expose().to_owned()
        }
        "clientId" | "clientID" => registration.client_id.clone(),
        "clientSecret" => secret_of(&registration.authentication)
            .ok_or_else(|| {
                GrantError::misuse(format!(
                    "`{{{{clientSecret}}}}` stands in a parameter, and the client has no secret: it authenticates by `{:?}`",
                    registration.authentication
                ))
            })?
            .to_owned(),
        "scopes" | "scope" => data.asked.to_string(),
        "username" => ["username", "preferred_username"]
            .iter()
            .find_map(|name| data.claims.str(name))
            .unwrap_or(&data.subject)
            .to_owned(),
        _ => return Err(GrantError::misuse(format!("`{{{{{placeholder}}}}}` is no placeholder")).into()),
    };
    Ok(Zeroizing::new(text))
}

/// The answer to a [`CustomGrant`], as the provider gave it: nothing in it is verified, the ID token neither.
#[derive(Clone)]
#[non_exhaustive]
pub struct TokenAnswer {
    /// `access_token` (RFC 6749 §5.1).
    pub access_token: Option<AccessToken>,
    /// `token_type` (RFC 6749 §5.1).
    pub token_type: Option<String>,
    /// When the access token dies, where the provider says so (`expires_in`).
    pub expires_at: Option<Timestamp>,
    /// `refresh_token` (RFC 6749 §5.1).
    pub refresh_token: Option<RefreshToken>,
    /// `id_token` (OpenID Connect Core §3.1.3.3). Nothing of it was checked.
    pub id_token: Option<IdToken>,
    /// `scope` (RFC 6749 §5.1); where it is missing, the scopes are those that were asked for.
    pub scopes: Option<Scopes>,
    /// All further members, as they came.
    pub members: Map<String, Value>,
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer")
            .field("access_token", &self.access_token)
            .field("expires_at", &self.expires_at)
            .field("refresh_token", &self.refresh_token)
            .field("id_token", &self.id_token)
            .finish_non_exhaustive()
    }
}

impl From<TokenResponse> for TokenAnswer {
    fn from(response: TokenResponse) -> Self {
        Self {
            expires_at: response.expires_at(),
            access_token: response.access_token,
            token_type: response.token_type,
            refresh_token: response.refresh_token,
            id_token: response.id_token,
            scopes: response.scope,
            members: response.extra,
        }
    }
}

impl Auth {
    /// Asks for tokens by any grant, and hands them out. The session stays as it is; [`switch`](Self::switch) makes
    /// such tokens the session's.
    ///
    /// Where the session's tokens are bound to a key (RFC 9449), the request proves it, and tokens of the type `DPoP` are bound to
    /// it. As all of the answer, its [type](TokenAnswer::token_type) is for the caller to judge.
    ///
    /// The request is made to its end, whoever goes away. Nothing is kept, and nothing is asked for a second time.
    ///
    /// # Errors
    ///
    /// [`Error::Grant`] where the provider refuses or is down, or the request makes no sense, and [`Error::fault`] tells these
    /// apart; and as [`authenticate`](Self::authenticate).
    pub async fn custom_grant(&self, session: &Session, grant: &CustomGrant) -> Result<TokenAnswer, Error> {
        let (core, session, grant) = (Arc::clone(self.core()), session.clone(), grant.clone());
        self.core()
            .spawn(async move {
                let session = core.fresh(session).await?;
                let place = core.place(grant.provider.as_deref(), &session).await?;
                let metadata = place.provider.metadata(core.clock.now()).await?;
                let response = core.ask(&place, &metadata, &session, &grant, None).await?;
                Ok(response.into())
            })
            .await
            .unwrap_or_else(|_| Err(RefreshError::Interrupted.into()))
    }
}

impl Core {
    /// Makes the request, once.
    pub(super) async fn ask(
        &self,
        place: &Party,
        metadata: &Metadata,
        session: &Session,
        grant: &CustomGrant,
        guard: Option<&SendGuard>,
    ) -> Result<TokenResponse, Error> {
        let form = grant.form(session, place)?;
        let request = TokenRequest {
            grant_type: &grant.grant_type,
            parameters: form.iter().map(|(name, value)| (*name, value.as_str())).collect(),
        };
        // An attached token is shown with a proof of its own key, and of no other.
        let dpop_key = match grant.is_attached {
            true => session.data.dpop_key.clone(),
            false => place.key_for(session, grant.provider.as_deref()),
        };
        let way = Way {
            attached: session.data.tokens.access.as_ref().filter(|_| grant.is_attached),
            guard,
            ..Way::proving(dpop_key.as_ref())
        };
        let key = sha256(&[session.key.as_bytes(), grant.grant_type.as_bytes()]);
        let response = place.tokens(metadata, &key, request, way, &self.clock).await;
        Ok(response?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, String> {
        fill(template, |placeholder| match placeholder {
            "a" => Ok(Zeroizing::new("{{b}}".to_owned())),
            "b" => Ok(Zeroizing::new("B".to_owned())),
            _ => Err(GrantError::misuse("unknown").into()),
        })
        .map(|text| text.to_string())
        .map_err(|error| match error {
            Error::Grant(error) => error.to_string(),
            other => other.to_string(),
        })
    }

    #[test]
    fn every_placeholder_is_replaced_and_what_is_put_in_is_left_alone() {
        for (template, text) in [
            ("", ""),
            ("plain } text {", "plain } text {"),
            ("{{b}}", "B"),
            ("{{b}}{{b}} and {{b}}", "BB and B"),
            ("<{{a}}>", "<{{b}}>"),
            ("{{b}}}", "B}"),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn a_placeholder_that_is_unknown_or_has_no_end_is_an_error() {
        for template in ["{{c}}", "{{ b }}", "{{}}", "{{b", "x{{b}", "{{{b}}"] {
            assert!(filled(template).is_err(), "{template}");
        }
    }
}
