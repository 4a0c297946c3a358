//! How an authorization request gets to the provider: in the query of the redirect, or pushed to it beforehand
//! (RFC 9126), so that the browser carries no more than a name of it; and, either way, as it is or signed (RFC 9101).

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use crate::client_auth::ClientAuthentication;
use crate::clock::Timestamp;
use crate::config::ParPolicy;
use crate::dpop::DpopKey;
use crate::http::{Answer, Asked};
use crate::login::{AuthorizationErrorCode, LoginError};
use crate::metadata::{Metadata, ProviderError};
use crate::party::Party;
use crate::request_object;
use crate::token::{Registration, TokenError, Way, seconds};

/// A request's name that is longer, in bytes, is refused: it goes into a redirect, whose length proxies limit.
const MAX_REQUEST_URI: usize = 2048;

impl Party {
    /// Whether authorization requests are pushed.
    pub(crate) fn pushes(&self, metadata: &Metadata) -> Result<bool, LoginError> {
        Ok(endpoint(self.config.par, metadata)?.is_some())
    }

    /// Where the browser is sent with this authorization request. Where it is to be pushed, it has been.
    pub(crate) async fn authorization_url(
        &self,
        metadata: &Metadata,
        parameters: Vec<(String, String)>,
        key: Option<&DpopKey>,
        now: Timestamp,
    ) -> Result<Url, LoginError> {
        let endpoint = endpoint(self.config.par, metadata)?;
        let keys = self.config.client_keys.as_ref();
        let parameters = match keys.filter(|_| self.config.signs_requests) {
            None => parameters,
            Some(keys) => {
                let object = request_object::sign(
                    keys,
                    &self.registration.client_id,
                    metadata.issuer.as_str(),
                    &metadata.request_object_algorithms,
                    &parameters,
                    now,
                );
                beside(parameters, object, endpoint.is_some())
            }
        };
        let parameters = match endpoint {
            None => parameters,
            Some(endpoint) => {
                let name = (self.registration)
                    .push(metadata, endpoint, &parameters, key, now)
                    .await?;
                // RFC 9126 §4: nothing else, for who changes the redirect must change nothing of the request.
                vec![
                    ("client_id".to_owned(), self.registration.client_id.clone()),
                    ("request_uri".to_owned(), name),
                ]
            }
        };
        let mut url = metadata.authorization_endpoint.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        Ok(url)
    }
}

/// What stands beside a request object. Pushed, that is nothing but what authenticates the client (RFC 9126 §3). In a query
/// it is the client's id (RFC 9101 §5), and for OpenID Connect what every request has to have there (Core §6.1).
fn beside(parameters: Vec<(String, String)>, object: String, is_pushed: bool) -> Vec<(String, String)> {
    let is_openid = |scope: &str| scope.split(' ').any(|scope| scope == "openid");
    let is_openid = parameters
        .iter()
        .any(|(name, value)| name == "scope" && is_openid(value));
    let mut beside: Vec<_> = parameters
        .into_iter()
        .filter(|(name, _)| match name.as_str() {
            "client_id" => true,
            "response_type" => is_openid && !is_pushed,
            _ => false,
        })
        .collect();
    if is_openid && !is_pushed {
        beside.push(("scope".to_owned(), "openid".to_owned()));
    }
    beside.push(("request".to_owned(), object));
    beside
}

/// Where the request is to be pushed to, if it is.
fn endpoint(policy: ParPolicy, metadata: &Metadata) -> Result<Option<&Url>, LoginError> {
    const NAME: &str = "pushed_authorization_request_endpoint";
    let endpoint = metadata.pushed_authorization_request_endpoint.as_ref();
    match (policy, metadata.requires_pushed_requests) {
        (ParPolicy::Never, true) => Err(LoginError::PushRequired),
        (ParPolicy::Never | ParPolicy::Auto, false) => Ok(None),
        (ParPolicy::Auto | ParPolicy::Always, true) => match endpoint {
            Some(endpoint) => Ok(Some(endpoint)),
            None => Err(ProviderError::DiscoveryInsufficient(NAME).into()),
        },
        (ParPolicy::Always, false) => endpoint.map(Some).ok_or(LoginError::PushUnsupported),
    }
}

impl Registration {
    /// Pushes an authorization request (RFC 9126 §2.1): its name at the provider, to be used once and at once. With a key, a
    /// proof goes along, whether or not `dpop_jkt` names the key already (RFC 9449 §10.1).
    async fn push(
        &self,
        metadata: &Metadata,
        endpoint: &Url,
        parameters: &[(String, String)],
        key: Option<&DpopKey>,
        now: Timestamp,
    ) -> Result<String, LoginError> {
        // Credentials in the form bring `client_id` along, and it may stand there once (RFC 6749 §3.2).
        let is_named_already = !matches!(self.authentication, ClientAuthentication::Basic(_));
        let form: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !(is_named_already && *name == "client_id"))
            .collect();
        let asked = (Asked::PushedAuthorization, endpoint);
        let answer = self
            .post(metadata, asked, &form, Way::proving(key), now)
            .await
            .map_err(LoginError::Push)?;
        read(&answer).map_err(|error| match error {
            LoginError::PushRefused(AuthorizationErrorCode::InvalidClient) => {
                LoginError::ClientRefused(self.authentication.method())
            }
            error => error,
        })
    }
}

/// The request's name in the answer (RFC 9126 §2.2), or the error (§2.3).
fn read(answer: &Answer) -> Result<String, LoginError> {
    let malformed = |what| LoginError::Push(TokenError::Malformed(what));
    let members: Map<String, Value> =
        serde_json::from_slice(&answer.body).map_err(|_| malformed("it is no JSON object"))?;
    // As at the token endpoint: an error is an error, whatever the status is and whatever stands beside it.
    match members.get("error") {
        None | Some(Value::Null) => {}
        Some(error) => {
            let code = error
                .as_str()
                .map_or(AuthorizationErrorCode::Other, AuthorizationErrorCode::of);
            return Err(LoginError::PushRefused(code));
        }
    }
    if !answer.status.is_success() {
        return Err(malformed("its status says error, its body does not"));
    }
    let name = members.get("request_uri").and_then(Value::as_str);
    let name = name
        .filter(|name| name.len() <= MAX_REQUEST_URI && Url::parse(name).is_ok())
        .ok_or_else(|| malformed("there is no request_uri in it that can be used"))?;
    // The browser goes there at once, so any time will do, where there is any.
    if members.get("expires_in").and_then(seconds) == Some(Duration::ZERO) {
        return Err(malformed("the request_uri has expired already"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn answer(status: u16, body: &str) -> Result<String, LoginError> {
        read(&Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    #[test] // RFC 9126 §2.2
    fn the_name_is_taken_however_long_it_lives() {
        for rest in [
            r#","expires_in":60"#,
            r#","expires_in":1"#,
            r#","expires_in":"90","more":[]"#,
            r#","expires_in":"soon""#,
            r#","expires_in":null,"error":null"#,
            "",
        ] {
            for status in [200, 201] {
                let body = format!(r#"{{"request_uri":"urn:example:bwc4JK-ESC0w8acc191e-Y1LTC2"{rest}}}"#);
                assert_eq!(
                    answer(status, &body).expect(rest),
                    "urn:example:bwc4JK-ESC0w8acc191e-Y1LTC2"
                );
            }
        }
    }

    #[test] // RFC 9126 §2.2
    fn what_names_no_request_is_malformed() {
        let long = format!(
            r#"{{"request_uri":"urn:{}","expires_in":60}}"#,
            "x".repeat(MAX_REQUEST_URI)
        );
        for (status, body) in [
            (201, ""),
            (201, "<html>"),
            (201, "[]"),
            (201, "{}"),
            (201, r#"{"request_uri":"","expires_in":60}"#),
            (201, r#"{"request_uri":7,"expires_in":60}"#),
            (201, r#"{"request_uri":"no uri","expires_in":60}"#),
            (201, r#"{"request_uri":"urn:x:y","expires_in":0}"#),
            (201, &long),
            (302, r#"{"request_uri":"urn:x:y","expires_in":60}"#),
            (404, r#"{"request_uri":"urn:x:y","expires_in":60}"#),
            (413, ""),
        ] {
            let error = answer(status, body).expect_err(body);
            assert!(
                matches!(error, LoginError::Push(TokenError::Malformed(_))),
                "{status} {body}"
            );
        }
    }

    #[test] // RFC 9126 §2.3
    fn an_error_is_an_error_whatever_stands_beside_it() {
        for status in [200, 201, 400, 401] {
            for (error, code) in [
                (r#""invalid_request""#, AuthorizationErrorCode::InvalidRequest),
                (r#""invalid_client""#, AuthorizationErrorCode::InvalidClient),
                (r#""nothing of ours""#, AuthorizationErrorCode::Other),
                ("7", AuthorizationErrorCode::Other),
            ] {
                let body = format!(r#"{{"error":{error},"request_uri":"urn:x:y","expires_in":60}}"#);
                let refused = answer(status, &body).expect_err(error);
                assert!(
                    matches!(refused, LoginError::PushRefused(found) if found == code),
                    "{status} {error}"
                );
            }
        }
    }
}
