//! Signed authorization requests (RFC 9101).

use serde_json::Value;

use super::Provider;
use super::jwt::Unverified;
use crate::params::Params;

/// How far clocks may differ.
const TOLERANCE_SECS: i64 = 5;
/// How long a request object may live, at most.
const LIFETIME_SECS: i64 = 300;

impl Provider {
    /// Replaces a request object by the parameters in it. What stands beside it is not looked at (RFC 9101 §6.3), save for
    /// the client's id, which has to be the same. Otherwise the error's code (§7.2) and what is wrong.
    pub(crate) fn unfold_request_object(
        &self,
        params: Params,
    ) -> Result<Params, (&'static str, &'static str)> {
        let invalid = |why| ("invalid_request_object", why);
        let object = match params.one("request") {
            Ok(Some(object)) => object,
            Ok(None) if self.settings().demands.signed => {
                return Err(invalid("a request object is missing"));
            }
            Ok(None) => return Ok(params),
            Err(_) => return Err(invalid("there are two request objects")),
        };
        let client_id = params.one("client_id").ok().flatten().unwrap_or_default();
        let client = self.client(client_id).ok_or(invalid("unknown client"))?;
        let key = client.signs_requests_with().ok_or((
            "request_not_supported",
            "no key is registered for request objects",
        ))?;
        let token = Unverified::parse(object).ok_or(invalid("malformed request object"))?;
        if token.header("typ") != Some("oauth-authz-req+jwt") {
            return Err(invalid("the request object is of another type"));
        }
        let claims = token
            .verified_by_client(key)
            .ok_or(invalid("wrong signature of the request object"))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(client_id) || text("client_id") != Some(client_id) {
            return Err(invalid("request object of another client"));
        }
        if text("aud") != Some(&self.issuer) {
            return Err(invalid("request object for another audience"));
        }
        if ["sub", "request", "request_uri"]
            .iter()
            .any(|name| claims.contains_key(*name))
        {
            return Err(invalid("the request object has a claim that none may have"));
        }
        let now = self.now();
        let time = |name: &str| claims.get(name).and_then(Value::as_i64);
        let (Some(not_before), Some(expires_at)) = (time("nbf"), time("exp")) else {
            return Err(invalid("request object without nbf or exp"));
        };
        if not_before > now + TOLERANCE_SECS || expires_at <= now || expires_at - not_before > LIFETIME_SECS {
            return Err(invalid("the request object is not good at this time"));
        }
        let id = text("jti").ok_or(invalid("request object without jti"))?;
        if !self.grants().remember_request_object(id, expires_at, now) {
            return Err(invalid("request object that was used before"));
        }
        let own = ["iss", "aud", "iat", "nbf", "exp", "jti"];
        let mut unfolded = Vec::new();
        for (name, value) in claims.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
            match value {
                Value::String(text) => unfolded.push((name.clone(), text.clone())),
                Value::Array(values) if values.iter().all(Value::is_string) => {
                    let texts = values.iter().filter_map(Value::as_str);
                    unfolded.extend(texts.map(|text| (name.clone(), text.to_owned())));
                }
                other => unfolded.push((name.clone(), other.to_string())),
            }
        }
        Ok(Params(unfolded))
    }
}
