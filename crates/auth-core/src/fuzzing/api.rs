//! What an API answers.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{bit, case};
use crate::step_up::{Needs, demanded};

/// `WWW-Authenticate`, a field on each line: a demand can be written in a URL and a challenge as it is, is not longer than
/// it may be, and stands there; written by us it is the same.
pub fn challenge(data: &[u8]) {
    let (case, rest) = case(data);
    let (status, error) = if bit(case, 0) {
        (StatusCode::FORBIDDEN, "insufficient_scope")
    } else {
        (StatusCode::UNAUTHORIZED, "insufficient_user_authentication")
    };
    let mut headers = HeaderMap::new();
    for field in rest.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(field) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    let Some(needs) = demanded(status, &headers) else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    // Any letter may stand there escaped.
    assert!(text.contains('\\') || text.contains(error), "{text}");
    check(&needs);
    assert!(status == StatusCode::UNAUTHORIZED || !needs.scopes.is_empty());

    let mut ours = format!("Bearer error={error}, scope=\"{}\"", needs.scopes);
    if let Some(values) = &needs.acr_values {
        ours.push_str(&format!(", acr_values=\"{values}\""));
    }
    if let Some(max_age) = needs.max_age {
        ours.push_str(&format!(", max_age={}", max_age.as_secs()));
    }
    let mut headers = HeaderMap::new();
    let ours = HeaderValue::try_from(ours).expect("a demand can be written");
    headers.append(WWW_AUTHENTICATE, ours);
    assert_eq!(demanded(status, &headers), Some(needs));
}

fn check(needs: &Needs) {
    let acr_values = needs
        .acr_values
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    for list in [acr_values, needs.scopes.to_string()] {
        assert!(list.len() <= 512, "{list}");
        let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        assert!(list.bytes().all(is_plain), "{list}");
    }
    assert!(needs.acr_values.as_ref().is_none_or(|values| !values.is_empty()));
    assert!(
        needs
            .max_age
            .is_none_or(|max_age| max_age.as_secs() <= u64::from(u32::MAX))
    );
}
