//! One list of behaviour cases, run over HTTP against both example applications, with both carriers of the session identifier.
//!
//! A case is named after the rule it checks and stands in the module of its subject. It sees an application only from outside: environment, HTTP,
//! output, exit status. After each case, what its applications printed at the highest log level is searched for every secret of the case.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod addresses;
mod advisories;
mod bearer;
mod callback;
mod config;
mod devices;
mod discovery;
mod downstream;
mod dpop;
mod events;
mod evidence;
mod explainer;
mod gates;
mod grants;
mod guides;
mod headers;
mod hostile;
mod id_token;
mod keys;
mod login;
mod logout;
mod metrics;
mod modes;
mod mtls;
mod note;
mod origins;
mod par;
mod process;
mod protection;
mod provider_logout;
mod providers;
mod proxy;
mod redirects;
mod refresh;
mod routes;
mod session;
mod signed;
mod specifications;
mod step_up;
mod store;
mod token_endpoint;
mod tricks;

/// Makes a test of each case of the list, for one application and one carrier.
macro_rules! suite {
    ($framework:ident, $carrier:ident: $($module:ident { $($case:ident,)* })*) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $case() {
                use auth_tests::{Carrier, Framework, Stage};
                Stage::run(Framework::$framework, Carrier::$carrier, crate::$module::$case).await;
            })*
        })*
    };
}

/// Runs the list against every application. `per_carrier` cases run once for each carrier of the session identifier.
macro_rules! behaviour {
    (per_application { $($once:tt)* } per_carrier { $($each:tt)* }) => {
        mod axum {
            mod application { suite!(Axum, Cookie: $($once)*); }
            mod own_cookie { suite!(Axum, Cookie: $($each)*); }
            mod tower_sessions { suite!(Axum, Framework: $($each)*); }
        }
        mod actix {
            mod application { suite!(Actix, Cookie: $($once)*); }
            mod own_cookie { suite!(Actix, Cookie: $($each)*); }
            mod actix_session { suite!(Actix, Framework: $($each)*); }
        }
    };
}

behaviour! {
    per_application {
        providers {
            without_a_name_a_page_offers_each_and_keeps_the_way_back,
            each_signs_in_at_its_own_and_takes_the_place_of_the_other,
            refresh_revocation_and_sign_out_are_the_session_s_provider_s,
            an_answer_at_the_other_s_address_is_refused_and_used_up,
            a_code_of_one_with_the_state_of_the_other_is_refused,
            a_sign_out_at_one_ends_nothing_of_the_other,
            a_name_that_nobody_has_is_404,
            a_third_party_names_the_issuer_that_is_meant,
            what_a_sign_in_lacks_is_asked_of_its_own_provider,
            settings_go_for_one_provider_alone,
            while_one_is_down_the_other_signs_in_and_refreshes,
            a_session_of_a_provider_that_is_gone_is_signed_out,
            two_hundred_sign_ins_at_both_keep_apart,
        }
        explainer {
            a_cookie_that_is_missing_is_explained_by_what_can_be_known,
            a_sign_in_begun_over_http_is_told_apart_where_https_is_meant,
            a_form_of_another_site_that_brings_no_cookie_is_told_apart,
            another_instance_s_key_is_told_apart_from_a_changed_cookie,
            what_the_provider_refuses_names_the_setting,
            clocks_that_differ_are_told_and_which_one_is_slow,
            a_sign_in_that_cannot_begin_is_explained_and_its_button_begins_it_later,
            pages_of_the_app_that_fail_say_so_without_the_query,
            every_code_has_its_page_and_the_index_names_it,
        }
        config {
            a_provider_needs_a_client_id,
            a_client_needs_a_provider,
            authorization_and_token_url_belong_together,
            a_secret_method_needs_a_secret,
            private_key_jwt_needs_a_readable_key_that_is_long_enough,
            the_secret_has_at_least_256_bits_in_hex,
            the_store_can_be_opened,
            the_issuer_is_https_or_loopback,
            the_base_url_is_an_origin,
            further_origins_have_one_scheme_and_each_a_host,
            parameters_of_the_library_are_refused_as_extra_ones,
            values_outside_their_list_or_range_are_refused,
            an_address_in_use_is_named,
            a_random_secret_is_warned_of,
        }
        process {
            one_line_on_standard_output_says_where_it_listens,
            starts_while_the_provider_is_down,
            sigterm_ends_it_with_status_0,
            ctrl_c_ends_it_with_status_0,
            a_request_under_way_is_finished_after_sigterm,
            a_request_that_never_ends_does_not_keep_it_alive,
            a_refresh_under_way_is_saved_after_sigterm,
            a_revocation_that_waits_does_not_keep_it_alive,
            without_settings_the_development_provider_runs_inside,
        }
        addresses {
            the_address_is_the_peer_s_unless_a_trusted_proxy_names_another,
        }
        discovery {
            while_the_provider_is_down_sign_in_is_503_and_soon_works_again,
            a_provider_that_comes_up_later_is_found,
            a_discovery_document_that_cannot_be_used_is_a_502_page,
            discovery_must_name_our_issuer_and_what_sign_in_needs,
            without_keys_nobody_is_signed_in,
            the_first_fetch_of_the_keys_does_not_count_as_a_second,
            metadata_is_not_fetched_for_every_sign_in,
            redirects_of_discovery_are_not_followed,
        }
        id_token {
            the_issuer_is_ours_to_the_byte,
            the_audience_is_this_client,
            the_authorized_party_is_this_client,
            it_has_not_expired_by_more_than_a_minute,
            it_was_issued_within_the_last_hour_and_not_in_the_future,
            it_is_valid_already,
            the_nonce_is_that_of_the_request,
            the_access_token_hash_matches_where_present,
            it_is_no_token_of_another_type,
            critical_header_parameters_are_not_ignored,
            the_subject_is_not_empty,
            the_signature_is_the_provider_s,
            unsigned_and_symmetric_algorithms_are_refused,
            only_configured_algorithms_are_accepted,
            an_unknown_key_is_looked_for_once_and_refused,
            a_missing_id_token_is_refused,
            rotated_keys_are_found,
            keys_that_say_they_are_for_something_else_are_not_used,
            odd_entries_of_the_key_set_are_passed_over,
        }
        token_endpoint {
            answers_that_are_no_token_response_are_refused,
            refusals_and_outages_are_502_or_503,
            an_error_is_an_error_whatever_else_the_answer_holds,
            the_token_type_is_bearer_in_any_case,
            an_access_token_is_needed,
            expires_in_may_be_text_and_nonsense_means_unknown,
            scopes_are_those_granted,
            userinfo_of_somebody_else_fails_the_sign_in,
            any_other_failure_of_userinfo_does_not,
            userinfo_adds_claims_and_changes_none,
            userinfo_can_be_left_out,
            a_signed_userinfo_answer_that_does_not_verify_fails_the_sign_in,
            redirects_of_the_token_endpoint_are_not_followed,
            an_answer_that_trickles_in_is_given_up,
        }
        modes {
            plain_oauth_needs_no_discovery_and_no_id_token,
            plain_oauth_takes_the_user_from_userinfo,
            plain_oauth_takes_the_user_from_introspection,
            plain_oauth_reads_scopes_with_commas_and_users_with_numbers,
            plain_oauth_refreshes,
            client_secret_basic_encodes_id_and_secret,
            client_secret_post_sends_the_secret_in_the_body_only,
            a_public_client_sends_its_id,
            private_key_jwt_signs_a_new_short_assertion_each_time,
        }
        par {
            the_browser_carries_client_id_and_request_uri_only,
            auto_pushes_where_discovery_requires_it,
            step_up_and_further_consent_are_pushed_too,
            a_push_that_fails_is_a_page_of_the_login_route,
            neither_a_prefetch_nor_another_site_s_image_pushes_anything,
        }
        dpop {
            every_token_is_bound_and_shown_with_a_proof,
            a_code_for_another_key_signs_nobody_in,
            another_type_of_token_fails_the_sign_in,
            a_refresh_keeps_the_key_and_a_downgrade_is_not_taken,
            the_latest_nonce_of_each_server_is_used,
            a_demand_for_a_nonce_is_not_the_one_retry,
            fifty_requests_each_of_two_sessions_never_mix,
            a_session_keeps_its_key_over_restarts_and_other_settings,
            the_proxy_makes_proofs_of_its_own_for_requests_and_websockets,
            a_pushed_request_names_the_key_and_proves_it,
            a_small_body_goes_up_with_each_try_of_the_proxy,
        }
        signed {
            a_signed_request_stands_in_the_url_with_what_has_to_be_beside_it,
            a_signed_request_is_pushed_alone,
            the_public_keys_of_a_client_that_has_some_are_published,
            a_response_is_one_signed_token,
            a_signed_error_is_a_page,
            a_response_that_is_not_wholly_signed_is_refused,
        }
        mtls {
            a_certificate_signs_in_refreshes_and_calls_apis,
            a_certificate_that_is_not_registered_is_refused_with_a_page,
            encrypted_id_tokens_are_decrypted_with_the_published_key,
        }
        bearer {
            a_good_token_is_answered_with_its_claims,
            without_a_token_the_challenge_names_no_error,
            a_token_that_is_not_good_here_is_refused,
            id_and_logout_tokens_are_no_access_tokens,
            forged_signatures_are_refused,
            credentials_that_cannot_be_read_are_a_bad_request,
            nothing_but_the_header_is_looked_at,
            the_audience_is_the_configured_one,
            keys_that_change_are_followed,
            while_the_keys_cannot_be_had_it_is_503,
            two_hundred_at_once_fetch_the_keys_once,
            ten_thousand_forged_tokens_cause_no_requests,
            a_plain_provider_answers_by_introspection,
            a_plain_provider_without_introspection_refuses_every_token,
        }
        keys {
            every_usual_algorithm_verifies_id_tokens_refreshed_ones_and_userinfo,
            keys_may_change_while_a_sign_in_is_under_way,
            keys_may_change_before_a_refresh,
            a_token_may_name_no_key,
            keys_with_one_name_are_told_apart_by_trying,
            keys_for_other_ends_stand_in_nobodys_way,
            a_public_key_is_no_secret_of_a_mac,
            the_algorithm_is_the_one_agreed_and_that_of_the_key,
            header_members_that_bring_a_key_along_are_neither_used_nor_fetched,
            extensions_that_a_header_demands_are_not_ignored,
        }
        hostile {
            no_answer_of_the_token_endpoint_signs_anyone_in,
            no_answer_of_userinfo_fails_a_sign_in_or_is_believed,
            no_answer_of_introspection_fails_a_sign_in_or_is_believed,
            no_answer_in_the_place_of_metadata_or_keys_is_believed,
            no_answer_to_a_refresh_signs_anyone_out,
            no_answer_to_a_revocation_keeps_anyone_signed_in,
            no_answer_of_an_api_does_harm,
            answers_that_never_end_are_given_up,
            twenty_floods_at_once_cost_little_memory,
            certificates_are_checked,
        }
        advisories {
            return_paths_that_fooled_others_stay_on_this_origin,
            no_path_query_or_header_opens_a_protected_route,
            what_is_sealed_for_one_purpose_opens_for_no_other,
            cookies_and_bodies_that_stopped_others_are_answered_calmly,
            tokens_that_stopped_others_are_refused_in_time,
            cross_site_posts_are_refused_whatever_their_content_type,
            nothing_of_a_query_comes_back_in_a_page,
            every_answer_that_sets_a_cookie_or_redirects_may_not_be_stored,
            users_at_the_same_time_are_given_their_own_tokens,
            a_sign_out_leads_where_the_settings_say,
        }
        grants {
            the_users_token_is_exchanged_for_the_second_api,
            the_applications_own_token_is_one_for_all_users,
            two_hundred_requests_make_one_request_for_a_token,
            a_dead_session_token_is_refreshed_before_it_is_exchanged,
            a_refusal_is_a_502_and_signs_nobody_out,
            an_audience_that_the_provider_does_not_know_is_a_502,
            a_provider_that_is_down_is_503_and_soon_works_again,
            a_token_still_good_is_used_while_the_provider_is_down,
            an_answer_that_is_not_what_was_asked_for_is_a_502,
            a_token_that_has_died_is_replaced,
            a_sign_out_ends_the_exchanged_token,
            an_api_that_refuses_the_token_is_asked_twice_and_no_more,
            a_failing_api_is_a_502_and_its_refusals_pass,
            two_instances_serve_one_session,
            a_public_client_gets_no_token_of_its_own,
        }
        proxy {
            method_path_and_query_go_up_to_the_byte,
            a_target_that_could_leave_the_base_path_is_refused,
            what_is_between_browser_and_app_stays_there,
            every_status_passes_and_no_redirect_is_followed,
            the_header_is_demanded_of_every_method,
            bodies_go_up_in_the_frame_that_they_have,
            a_refused_token_is_replaced_once_if_the_body_can_be_sent_again,
            more_of_a_body_than_is_kept_is_not_sent_again,
            an_upstream_s_challenge_is_for_programs,
            an_upstream_that_fails_is_a_502,
            an_answer_that_breaks_off_does_not_look_whole,
            events_come_down_as_they_are_sent,
            a_browser_that_goes_away_ends_the_call,
            a_gigabyte_goes_up_and_down_in_little_memory,
            a_websocket_goes_through,
            a_websocket_ends_on_both_sides,
        }
        evidence {
            what_libraries_trace_is_searched_too,
            a_secret_is_found_wherever_it_is_seen,
        }
        specifications {
            our_pages_load_nothing_and_are_not_framed,
            redirects_of_a_sign_in_carry_nothing_on,
            no_token_and_no_secret_stands_in_a_url_or_a_cookie,
            no_other_origin_may_read_an_answer,
        }
        redirects {
            no_return_path_of_the_list_is_kept_that_leads_elsewhere,
            sign_in_ends_on_this_origin_whatever_return_path_it_began_with,
            paths_of_honest_pages_come_through_to_the_byte,
            a_third_party_s_target_is_a_page_of_this_origin,
            of_several_return_paths_none_leads_elsewhere,
            sign_out_leads_where_the_configuration_says,
            a_protected_page_is_come_back_to_by_its_own_query,
        }
        headers {
            a_host_that_lies_is_in_no_answer,
            no_parameter_becomes_a_header_or_an_element,
            cookies_of_any_size_do_not_disturb,
            a_sign_in_finds_its_cookie_among_many,
            requests_that_are_too_big_are_refused_calmly,
            every_page_is_guarded_by_its_headers,
        }
        tricks {
            fifty_abandoned_sign_ins_leave_five_cookies_and_the_next_one_works,
            back_to_the_provider_s_page_and_once_more_changes_nothing,
            a_bookmark_of_the_provider_s_page_ends_on_a_page_that_begins_anew,
            a_sign_in_page_left_open_for_an_hour_begins_anew_and_keeps_the_way_back,
            a_browser_that_asks_ahead_of_its_user_begins_no_sign_in,
            without_cookies_a_sign_in_ends_on_a_page_and_not_in_a_loop,
            another_user_signing_in_on_top_takes_over_in_every_tab,
            a_callback_opened_in_another_s_browser_is_not_spent,
            a_stolen_code_is_of_no_use_in_another_attempt,
            over_http_a_planted_cookie_never_mixes_two_users,
            forms_of_other_sites_change_nothing,
            odd_spellings_of_a_protected_path_show_nothing,
        }
    }
    per_carrier {
        origins {
            each_host_signs_in_at_its_own_provider,
            a_provider_of_one_host_is_unknown_at_the_other,
            an_answer_at_the_other_host_is_refused,
            a_session_is_good_at_its_own_host_alone,
            one_browser_is_signed_in_at_both_at_once,
            the_other_host_is_another_site_to_what_changes_something,
            a_forged_host_chooses_no_more_than_an_origin_of_the_app,
            a_step_up_stays_at_its_host,
            the_pages_of_a_host_name_it,
        }
        guides {
            passport_with_asgardeo,
            auth_js_with_asgardeo,
            asgardeo_s_next_js_sdk,
            thunderid_s_node_sdk,
            plain_oauth_with_auth0,
        }
        devices {
            the_list_shows_the_user_s_own_sessions,
            one_session_is_ended_and_its_tokens_revoked,
            all_others_are_ended,
            nobody_ends_the_session_of_somebody_else,
            users_whom_nobody_names_see_only_themselves,
            the_page_has_a_button_for_each,
        }
        provider_logout {
            a_logout_token_ends_the_sessions_that_it_names,
            a_bad_logout_token_is_400_and_ends_nothing,
            a_logout_token_is_good_once_and_on_every_instance,
            the_front_channel_ends_the_session_and_may_be_framed_by_the_issuer_only,
            a_sign_in_under_way_ends_with_the_provider_s_sign_out,
            a_role_that_is_taken_away_or_given_counts_from_the_refresh_on,
            a_later_authentication_counts_from_the_refresh_on,
            a_logout_token_ends_the_session_that_a_refresh_has_moved,
        }
        login {
            asks_for_a_code_with_pkce_state_and_nonce,
            every_attempt_has_its_own_state_nonce_and_challenge,
            the_code_is_redeemed_with_the_verifier_of_the_challenge,
            asks_for_the_configured_scopes,
            adds_the_configured_parameters,
            resource_indicators_go_with_authorization_and_token_requests,
            comes_back_to_a_path_of_this_origin_and_nowhere_else,
            a_huge_or_doubled_return_path_does_not_stop_the_sign_in,
            the_return_path_does_not_leave_the_browser,
            third_party_initiated_login_knows_only_our_issuer,
            two_tabs_both_finish_in_either_order,
            five_attempts_may_be_open_and_a_sixth_drops_the_oldest,
            many_abandoned_attempts_leave_few_cookies,
            attempts_are_forgotten_by_the_browser_after_a_quarter_of_an_hour,
            host_and_forwarded_headers_change_no_redirect,
        }
        callback {
            a_state_that_is_missing_wrong_or_foreign_is_refused,
            an_authorization_response_of_another_browser_is_refused,
            doubled_parameters_are_refused,
            a_missing_code_is_refused,
            the_issuer_of_the_response_must_be_ours,
            an_error_of_the_provider_is_a_page_without_its_words,
            a_user_who_denies_is_told_so_and_can_try_again,
            an_error_beside_a_code_is_an_error,
            a_state_is_used_up_by_the_first_callback_whatever_its_outcome,
            a_used_state_stays_used_when_the_browser_puts_its_cookies_back,
            a_repeated_callback_in_a_signed_in_browser_goes_on_to_the_app,
            a_repeated_callback_in_a_signed_out_browser_offers_to_sign_in,
            of_concurrent_callbacks_one_reaches_the_token_endpoint,
            a_forged_callback_does_not_end_the_session,
            post_reads_the_body_only,
            odd_requests_are_refused_calmly,
            a_failure_is_logged_once_with_its_code,
        }
        session {
            cookies_are_http_only_lax_and_of_this_host,
            with_https_cookies_are_secure_and_bound_to_the_host,
            after_sign_in_the_attempt_s_cookie_is_gone,
            every_sign_in_makes_a_new_identifier_and_ends_the_old_session,
            an_identifier_that_was_planted_is_not_taken_over,
            sign_out_makes_the_identifier_useless,
            a_corrupt_cookie_is_no_cookie,
            other_cookies_and_doubled_ones_do_no_harm,
            a_cookie_of_another_alphabet_beside_it_does_no_harm,
            anonymous_requests_set_no_cookie,
            the_session_document_has_claims_scopes_and_deadlines_and_no_token,
            the_session_document_neither_refreshes_nor_waits,
            a_session_ends_when_it_is_idle,
            requests_keep_an_idle_session_alive,
            a_session_ends_at_its_absolute_end_however_busy,
            two_users_in_two_browsers_do_not_mix,
        }
        protection {
            a_navigation_is_sent_to_sign_in_and_comes_back,
            everything_else_gets_401_and_a_problem_document,
            other_methods_are_never_redirected,
            sign_out_is_refused_from_other_origins,
            revocation_is_refused_from_other_origins,
            an_origin_that_cannot_be_read_is_another_one,
            requests_of_our_own_pass,
            what_depends_on_the_session_is_not_stored,
        }
        refresh {
            two_hundred_requests_on_a_dead_token_make_one_refresh,
            requests_that_arrive_during_a_refresh_share_it,
            the_token_is_fresh_before_the_handler_runs,
            every_expiry_is_followed_by_one_refresh,
            a_token_about_to_die_is_refreshed_in_the_background,
            an_outage_is_503_and_signs_nobody_out,
            a_provider_that_is_down_is_503_until_it_comes_up,
            a_token_still_good_is_served_while_the_provider_is_down,
            requests_share_the_outcome_of_a_refused_refresh,
            a_refused_refresh_token_ends_the_session,
            a_refused_refresh_token_sends_a_navigation_to_sign_in,
            a_lost_answer_ends_in_a_clean_sign_in_and_no_loop,
            a_refreshed_id_token_of_somebody_else_ends_the_session,
            a_refreshed_id_token_with_a_bad_signature_ends_the_session,
            a_refreshed_id_token_needs_no_nonce,
            a_refresh_answer_may_lack_what_it_need_not_have,
            an_odd_refresh_answer_does_not_lose_the_rotated_token,
            without_rotation_the_refresh_token_serves_again,
            a_client_that_goes_away_does_not_cancel_the_refresh,
            a_sign_out_during_a_refresh_wins,
            a_dead_token_without_a_refresh_token_is_no_session,
            a_refresh_authenticates_the_client_and_sends_no_more_than_it_must,
        }
        downstream {
            the_answer_is_passed_on,
            the_trace_of_the_request_goes_along,
            the_profile_shows_mail_and_names,
            what_the_api_says_is_shown_as_text,
            numbers_are_passed_on_to_the_digit,
            both_calls_of_the_dashboard_run_at_the_same_time,
            a_refused_token_is_refreshed_and_the_call_sent_again_once,
            an_api_that_refuses_every_token_is_asked_twice_and_no_more,
            a_refused_token_while_the_provider_is_down_signs_nobody_out,
            a_failing_api_is_a_502,
            an_api_that_nobody_serves_is_a_502,
            half_a_dashboard_is_a_502,
            the_api_s_own_refusals_pass,
            the_api_s_own_refusals_are_a_502_on_pages,
            tokens_do_not_follow_a_redirect_to_another_origin,
        }
        gates {
            administrators_are_let_in,
            others_get_403_browsers_too,
            roles_are_found_where_the_settings_say,
            a_fresh_sign_in_may_transfer,
            an_old_sign_in_must_be_renewed_first,
            a_provider_that_ignores_max_age_is_caught,
            revocation_drops_the_access_token_here_and_there,
            revocation_is_204_where_the_provider_cannot,
            revocation_without_a_refresh_token_ends_what_there_was,
            revocation_while_the_provider_is_down_does_not_hang,
        }
        step_up {
            a_browser_is_sent_to_sign_in_as_the_api_demands_and_comes_back,
            a_script_gets_the_api_s_challenge,
            an_api_that_is_never_content_makes_no_loop,
            a_scope_that_the_api_names_is_asked_for_once,
            a_token_that_is_refused_is_renewed_before_a_sign_in_is,
            a_challenge_that_makes_no_sense_sends_nobody_anywhere,
            an_api_that_does_not_say_what_it_lacks_gets_one_sign_in_anew,
            a_scope_is_asked_for_when_it_is_needed,
            a_sign_in_for_something_else_keeps_the_scopes,
            a_scope_that_is_not_granted_is_asked_for_once,
            two_tabs_step_up_side_by_side,
            a_step_up_s_link_says_nothing_in_another_browser,
            a_provider_that_ignores_what_the_api_demands_makes_no_loop,
        }
        logout {
            goes_to_the_provider_with_what_it_needs,
            a_sign_out_of_the_provider_s_own_gets_what_it_knows,
            revokes_the_tokens,
            works_while_the_access_token_is_dead,
            does_not_wait_long_for_a_slow_provider,
            ends_the_session_while_the_provider_is_down,
            ends_the_session_though_revocation_is_refused,
            stays_here_where_the_provider_has_no_end_session_endpoint,
            without_a_session_it_does_no_harm,
            twice_is_as_good_as_once,
            requests_under_way_do_not_bring_the_session_back,
            what_was_not_revoked_in_time_is_revoked_later_and_once,
            what_the_provider_refuses_to_revoke_is_not_tried_again,
            the_provider_may_add_a_state_on_the_way_back,
        }
        metrics {
            they_count_what_has_happened,
            they_need_no_session_and_name_nobody,
            the_audit_log_has_a_line_per_event_and_names_nobody,
        }
        note {
            it_is_kept_over_a_restart_and_the_message_shown_once,
            it_ends_with_the_sign_out,
            another_user_in_the_same_browser_does_not_see_it,
            the_message_waits_for_somebody_who_sees_it,
            a_cookie_that_names_no_session_is_left_alone,
            it_is_shown_as_text,
            one_that_is_too_long_is_refused,
            requests_of_other_sites_leave_none,
            the_file_does_not_hold_it_in_the_clear,
        }
        events {
            there_is_an_event_a_second_for_who_is_signed_in,
            it_closes_however_the_session_ends,
            it_closes_when_a_refresh_is_refused_and_goes_on_when_one_succeeds_or_fails,
            it_closes_when_the_session_is_idle_or_at_its_end,
            requests_keep_it_open_where_the_session_would_be_idle,
            it_goes_on_while_the_store_fails,
            a_sign_out_closes_it_on_another_instance_on_the_same_file,
            streams_do_not_keep_the_process_alive,
            who_goes_away_disturbs_nobody,
        }
        store {
            a_restart_signs_nobody_out,
            a_rotated_secret_is_none,
            two_instances_on_one_file_share_sessions,
            a_sign_out_survives_a_restart,
            a_sign_in_begun_before_a_restart_is_finished_after_it,
            another_secret_is_a_sign_out,
            the_file_holds_neither_tokens_nor_identifiers,
            without_a_file_a_restart_is_a_sign_out,
            a_store_that_fails_is_503_and_signs_nobody_out,
        }
        routes {
            every_route_of_the_list_works,
            the_home_page_shows_who_is_signed_in_and_how_to_sign_out,
            hostile_claims_are_shown_as_text,
            health_depends_on_nothing_and_readiness_on_the_store,
            every_failure_code_is_explained,
            unknown_paths_and_methods_are_4xx,
            head_is_answered_as_get_without_a_body,
            ping_calls_nothing,
        }
        modes {
            form_post_over_https_comes_from_another_site,
            form_post_works_on_loopback,
            a_repeated_form_post_from_another_site_gets_a_page,
            a_forged_form_post_signs_nobody_in,
        }
        tricks {
            over_https_no_cookie_of_a_sibling_is_taken,
        }
    }
}
