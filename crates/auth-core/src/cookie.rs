//! `Set-Cookie` lines of the library's own cookies (RFC 6265).
//!
//! All are `HttpOnly`, `Path=/` and without `Domain`, and over https `Secure` (their names then begin with
//! `__Host-`, for which browsers demand exactly this). They are `SameSite=Lax`, but for the cookie of a sign-in
//! whose answer comes as a cross-site form post.

use std::time::Duration;

pub(crate) fn set(name: &str, value: &str, https: bool, max_age: Duration, cross_site: bool) -> String {
    let same_site = if cross_site { "None" } else { "Lax" };
    let secure = if https { "; Secure" } else { "" };
    format!(
        "{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={}{secure}",
        max_age.as_secs()
    )
}

/// Takes a cookie away. The attributes are those it was set with: browsers ignore the removal of a `__Host-` cookie
/// that is not `Secure`.
pub(crate) fn remove(name: &str, https: bool, cross_site: bool) -> String {
    set(name, "", https, Duration::ZERO, cross_site)
}
