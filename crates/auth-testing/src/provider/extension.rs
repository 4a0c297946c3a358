//! Extension grants (RFC 6749 §4.5): a switch of organization or account, as some providers have them, and assertions of
//! another provider (RFC 7523).

use serde_json::{Map, Value};

use super::Provider;
use super::client::Client;
use super::error::OauthError;
use super::grants::{Grant, GrantId};
use super::token::AccessTokenRequest;
use crate::params::Params;

/// `grant_type` of an assertion (RFC 7523 §2.1).
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl Provider {
    /// The same user in another organization: new tokens with `org_id`; the old grant ends.
    pub(super) fn switch_organization(
        &self,
        client: &Client,
        form: &Params,
        jkt: Option<&str>,
    ) -> Result<Value, OauthError> {
        let organization = form
            .one("switching_organization")?
            .ok_or(OauthError::invalid_request("switching_organization is missing"))?
            .to_owned();
        self.switch(client, form, jkt, |grant| grant.organization = Some(organization))
    }

    /// Another account: new tokens of that user; the old grant ends.
    pub(super) fn switch_account(
        &self,
        client: &Client,
        form: &Params,
        jkt: Option<&str>,
    ) -> Result<Value, OauthError> {
        let account = form
            .one("account")?
            .ok_or(OauthError::invalid_request("account is missing"))?
            .to_owned();
        if self.user(&account).is_none() {
            return Err(OauthError::invalid_grant("no such account"));
        }
        self.switch(client, form, jkt, |grant| grant.sub = account)
    }

    fn switch(
        &self,
        client: &Client,
        form: &Params,
        jkt: Option<&str>,
        change: impl FnOnce(&mut Grant),
    ) -> Result<Value, OauthError> {
        let token = form
            .one("token")?
            .ok_or(OauthError::invalid_request("token is missing"))?;
        let token = self
            .access_token(token)
            .map_err(|_| OauthError::invalid_grant("the token is not good"))?;
        if token.jkt().is_some() && token.jkt() != jkt {
            return Err(OauthError::invalid_grant("the token is bound to another key"));
        }
        let (old, mut grant) = self
            .grant_of(&token.jti())
            .filter(|(_, grant)| grant.client_id == client.id)
            .ok_or(OauthError::invalid_grant("not a user's token of this client"))?;
        let asked = form.words("scope")?;
        if asked.iter().any(|scope| !grant.scope.contains(scope)) {
            return Err(OauthError::new("invalid_scope", "more than was granted"));
        }
        if !asked.is_empty() {
            grant.scope = asked;
        }
        grant.jkt = jkt.map(str::to_owned);
        change(&mut grant);
        let (id, refresh_token) = {
            let mut grants = self.grants();
            grants.revoke(old);
            let id = grants.begin(grant.clone());
            let refreshable = grant.gives_refresh_token();
            (id, refreshable.then(|| grants.issue_refresh_token(id)))
        };
        Ok(self.tokens(&grant, id, &grant.scope, refresh_token, Some(None)))
    }

    fn grant_of(&self, jti: &str) -> Option<(GrantId, Grant)> {
        let grants = self.grants();
        let id = grants.grant_of_access_token(jti)?;
        Some((id, grants.grant(id)?))
    }

    /// An ID token of a provider that this one trusts, for an access token of this one.
    pub(super) fn redeem_assertion(
        &self,
        client: &Client,
        form: &Params,
        jkt: Option<&str>,
    ) -> Result<Value, OauthError> {
        let assertion = form
            .one("assertion")?
            .ok_or(OauthError::invalid_request("assertion is missing"))?;
        let sub = self
            .trusted_subject(assertion)
            .ok_or(OauthError::invalid_grant("nobody trusts the assertion"))?;
        let scope = form.words("scope")?;
        let (token, expires_in) = self.issue_access_token(AccessTokenRequest {
            client_id: &client.id,
            sub: &sub,
            scope: &scope,
            audience: self.audience(&[]),
            grant: None,
            jkt,
            extra: Map::new(),
        });
        Ok(self.answer(token, expires_in, &scope, jkt))
    }

    /// The user whom an access token or an ID token of a trusted provider is about.
    pub(super) fn trusted_subject(&self, token: &str) -> Option<String> {
        let trusted = self.settings().trusted.clone();
        trusted.iter().find_map(|provider| {
            let access = provider.access_token(token).ok();
            access
                .map(|token| token.text("sub").to_owned())
                .or_else(|| provider.id_token_subject(token))
        })
    }
}
