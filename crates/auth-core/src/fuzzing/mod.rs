//! What the fuzz targets run: one function per parser of bytes that come from outside.
//!
//! This module is there for `crates/auth-core/fuzz` and for the tests that replay its inputs on stable Rust. It is behind
//! the feature `fuzzing`, hidden, and no part of the API: it may change with any version.
//!
//! Each function takes any bytes and panics where a rule is broken: it does not only look for crashes, but says what has to
//! hold of whatever comes out. Where it can, it compares with a second, simpler reading of the same bytes. A first byte
//! of the input often chooses a case. Nothing here touches the network, waits, or starts a runtime for an input.

mod api;
mod bearer;
mod browser;
mod own;
mod provider;

use std::sync::LazyLock;

pub use api::challenge;
pub use bearer::{access_token, authorization, dpop_proof};
pub use browser::{
    callback, cookies, error_code, forwarded, login, parameters, proxy_target, request_head, return_path,
};
pub use own::{record, seal, secret_keys, signing_key, urls};
pub use provider::{
    answer_headers, discovery, id_token, jwe, jws, key_set, logout_token, token_response, userinfo,
};

use crate::auth::Auth;
use crate::clock::{TestClock, Timestamp};
use crate::seal::SecretKeys;

/// What runs one input, and panics where a rule is broken.
pub type Target = fn(&[u8]);

/// Every function by its name, which is that of its fuzz target and of the folder of its seeds.
pub const TARGETS: [(&str, Target); 27] = [
    ("access_token", access_token),
    ("answer_headers", answer_headers),
    ("authorization", authorization),
    ("callback", callback),
    ("challenge", challenge),
    ("cookies", cookies),
    ("discovery", discovery),
    ("dpop_proof", dpop_proof),
    ("error_code", error_code),
    ("forwarded", forwarded),
    ("id_token", id_token),
    ("jwe", jwe),
    ("jws", jws),
    ("key_set", key_set),
    ("login", login),
    ("logout_token", logout_token),
    ("parameters", parameters),
    ("proxy_target", proxy_target),
    ("record", record),
    ("request_head", request_head),
    ("return_path", return_path),
    ("seal", seal),
    ("secret_keys", secret_keys),
    ("signing_key", signing_key),
    ("token_response", token_response),
    ("urls", urls),
    ("userinfo", userinfo),
];

const BASE: &str = "https://app.example";
const ISSUER: &str = "https://id.example";
const CLIENT: &str = "fuzz";
const AUTHORIZATION: &str = "https://id.example/authorize";
const TOKEN: &str = "https://id.example/token";
/// Now, in every input.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

static KEYS: LazyLock<SecretKeys> = LazyLock::new(|| {
    let list = ["0a".repeat(32), "0b".repeat(32)].join(",");
    SecretKeys::from_hex(&list).expect("two keys of 64 digits")
});

/// An app whose provider is given by hand, so that no answer needs the network.
static APP: LazyLock<Auth> = LazyLock::new(|| {
    let clock = TestClock::new();
    clock.set(NOW);
    let app = Auth::builder()
        .base_url(BASE)
        .endpoints(AUTHORIZATION, TOKEN)
        .client(CLIENT, Some("a secret"))
        .scopes("profile mail")
        .secret(KEYS.clone())
        .clock(clock.clock())
        .runtime(RUNTIME.handle().clone())
        .build();
    RUNTIME.block_on(app).expect("the settings are sound")
});

/// Polls what is a future only because others of its kind wait.
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
});

/// The first byte, which chooses a case, and the rest.
fn case(data: &[u8]) -> (u8, &[u8]) {
    data.split_first()
        .map_or((0, data), |(first, rest)| (*first, rest))
}

/// One bit of the byte that chooses a case.
fn bit(case: u8, n: u8) -> bool {
    case >> n & 1 == 1
}
