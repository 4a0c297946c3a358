//! The modules of the OpenID Foundation's relying-party test plans, a file each, named as they are, over HTTP against both example applications.
//!
//! The suite itself is a service on the network and no part of these tests. What a module has its provider do, the development provider does here;
//! what it demands of the relying party, the module's file checks, and more (see `harness.rs`). Each file that refuses something has a twin that
//! differs in just that thing and is accepted. `docs/conformance.md` lists every module of the plans with its file or the reason why it has none.
//!
//! | plan | what it contains |
//! | --- | --- |
//! | Basic | the code flow: the ID token's claims, keys and signature, userinfo, client authentication |
//! | Form Post | the same modules, the authorization response posted from another site |
//! | Config | discovery and key rotation |
//! | RP-Initiated Logout | sign-out by way of the provider |
//! | Back-Channel Logout, Front-Channel Logout | the provider tells of a sign-out |
//! | 3rd party initiated login | a sign-in that another site begins |
//! | Refresh | refreshed ID tokens; no part of the certification programme. Two modules that no plan names are beside it |
//! | FAPI 2.0 Message Signing | signed authorization responses |
//! | comprehensive | what remains of the plan with everything; no part of the certification programme |
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod documents;
mod fapi2_security_profile_final_client_test_ensure_jarm_signature_is_not_none;
mod fapi2_security_profile_final_client_test_ensure_jarm_with_expired_exp_fails;
mod fapi2_security_profile_final_client_test_ensure_jarm_with_invalid_aud_fails;
mod fapi2_security_profile_final_client_test_ensure_jarm_with_invalid_iss_fails;
mod fapi2_security_profile_final_client_test_ensure_jarm_with_invalid_sig_fails;
mod fapi2_security_profile_final_client_test_ensure_jarm_without_aud_fails;
mod fapi2_security_profile_final_client_test_ensure_jarm_without_exp_fails;
mod fapi2_security_profile_final_client_test_ensure_jarm_without_iss_fails;
mod harness;
mod oidcc_client_test;
mod oidcc_client_test_3rd_party_init_login;
mod oidcc_client_test_aggregated_claims;
mod oidcc_client_test_client_secret_basic;
mod oidcc_client_test_discovery_issuer_mismatch;
mod oidcc_client_test_discovery_jwks_uri_keys;
mod oidcc_client_test_discovery_openid_config;
mod oidcc_client_test_form_post_error;
mod oidcc_client_test_idtoken_sig_none;
mod oidcc_client_test_idtoken_sig_rs256;
mod oidcc_client_test_ignores_unparseable_key_in_jwks;
mod oidcc_client_test_invalid_aud;
mod oidcc_client_test_invalid_iss;
mod oidcc_client_test_invalid_sig_es256;
mod oidcc_client_test_invalid_sig_hs256;
mod oidcc_client_test_invalid_sig_rs256;
mod oidcc_client_test_kid_absent_multiple_jwks;
mod oidcc_client_test_kid_absent_single_jwks;
mod oidcc_client_test_missing_aud;
mod oidcc_client_test_missing_iat;
mod oidcc_client_test_missing_sub;
mod oidcc_client_test_mtls_endpoint_aliases;
mod oidcc_client_test_nonce_invalid;
mod oidcc_client_test_refresh_token;
mod oidcc_client_test_refresh_token_invalid_aud;
mod oidcc_client_test_refresh_token_invalid_azp;
mod oidcc_client_test_refresh_token_invalid_issuer;
mod oidcc_client_test_refresh_token_invalid_sub;
mod oidcc_client_test_rp_backchannel_rpinitlogout;
mod oidcc_client_test_rp_backchannel_rpinitlogout_alg_none;
mod oidcc_client_test_rp_backchannel_rpinitlogout_no_event;
mod oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce;
mod oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg;
mod oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud;
mod oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event;
mod oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss;
mod oidcc_client_test_rp_frontchannel_opinitlogout;
mod oidcc_client_test_rp_frontchannel_rpinitlogout;
mod oidcc_client_test_rp_init_logout;
mod oidcc_client_test_rp_init_logout_no_state;
mod oidcc_client_test_rp_init_logout_other_state;
mod oidcc_client_test_scope_userinfo_claims;
mod oidcc_client_test_signing_key_rotation;
mod oidcc_client_test_signing_key_rotation_just_before_signing;
mod oidcc_client_test_userinfo_bearer_header;
mod oidcc_client_test_userinfo_invalid_sub;
mod oidcc_client_test_userinfo_signed;

/// Makes a test of each module of each plan, for each framework. A module without a file does not compile.
macro_rules! conformance {
    ($($plan:literal $name:ident($mode:ident) { $($module:ident,)* })*) => {
        /// The plans, under the names that the suite gives them, with the modules that have a file here.
        const PLANS: &[(&str, &[&str])] = &[$(($plan, &[$(stringify!($module),)*]),)*];

        mod axum { $(plan!(Axum, $name($mode) { $($module,)* });)* }
        mod actix { $(plan!(Actix, $name($mode) { $($module,)* });)* }
    };
}

macro_rules! plan {
    ($framework:ident, $name:ident($mode:ident) { $($module:ident,)* }) => {
        mod $name {
            use auth_tests::Framework;

            use crate::harness::{ResponseMode, Suite};

            $(#[tokio::test]
            async fn $module() {
                Suite::run(Framework::$framework, ResponseMode::$mode, crate::$module::module).await;
            })*
        }
    };
}

conformance! {
    "oidcc-client-basic-certification-test-plan" basic(Query) {
        oidcc_client_test,
        oidcc_client_test_invalid_iss,
        oidcc_client_test_missing_sub,
        oidcc_client_test_invalid_aud,
        oidcc_client_test_missing_iat,
        oidcc_client_test_kid_absent_single_jwks,
        oidcc_client_test_kid_absent_multiple_jwks,
        oidcc_client_test_idtoken_sig_rs256,
        oidcc_client_test_idtoken_sig_none,
        oidcc_client_test_invalid_sig_rs256,
        oidcc_client_test_userinfo_invalid_sub,
        oidcc_client_test_nonce_invalid,
        oidcc_client_test_scope_userinfo_claims,
        oidcc_client_test_client_secret_basic,
    }
    "oidcc-client-formpost-basic-certification-test-plan" form_post(FormPost) {
        oidcc_client_test,
        oidcc_client_test_invalid_iss,
        oidcc_client_test_missing_sub,
        oidcc_client_test_invalid_aud,
        oidcc_client_test_missing_iat,
        oidcc_client_test_kid_absent_single_jwks,
        oidcc_client_test_kid_absent_multiple_jwks,
        oidcc_client_test_idtoken_sig_rs256,
        oidcc_client_test_idtoken_sig_none,
        oidcc_client_test_invalid_sig_rs256,
        oidcc_client_test_userinfo_invalid_sub,
        oidcc_client_test_nonce_invalid,
        oidcc_client_test_scope_userinfo_claims,
        oidcc_client_test_client_secret_basic,
    }
    "oidcc-client-config-certification-test-plan" config(Query) {
        oidcc_client_test_discovery_openid_config,
        oidcc_client_test_discovery_jwks_uri_keys,
        oidcc_client_test_discovery_issuer_mismatch,
        oidcc_client_test_idtoken_sig_none,
        oidcc_client_test_signing_key_rotation_just_before_signing,
        oidcc_client_test_signing_key_rotation,
    }
    "oidcc-client-rp-initiated-logout-rp-basic" rp_initiated_logout(Query) {
        oidcc_client_test_rp_init_logout,
        oidcc_client_test_rp_init_logout_other_state,
        oidcc_client_test_rp_init_logout_no_state,
    }
    "oidcc-client-back-channel-logout-rp-basic" back_channel_logout(Query) {
        oidcc_client_test_rp_backchannel_rpinitlogout,
        oidcc_client_test_rp_backchannel_rpinitlogout_no_event,
        oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce,
        oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud,
        oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event,
        oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss,
        oidcc_client_test_rp_backchannel_rpinitlogout_alg_none,
        oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg,
    }
    "oidcc-client-front-channel-logout-rp-basic" front_channel_logout(Query) {
        oidcc_client_test_rp_frontchannel_rpinitlogout,
        oidcc_client_test_rp_frontchannel_opinitlogout,
    }
    "oidcc-client-test-3rd-party-init-login-test-plan" third_party_initiated_login(Query) {
        oidcc_client_test_3rd_party_init_login,
    }
    "oidcc-client-refreshtoken-test-plan" refresh(Query) {
        oidcc_client_test_refresh_token,
        oidcc_client_test_refresh_token_invalid_issuer,
        oidcc_client_test_refresh_token_invalid_sub,
    }
    "no plan" refresh_beside_the_plan(Query) {
        oidcc_client_test_refresh_token_invalid_aud,
        oidcc_client_test_refresh_token_invalid_azp,
    }
    "fapi2-message-signing-final-client-test-plan" fapi2_message_signing(Query) {
        fapi2_security_profile_final_client_test_ensure_jarm_without_iss_fails,
        fapi2_security_profile_final_client_test_ensure_jarm_with_invalid_iss_fails,
        fapi2_security_profile_final_client_test_ensure_jarm_without_aud_fails,
        fapi2_security_profile_final_client_test_ensure_jarm_with_invalid_aud_fails,
        fapi2_security_profile_final_client_test_ensure_jarm_without_exp_fails,
        fapi2_security_profile_final_client_test_ensure_jarm_with_expired_exp_fails,
        fapi2_security_profile_final_client_test_ensure_jarm_with_invalid_sig_fails,
        fapi2_security_profile_final_client_test_ensure_jarm_signature_is_not_none,
    }
    "oidcc-client-test-plan" comprehensive(Query) {
        oidcc_client_test_ignores_unparseable_key_in_jwks,
        oidcc_client_test_missing_aud,
        oidcc_client_test_userinfo_bearer_header,
        oidcc_client_test_invalid_sig_hs256,
        oidcc_client_test_invalid_sig_es256,
        oidcc_client_test_aggregated_claims,
        oidcc_client_test_mtls_endpoint_aliases,
        oidcc_client_test_userinfo_signed,
    }
    "oidcc-client-test-plan" comprehensive_form_post(FormPost) {
        oidcc_client_test_form_post_error,
    }
}
