//! What the provider says of the user does not hold: ID tokens and userinfo.

use super::{Explanation, Setting, TELL, Turn, code};
use crate::{id_token, userinfo};

/// The clocks of this server and of the provider differ: both an ID token and the `Date` of the answer that brought it
/// say so.
pub(super) const CLOCKS: &[Explanation] = &[
    code(
        "id_token.clock_behind",
        "This application's clock is slow",
        "The provider's answer is from the future by this server's clock: the two clocks differ by more than a minute.",
        Turn::Operator,
        TELL,
    )
    .operator("Set this server's clock, which is behind the provider's, and keep it right with NTP."),
    code(
        "id_token.clock_ahead",
        "This application's clock is fast",
        "The provider's answer was over when it arrived, by this server's clock: the two clocks differ by more than a minute.",
        Turn::Operator,
        TELL,
    )
    .operator("Set this server's clock, which is ahead of the provider's, and keep it right with NTP."),
];

/// The codes of the ID token's and userinfo's own checks. What mends them is in the provider's registration of this
/// client, or in a setting here.
pub(super) fn all() -> impl Iterator<Item = Explanation> {
    id_token::CODES
        .iter()
        .chain(userinfo::CODES)
        .map(|&(name, cause, mend)| {
            let title = match name {
                "id_token.iat_in_future"
                | "id_token.not_yet_valid"
                | "id_token.expired"
                | "id_token.iat_too_old"
                | "userinfo.not_good_now" => "The clocks do not agree",
                "id_token.auth_time_too_old" => "Please prove once more that it is you",
                "userinfo.no_endpoint" | "userinfo.refused" | "userinfo.not_json" | "userinfo.not_object" => {
                    "Some of your details could not be read"
                }
                _ => "The sign-in service's answer cannot be trusted",
            };
            let settings: &[Setting] = match name {
                "id_token.issuer_mismatch" | "userinfo.issuer_mismatch" => &[Setting::Issuer],
                "id_token.audience_mismatch" | "id_token.azp_mismatch" | "userinfo.audience_mismatch" => {
                    &[Setting::ClientId]
                }
                _ => &[],
            };
            match title {
                "The clocks do not agree" => code(name, title, cause, Turn::Operator, TELL).operator(mend),
                _ => code(name, title, cause, Turn::Developer, TELL).developer(mend),
            }
            .settings(settings)
        })
}
