//! Whether the session store can be used, and whether it should be used like this.

use std::time::Duration;

use auth_core::Auth;
use url::{Host, Url};

use crate::catalogue as c;
use crate::finding::Findings;
use crate::settings::{Settings, is_loopback, store_scheme};

/// How long the doctor waits for what it asks a Redis server besides the library.
const WAIT: Duration = Duration::from_secs(3);

/// What the setting says by itself.
pub(crate) fn judge(settings: &Settings, findings: &mut Findings) {
    let Some(scheme) = store_scheme(&settings.variables)
        .filter(|_| settings.has_app && settings.variables.have_application())
    else {
        return;
    };
    let base = settings.base_url();
    let is_public = base
        .as_ref()
        .and_then(Url::host)
        .is_some_and(|host| !is_loopback(&host));
    let url = settings.variables.get("AUTH_STORE").unwrap_or_default();
    match scheme.as_str() {
        "memory" if findings.has(&c::STORE_UNREACHABLE) => {}
        "memory" if is_public => findings.add(&c::STORE_MEMORY_IN_PRODUCTION),
        "memory" => findings.add(&c::STORE_MEMORY),
        "redis" | "rediss" => {
            let Some(url) = on_another_machine(&url) else {
                return;
            };
            if scheme == "redis" {
                findings.add(&c::STORE_PLAINTEXT);
            }
            if url.password().is_none() {
                findings.add(&c::STORE_NO_PASSWORD);
            }
        }
        "postgres" | "postgresql" => {
            let Some(url) = on_another_machine(&url) else {
                return;
            };
            let mut modes = url
                .query_pairs()
                .filter(|(name, _)| matches!(&**name, "sslmode" | "ssl-mode"));
            let is_encrypted = modes
                .next()
                .is_some_and(|(_, mode)| matches!(&*mode, "require" | "verify-ca" | "verify-full"));
            if !is_encrypted {
                findings.add(&c::STORE_PLAINTEXT);
            }
        }
        _ => {}
    }
}

/// What the store itself says. The library has opened it.
pub(crate) async fn ask(settings: &Settings, auth: &Auth, findings: &mut Findings) {
    if findings.has(&c::STORE_UNREACHABLE) || findings.has(&c::STORE_NOT_THERE_YET) {
        return;
    }
    if let Err(error) = auth.ready().await {
        findings.say(
            &c::STORE_UNREACHABLE,
            format!("It can be opened, and not used ({}).", error.code()),
        );
        return;
    }
    let url = settings.variables.get("AUTH_STORE").unwrap_or_default();
    let is_redis =
        store_scheme(&settings.variables).is_some_and(|scheme| matches!(&*scheme, "redis" | "rediss"));
    if is_redis
        && let Some(policy) = tokio::time::timeout(WAIT, eviction(&url)).await.ok().flatten()
        && policy != "noeviction"
    {
        findings.say(
            &c::STORE_EVICTS,
            format!("maxmemory-policy is {}.", crate::http::words(&policy)),
        );
    }
    if findings.is_good("store") && !url.is_empty() && url != "memory:" {
        findings.add(&c::STORE_GOOD);
    }
}

/// What a Redis server does when memory is short, where it says so.
async fn eviction(url: &str) -> Option<String> {
    let client = redis::Client::open(url).ok()?;
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let info: String = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut connection)
        .await
        .ok()?;
    info.lines()
        .find_map(|line| line.strip_prefix("maxmemory_policy:"))
        .map(|policy| policy.trim().to_owned())
}

fn on_another_machine(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    // A scheme that the URL standard has no rules for: its hosts are text.
    let host = Host::parse(host.trim_start_matches('[').trim_end_matches(']'))
        .or_else(|_| Host::parse(host))
        .ok()?;
    let host = match &host {
        Host::Domain(name) => Host::Domain(name.as_str()),
        Host::Ipv4(address) => Host::Ipv4(*address),
        Host::Ipv6(address) => Host::Ipv6(*address),
    };
    (!is_loopback(&host)).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_what_is_not_this_one() {
        for (url, is_other) in [
            ("redis://redis.internal:6379/0", true),
            ("redis://:word@10.0.0.1", true),
            ("redis://localhost:6379", false),
            ("redis://127.0.0.1", false),
            ("redis://[::1]:6379", false),
            ("postgres://user:word@db.internal/app", true),
            ("postgres:///app?host=/run/postgresql", false),
        ] {
            assert_eq!(on_another_machine(url).is_some(), is_other, "{url}");
        }
    }
}
