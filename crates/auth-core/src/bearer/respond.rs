//! From a refusal to the answer: status, challenges, `application/problem+json`.

use super::ResourceServer;
use super::error::{BearerError, InvalidToken};
use crate::origins::OriginId;
use crate::problem::Problem;
use crate::reply::{Reply, ReplyBody};

impl ResourceServer {
    /// Turns a refusal into its answer, with the challenges that are due, and logs it: called once, where it ends.
    pub fn refuse(&self, error: &BearerError) -> Reply {
        note(error);
        let document = self
            .0
            .problems
            .document(OriginId::FIRST, problem(error), || self.0.errors.clone());
        let mut reply = answer(error, document);
        for challenge in self.challenges(error) {
            reply = reply.with("www-authenticate", challenge);
        }
        if matches!(error, BearerError::NonceNeeded)
            && let Some(nonce) = self.0.dpop.as_ref().and_then(|dpop| dpop.nonce(self.now()))
        {
            reply = reply.with("dpop-nonce", nonce);
        }
        reply
    }

    /// The values of `WWW-Authenticate`, one for each scheme (RFC 6750 §3, RFC 9449 §7.1). The error stands with
    /// each scheme that it would meet again.
    fn challenges(&self, error: &BearerError) -> Vec<String> {
        let Some(parameters) = error.parameters() else {
            return Vec::new();
        };
        let realm = self.0.realm.as_ref().map(|realm| ("realm", realm.clone()));
        let has_dpop = self.0.dpop.is_some();
        let is_about_proofs = matches!(
            error,
            BearerError::InvalidProof(_)
                | BearerError::NonceNeeded
                | BearerError::InvalidToken(InvalidToken::NotBound | InvalidToken::BindingMismatch)
        );
        let (for_bearer, for_dpop) = match error {
            _ if has_dpop && is_about_proofs => (Vec::new(), parameters),
            BearerError::InvalidToken(InvalidToken::ProofNeeded) => (parameters, Vec::new()),
            _ => (parameters.clone(), parameters),
        };
        let mut challenges = vec![challenge("Bearer", realm.clone().into_iter().chain(for_bearer))];
        if has_dpop {
            let algorithms = super::ALL_ALGORITHMS
                .map(|algorithm| algorithm.as_str())
                .join(" ");
            let parameters = realm.into_iter().chain(for_dpop).chain([("algs", algorithms)]);
            challenges.push(challenge("DPoP", parameters));
        }
        if has_dpop && is_about_proofs {
            // The scheme to mend first.
            challenges.reverse();
        }
        challenges
    }
}

/// RFC 9110 §11.3. The values are the library's own or were checked: nothing in them has to be escaped.
fn challenge(scheme: &str, parameters: impl Iterator<Item = (&'static str, String)>) -> String {
    let parameters: Vec<_> = parameters
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    if parameters.is_empty() {
        scheme.to_owned()
    } else {
        format!("{scheme} {}", parameters.join(", "))
    }
}

fn problem(error: &BearerError) -> Problem {
    Problem {
        status: error.status(),
        code: error.code(),
        error: error.oauth_error(),
    }
}

fn answer(error: &BearerError, document: ReplyBody) -> Reply {
    let reply = Reply::problem(error.status(), document);
    match error.retry_after() {
        Some(after) => reply.with("retry-after", after.as_secs().max(1).to_string()),
        None => reply,
    }
}

impl BearerError {
    /// The answer where there is no [`ResourceServer`] to ask: to [`BearerError::LayerMissing`].
    pub fn without_server(&self) -> Reply {
        note(self);
        answer(self, problem(self).document(None))
    }
}

/// One line in the log for each refusal, at the level that fits who has to act. Nothing of the token is in it.
fn note(error: &BearerError) {
    let code = error.code();
    match error {
        BearerError::NoToken => tracing::debug!(code, "a request brings no access token"),
        BearerError::Provider(_)
        | BearerError::Introspection { .. }
        | BearerError::Store(_)
        | BearerError::Busy => {
            tracing::warn!(
                code,
                cause = crate::error::chain(error),
                "an access token could not be checked"
            );
        }
        BearerError::LayerMissing | BearerError::InvalidToken(InvalidToken::NoMeans) => {
            tracing::error!(
                code,
                cause = crate::error::chain(error),
                "the application is not set up correctly"
            );
        }
        _ => tracing::info!(
            code,
            cause = crate::error::chain(error),
            "an access token was refused"
        ),
    }
}
