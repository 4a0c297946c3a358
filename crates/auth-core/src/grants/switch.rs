//! Other tokens for a session: another organization, another account.
//!
//! A switch is a sign-in without the browser's way to the provider. What a refresh is checked for, a switch is as well;
//! the app's hook hears of it; and, as whenever the user or the rights change, the session gets a new identifier.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::{CustomGrant, GrantError};
use crate::auth::{Auth, Core};
use crate::clock::Timestamp;
use crate::dpop::Credential;
use crate::error::{Error, NotSignedIn};
use crate::events::{EndReason, EventKind};
use crate::http::SendGuard;
use crate::metadata::Metadata;
use crate::party::Party;
use crate::refresh::{POLL, RefreshError, SEND_WITHIN, WAIT_FOR_HOLDER};
use crate::reply::{AppData, SessionChange};
use crate::secret::{AccessToken, SessionId};
use crate::session::{Session, SessionData, Tokens};
use crate::sign_in::{IdTokenDemands, Identity};
use crate::step_up::Demands;
use crate::store::{Acquired, Inserted, Lease, SessionKey, StoreError};
use crate::token::TokenResponse;

/// A session after a [switch](Auth::switch).
#[derive(Debug)]
#[must_use = "the browser has to be given the new identifier, or it is signed out"]
pub struct Switched {
    /// The session, under its new name.
    pub session: Session,
    /// What becomes of the identifier that the browser holds. An adapter carries it out.
    pub change: SessionChange,
}

impl Auth {
    /// Makes the tokens of a custom grant the session's. The adapters' `SwitchSession` does it for a request, and gives
    /// the browser the new identifier.
    ///
    /// * Nobody refreshes the session meanwhile, on any instance: the switch holds the session's lease.
    /// * An ID token in the answer is verified as a refreshed one: same issuer, same audience, no other nonce. It has to name the same
    ///   user, unless the grant was said to [change the user](CustomGrant::changes_user); then there has to be one. Its
    ///   claims, with userinfo's, take the place of the old ones, and the [sign-in hook](crate::AuthBuilder::on_sign_in)
    ///   sees them and can refuse. Without one the user and the claims stay.
    /// * The old tokens go, the refresh token too: it would bring back what was switched from. They are not revoked, since
    ///   many providers end with them what was derived from them. Where the answer has no refresh token, the session lasts
    ///   as long as its access token.
    /// * Then the session gets a new identifier, and the old one lets nobody in any more. It ends when it would have ended.
    /// * Where anything fails, the session stays as it was, and the new tokens are dropped. A sign-out meanwhile wins.
    /// * Once begun it runs to its end. Whoever drops the future does not learn the new identifier, and the browser's old one
    ///   lets nobody in: its user signs in again.
    ///
    /// # Errors
    ///
    /// [`Error::Grant`] where the provider refuses or is down, the request makes no sense, or the tokens are another
    /// user's; [`Error::Login`] where the ID token or userinfo does not verify, or the hook refuses; and as
    /// [`authenticate`](Self::authenticate).
    pub async fn switch(&self, session: &Session, grant: &CustomGrant) -> Result<Switched, Error> {
        let (core, session, grant) = (Arc::clone(self.core()), session.clone(), grant.clone());
        self.core()
            .spawn(async move { core.switch(&session, &grant).await })
            .await
            .unwrap_or_else(|_| Err(RefreshError::Interrupted.into()))
    }
}

impl Core {
    async fn switch(self: &Arc<Self>, session: &Session, grant: &CustomGrant) -> Result<Switched, Error> {
        if grant.provider.is_some() {
            return Err(
                GrantError::misuse("a session's tokens are those of the provider it signed in with").into(),
            );
        }
        let key = &session.key;
        let party = self.party_of(session).await?;
        if grant.changes_user && !party.provider.is_openid() {
            return Err(GrantError::misuse("without ID tokens nobody knows who the new user is").into());
        }
        let began_at = self.clock.now();
        let metadata = party.provider.metadata(began_at).await?;
        let (held, lease, asked_at) = self.hold(key).await?;
        let guard = SendGuard::until(asked_at + SEND_WITHIN);
        let switched = tokio::select! {
            switched = self.switch_held(&held, &party, &metadata, grant, &guard, began_at) => switched,
            () = self.keep_lease(key, &lease, &guard) => unreachable!("a lease is kept for ever"),
        };
        if switched.is_err() {
            // A lease that cannot be given back ends by itself.
            let _ = self.store.release(key, &lease, self.clock.now()).await;
        }
        switched
    }

    /// Takes the session's lease, its access token alive.
    async fn hold(self: &Arc<Self>, key: &SessionKey) -> Result<(Session, Lease, Instant), Error> {
        let give_up_at = Instant::now() + WAIT_FOR_HOLDER;
        let mut pause = POLL.0;
        loop {
            let session = self.alive(key).await?;
            let asked_at = Instant::now();
            match self.acquire(key, session.record.version).await? {
                Acquired::Got(record) => {
                    let lease = record.lease;
                    let session = self.view(key, record).ok_or(NotSignedIn::Ended)?;
                    return Ok((session, lease.ok_or(RefreshError::Busy)?, asked_at));
                }
                Acquired::Gone => return Err(NotSignedIn::Ended.into()),
                Acquired::Held(_) | Acquired::Newer(_) if Instant::now() + pause > give_up_at => {
                    return Err(RefreshError::Busy.into());
                }
                Acquired::Held(_) | Acquired::Newer(_) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(POLL.1);
                }
            }
        }
    }

    async fn switch_held(
        self: &Arc<Self>,
        held: &Session,
        party: &Party,
        metadata: &Metadata,
        grant: &CustomGrant,
        guard: &SendGuard,
        began_at: Timestamp,
    ) -> Result<Switched, Error> {
        let response = self.ask(party, metadata, held, grant, Some(guard)).await?;
        // The session keeps its key, if it has one, and with it the type of its tokens.
        if !response.is_of(held.data.scheme()) {
            return Err(GrantError::Unusable("`token_type` is not the session's").into());
        }
        let access_token = response
            .access_token
            .clone()
            .ok_or(GrantError::Unusable("`access_token` is missing"))?;
        let identity = self
            .switched_identity(held, party, metadata, grant, &response, &access_token)
            .await?;
        let data = self
            .switched_data(held, party, grant, &response, access_token, identity)
            .await?;
        self.put_in_place(held, data, &response, began_at).await
    }

    /// Who the new tokens are for: `None` where there is no ID token that says so, and it is the same user.
    async fn switched_identity(
        &self,
        held: &Session,
        party: &Party,
        metadata: &Metadata,
        grant: &CustomGrant,
        response: &TokenResponse,
        access_token: &AccessToken,
    ) -> Result<Option<Identity>, Error> {
        if !party.provider.is_openid() || response.id_token.is_none() {
            return match grant.changes_user {
                true => Err(GrantError::Unusable("there is no ID token that says whose it is").into()),
                false => Ok(None),
            };
        }
        let credential = Credential {
            token: access_token.clone(),
            key: held.data.dpop_key.clone(),
        };
        let demands = IdTokenDemands {
            nonce: None,
            max_age: None,
        };
        let identity = self
            .identity_of_id_token(party, metadata, response, &credential, &demands)
            .await?;
        if identity.subject != held.data.subject && !grant.changes_user {
            return Err(GrantError::OtherUser.into());
        }
        if identity.audience != held.data.audience {
            return Err(GrantError::Unusable("the ID token is for another audience").into());
        }
        // OpenID Connect Core §12.2: none, or that of the first one. Another user's may be of a sign-in of their own.
        let is_others = |nonce: String| held.data.nonce.as_ref().is_some_and(|held| *held != nonce);
        if !grant.changes_user && identity.nonce().is_some_and(is_others) {
            return Err(GrantError::Unusable("the ID token answers another authorization request").into());
        }
        Ok(Some(identity))
    }

    async fn switched_data(
        &self,
        held: &Session,
        party: &Party,
        grant: &CustomGrant,
        response: &TokenResponse,
        access_token: AccessToken,
        identity: Option<Identity>,
    ) -> Result<SessionData, Error> {
        let mut data = SessionData::clone(&held.data);
        let scopes = response
            .scope
            .clone()
            // RFC 6749 §5.1: what is not named is what was asked for.
            .or_else(|| grant.asked_scopes(party, held))
            .unwrap_or_else(|| data.tokens.scopes.clone());
        if let Some(identity) = identity {
            let shaped = self
                .shape(
                    party,
                    self.origin_of(held),
                    response,
                    &access_token,
                    &identity,
                    scopes.clone(),
                )
                .await?;
            let is_same = identity.subject == data.subject;
            data.claims = shaped.claims;
            data.kept_claims = shaped.kept;
            data.older_claims = Vec::new();
            data.app = shaped.app;
            data.id_token.clone_from(&response.id_token);
            data.auth_time = identity.auth_time.or(data.auth_time.filter(|_| is_same));
            data.nonce = identity.nonce().or(data.nonce.filter(|_| is_same));
            // As with a refresh: what the new token does not say does not hold any more.
            data.acr = identity.acr;
            data.sid = identity.sid.or(data.sid.filter(|_| is_same));
            data.audience = identity.audience;
            data.subject = identity.subject;
            if let Some(end) = identity.session_expiry {
                data.ends_at = data.ends_at.min(end);
            }
        }
        // What the sign-in was made for was answered by the old tokens. How many followed each other at once stays: an app
        // that switches right after each sign-in makes no circle.
        data.demanded = Demands {
            round: data.demanded.round,
            ..Demands::default()
        };
        data.tokens = Tokens {
            access: Some(access_token),
            access_issued_at: response.requested_at,
            access_expires_at: response.expires_at(),
            refresh: response.refresh_token.clone(),
            refresh_expires_at: response.refresh_expires_at(),
            scopes,
            authorization_details: response.authorization_details().unwrap_or_default(),
        };
        Ok(data)
    }

    /// Puts the session under a new name, and takes it away under the old one.
    async fn put_in_place(
        self: &Arc<Self>,
        held: &Session,
        data: SessionData,
        response: &TokenResponse,
        began_at: Timestamp,
    ) -> Result<Switched, Error> {
        let app_data = match (&held.data.issuer, &held.data.subject) == (&data.issuer, &data.subject) {
            true => AppData::Keep,
            false => AppData::End,
        };
        let at = self.config.origins.marked(data.origin.as_deref());
        let (id, now) = (SessionId::random(at.unwrap_or_default()), self.clock.now());
        let key = id.key();
        let record = data.record(
            &self.config.keys,
            &key,
            held.record.created_at,
            now,
            self.config.session_idle,
        );
        match self.store.insert(&key, record.clone(), now).await? {
            Inserted::Yes => {}
            // 256 random bits do not meet by chance.
            Inserted::Taken => return Err(StoreError::Corrupt("a new session's key is taken").into()),
        }
        let is_out = self.signed_out_since(&held.data.issuer, &record, began_at).await;
        let ended = match is_out {
            Ok(None) => self.take_away(held).await,
            Ok(Some(_)) => Ok(false),
            Err(error) => Err(error),
        };
        if !matches!(ended, Ok(true)) {
            let removed = self.delete(&key, None, now).await;
            ended?;
            removed?;
            // Somebody has signed out meanwhile: that wins.
            self.revoke_in_background(
                key,
                held.data.issued_by(),
                response.refresh_token.clone(),
                response.access_token.clone(),
            );
            return Err(NotSignedIn::Ended.into());
        }
        self.exchanged.forget(&held.key);
        self.tell_end(held, EndReason::Replaced, None);
        tracing::info!(session = ?held.key, now = ?key, "a session has other tokens");
        let session = self
            .view(&key, Arc::new(record))
            .ok_or(StoreError::Corrupt("a session just sealed cannot be opened"))?;
        self.tell(EventKind::Switched { from: held.key }, |event| {
            event.of_session(&session);
        });
        Ok(Switched {
            session,
            change: SessionChange::Set { id, app_data },
        })
    }

    /// Takes the session away, and says whether it was still there.
    async fn take_away(self: &Arc<Self>, held: &Session) -> Result<bool, StoreError> {
        let mut version = held.record.version;
        loop {
            let now = self.clock.now();
            let deleted = self.delete(&held.key, Some(version), now).await;
            if let Ok(true) = deleted {
                return Ok(true);
            }
            match (self.store.load(&held.key, now).await, deleted) {
                (Ok(None), Ok(_)) => return Ok(false),
                // It was this one perhaps, whose answer is lost, or somebody has signed out. Nobody is signed in then.
                (Ok(None), Err(_)) => {
                    let old = held.data.tokens.clone();
                    self.revoke_in_background(held.key, held.data.issued_by(), old.refresh, old.access);
                    return Ok(false);
                }
                (_, Err(error)) | (Err(error), _) => return Err(error),
                // Refreshed by one who had lost the lease: those tokens are the old ones all the same.
                (Ok(Some(newer)), Ok(_)) => version = newer.version,
            }
        }
    }
}
