//! The issuers whose tokens are accepted, and where their keys come from.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use url::Url;

use super::error::{BearerError, InvalidToken};
use super::jwt::{Candidate, Signed};
use crate::cache::{Cache, Word};
use crate::clock::Timestamp;
use crate::http::ProviderHttp;
use crate::jose::{Algorithm, KeySet};
use crate::metadata::{KEYS_FRESH, Provider, ProviderError, UNKNOWN_KEY_INTERVAL, fetch_keys};
use crate::party::Party;
use crate::types::Issuer;

/// An issuer of JWTs that is trusted.
pub(crate) struct TrustedIssuer {
    pub(crate) issuer: Issuer,
    pub(crate) keys: Keys,
}

/// Where an issuer's keys come from.
pub(crate) enum Keys {
    /// The provider of an [`Auth`](crate::Auth): metadata and keys are shared with it.
    OfAuth(Arc<Party>),
    /// The discovery document.
    Discovered(Box<Provider>),
    /// A URL given by hand.
    Given(Box<GivenKeys>),
}

/// A key set at a URL given by hand.
pub(crate) struct GivenKeys {
    uri: Url,
    http: ProviderHttp,
    runtime: Handle,
    keys: Cache<KeySet>,
}

impl GivenKeys {
    pub(crate) fn new(uri: Url, http: ProviderHttp, runtime: Handle) -> Self {
        Self {
            uri,
            http,
            runtime,
            keys: Cache::new(KEYS_FRESH),
        }
    }

    async fn keys(&self, now: Timestamp) -> Result<Arc<KeySet>, ProviderError> {
        self.keys.get(now, &self.runtime, || self.fetch()).await
    }

    async fn keys_again(&self, now: Timestamp) -> Option<Result<Arc<KeySet>, ProviderError>> {
        let again = self
            .keys
            .again(Word::OfAnybody, now, UNKNOWN_KEY_INTERVAL, &self.runtime, || {
                self.fetch()
            })?;
        Some(again.await)
    }

    fn fetch(&self) -> BoxFuture<'static, Result<KeySet, ProviderError>> {
        let (http, uri) = (self.http.clone(), self.uri.clone());
        Box::pin(async move { fetch_keys(&http, Some(uri)).await })
    }
}

impl Keys {
    fn provider(&self) -> Result<&Provider, &GivenKeys> {
        match self {
            Self::OfAuth(party) => Ok(&party.provider),
            Self::Discovered(provider) => Ok(provider),
            Self::Given(given) => Err(given),
        }
    }

    async fn present(&self, now: Timestamp) -> Result<Arc<KeySet>, ProviderError> {
        match self.provider() {
            Ok(provider) => provider.keys(&*provider.metadata(now).await?, now).await,
            Err(given) => given.keys(now).await,
        }
    }

    async fn again(&self, now: Timestamp) -> Option<Result<Arc<KeySet>, ProviderError>> {
        match self.provider() {
            Ok(provider) => match provider.metadata(now).await {
                Ok(metadata) => provider.keys_again(Word::OfAnybody, &metadata, now).await,
                Err(error) => Some(Err(error)),
            },
            Err(given) => given.keys_again(now).await,
        }
    }

    /// Whether these are the keys that are at hand. The issuer is not asked.
    pub(crate) fn are(&self, keys: &Arc<KeySet>) -> bool {
        match self.provider() {
            Ok(provider) => provider.keys_are(keys),
            Err(given) => given.keys.holds(keys),
        }
    }
}

impl TrustedIssuer {
    /// An issuer with keys at a URL given by hand.
    pub(crate) fn given(issuer: Issuer, keys: GivenKeys) -> Self {
        Self {
            issuer,
            keys: Keys::Given(Box::new(keys)),
        }
    }

    /// Checks a token's signature with the issuer's keys. Where none of them fits, they are fetched again, at most once in 30
    /// seconds.
    pub(crate) async fn check_signature(
        &self,
        candidate: &Candidate<'_>,
        algorithms: &[Algorithm],
        now: Timestamp,
    ) -> Result<(Signed, Arc<KeySet>), BearerError> {
        let mut keys = self.keys.present(now).await?;
        let mut signed = candidate.check_signature(&keys, algorithms);
        if matches!(signed, Err(InvalidToken::UnknownKey))
            && let Some(again) = self.keys.again(now).await
        {
            keys = again?;
            signed = candidate.check_signature(&keys, algorithms);
        }
        Ok((signed?, keys))
    }
}
