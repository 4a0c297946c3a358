//! What the provider has given out: codes, refresh tokens, access tokens, browser sessions.

use std::collections::HashMap;

use crate::random;

/// What a user granted to a client. Its refresh tokens are one family; revoking it ends all tokens.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) sub: String,
    pub(crate) scope: Vec<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) authentication: SignOn,
    pub(crate) resource: Vec<String>,
    /// What was asked for in detail, and granted (RFC 9396).
    pub(crate) authorization_details: Vec<serde_json::Value>,
    /// The key that its tokens are bound to (RFC 9449 §5); refresh tokens of confidential clients are, too.
    pub(crate) jkt: Option<String>,
    /// The organization that the user has switched to.
    pub(crate) organization: Option<String>,
    /// Whether there is a refresh token without `offline_access`, as with many providers.
    pub(crate) is_refreshable: bool,
    pub(crate) first_token: FirstToken,
}

impl Grant {
    pub(crate) fn gives_refresh_token(&self) -> bool {
        self.is_refreshable || self.scope.iter().any(|scope| scope == "offline_access")
    }
}

/// What is special about the access token that comes with the code's answer.
#[derive(Clone, Default)]
pub(crate) struct FirstToken {
    pub(crate) lifetime: Option<std::time::Duration>,
    pub(crate) text: Option<String>,
}

/// How and when the user signed in at the provider.
#[derive(Clone)]
pub(crate) struct SignOn {
    pub(crate) sid: String,
    pub(crate) auth_time: i64,
    pub(crate) acr: String,
    pub(crate) amr: Vec<String>,
}

/// Names a grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct GrantId(u64);

struct GrantState {
    grant: Grant,
    revoked: bool,
}

/// An authorization code that was not redeemed yet, or was.
struct Code {
    grant: Grant,
    binding: CodeBinding,
    expires_at: i64,
    redeemed: Option<Option<GrantId>>,
}

struct Refresh {
    grant: GrantId,
    rotated: bool,
}

struct Access {
    grant: Option<GrantId>,
    client_id: String,
    revoked: bool,
}

/// A browser session at the provider (single sign-on).
#[derive(Clone)]
pub(crate) struct BrowserSession {
    pub(crate) sub: String,
    pub(crate) sign_on: SignOn,
}

/// What the token request must match for a code (RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 9449 §10).
#[derive(Clone)]
pub(crate) struct CodeBinding {
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: String,
    pub(crate) dpop_jkt: Option<String>,
}

/// Why a code or refresh token is worth nothing.
#[derive(Debug)]
pub(crate) enum Refused {
    Unknown,
    Expired,
    OtherClient,
    /// It was used before; everything that came of it is revoked now.
    Reused,
    Revoked,
}

/// Everything given out and still of use.
#[derive(Default)]
pub(crate) struct Grants {
    next_id: u64,
    grants: HashMap<GrantId, GrantState>,
    codes: HashMap<String, Code>,
    refresh: HashMap<String, Refresh>,
    access: HashMap<String, Access>,
    sessions: HashMap<String, BrowserSession>,
    assertions: HashMap<String, i64>,
    request_objects: HashMap<String, i64>,
    pushed: HashMap<String, (crate::params::Params, i64)>,
    reuse_count: u64,
}

impl Grants {
    pub(crate) fn issue_code(&mut self, grant: Grant, binding: CodeBinding, expires_at: i64) -> String {
        let code = random::token();
        self.codes.insert(
            code.clone(),
            Code {
                grant,
                binding,
                expires_at,
                redeemed: None,
            },
        );
        code
    }

    /// Uses up a code. The second attempt revokes what the first one gave (RFC 6749 §4.1.2).
    ///
    /// The code is used up even where the caller finds the binding broken: whoever guesses verifiers gets one try.
    pub(crate) fn redeem_code(
        &mut self,
        code: &str,
        client_id: &str,
        now: i64,
    ) -> Result<(Grant, CodeBinding), Refused> {
        let found = self.codes.get_mut(code).ok_or(Refused::Unknown)?;
        if found.grant.client_id != client_id {
            return Err(Refused::OtherClient);
        }
        if let Some(given) = found.redeemed {
            if let Some(id) = given {
                self.revoke(id);
            }
            return Err(Refused::Reused);
        }
        found.redeemed = Some(None);
        if found.expires_at <= now {
            return Err(Refused::Expired);
        }
        Ok((found.grant.clone(), found.binding.clone()))
    }

    /// Opens the grant that `code` stands for.
    pub(crate) fn open(&mut self, code: &str, grant: Grant) -> GrantId {
        let id = self.begin(grant);
        if let Some(code) = self.codes.get_mut(code) {
            code.redeemed = Some(Some(id));
        }
        id
    }

    /// Begins a grant that no code stands for.
    pub(crate) fn begin(&mut self, grant: Grant) -> GrantId {
        self.next_id += 1;
        let id = GrantId(self.next_id);
        self.grants.insert(
            id,
            GrantState {
                grant,
                revoked: false,
            },
        );
        id
    }

    pub(crate) fn issue_refresh_token(&mut self, grant: GrantId) -> String {
        let token = random::token();
        self.refresh.insert(
            token.clone(),
            Refresh {
                grant,
                rotated: false,
            },
        );
        token
    }

    /// The grant of a refresh token that is good. One that was rotated before kills its whole family
    /// (RFC 9700 §4.14.2).
    pub(crate) fn refresh_grant(
        &mut self,
        token: &str,
        client_id: &str,
    ) -> Result<(GrantId, Grant), Refused> {
        let found = self.refresh.get(token).ok_or(Refused::Unknown)?;
        let (id, rotated) = (found.grant, found.rotated);
        let state = self.grants.get(&id).ok_or(Refused::Unknown)?;
        if state.grant.client_id != client_id {
            return Err(Refused::OtherClient);
        }
        if rotated {
            self.reuse_count += 1;
            self.revoke(id);
            return Err(Refused::Reused);
        }
        if state.revoked {
            return Err(Refused::Revoked);
        }
        Ok((id, state.grant.clone()))
    }

    pub(crate) fn rotate(&mut self, token: &str, grant: GrantId) -> String {
        if let Some(old) = self.refresh.get_mut(token) {
            old.rotated = true;
        }
        self.issue_refresh_token(grant)
    }

    pub(crate) fn record_access_token(&mut self, jti: &str, grant: Option<GrantId>, client: &str) {
        self.access.insert(
            jti.to_owned(),
            Access {
                grant,
                client_id: client.to_owned(),
                revoked: false,
            },
        );
    }

    /// Whether the access token was revoked, by itself or with its grant.
    pub(crate) fn is_revoked(&self, jti: &str) -> bool {
        self.access.get(jti).is_some_and(|access| {
            access.revoked
                || access
                    .grant
                    .is_some_and(|id| self.grants.get(&id).is_none_or(|state| state.revoked))
        })
    }

    pub(crate) fn grant_of_access_token(&self, jti: &str) -> Option<GrantId> {
        self.access.get(jti)?.grant
    }

    pub(crate) fn grant(&self, id: GrantId) -> Option<Grant> {
        self.grants.get(&id).map(|state| state.grant.clone())
    }

    pub(crate) fn access_token_client(&self, jti: &str) -> Option<&str> {
        self.access.get(jti).map(|access| access.client_id.as_str())
    }

    pub(crate) fn revoke_access_token(&mut self, jti: &str) {
        if let Some(access) = self.access.get_mut(jti) {
            access.revoked = true;
        }
    }

    /// The client and grant of a refresh token that still stands for a grant, and whether it is the newest.
    pub(crate) fn look_up_refresh_token(&self, token: &str) -> Option<(GrantId, &Grant, bool)> {
        let found = self.refresh.get(token)?;
        let state = self.grants.get(&found.grant)?;
        let active = !state.revoked && !found.rotated;
        Some((found.grant, &state.grant, active))
    }

    pub(crate) fn revoke(&mut self, id: GrantId) {
        if let Some(state) = self.grants.get_mut(&id) {
            state.revoked = true;
        }
    }

    pub(crate) fn revoke_all(&mut self, matches: impl Fn(&Grant) -> bool) {
        for state in self.grants.values_mut() {
            state.revoked |= matches(&state.grant);
        }
    }

    /// Forgets every refresh token; access tokens live on.
    pub(crate) fn kill_refresh_tokens(&mut self) {
        self.refresh.clear();
    }

    pub(crate) fn reuse_count(&self) -> u64 {
        self.reuse_count
    }

    pub(crate) fn open_session(&mut self, session: BrowserSession) -> String {
        let id = random::token();
        self.sessions.insert(id.clone(), session);
        id
    }

    pub(crate) fn session(&self, id: &str) -> Option<&BrowserSession> {
        self.sessions.get(id)
    }

    /// Ends the browser session with that identifier, and the one an ID token names by its `sid`.
    pub(crate) fn end_sessions(&mut self, id: Option<&str>, sid: Option<&str>) {
        self.sessions
            .retain(|key, session| Some(key.as_str()) != id && Some(session.sign_on.sid.as_str()) != sid);
    }

    pub(crate) fn end_sessions_of(&mut self, sub: &str) {
        self.sessions.retain(|_, session| session.sub != sub);
    }

    /// Whether a client assertion's `jti` is new.
    pub(crate) fn remember_assertion(&mut self, jti: &str, expires_at: i64, now: i64) -> bool {
        self.assertions.retain(|_, until| *until + 120 > now);
        self.assertions.insert(jti.to_owned(), expires_at).is_none()
    }

    /// Whether a request object's `jti` is new.
    pub(crate) fn remember_request_object(&mut self, jti: &str, expires_at: i64, now: i64) -> bool {
        self.request_objects.retain(|_, until| *until > now);
        self.request_objects.insert(jti.to_owned(), expires_at).is_none()
    }

    pub(crate) fn push_request(&mut self, params: crate::params::Params, expires_at: i64) -> String {
        let uri = format!("urn:ietf:params:oauth:request_uri:{}", random::token());
        self.pushed.insert(uri.clone(), (params, expires_at));
        uri
    }

    /// The pushed request of that name; it serves one authorization request (RFC 9126 §4).
    pub(crate) fn take_pushed(&mut self, uri: &str, now: i64) -> Option<crate::params::Params> {
        let (params, expires_at) = self.pushed.remove(uri)?;
        (expires_at > now).then_some(params)
    }
}
