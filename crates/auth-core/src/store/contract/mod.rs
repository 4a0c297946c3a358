//! The [`SessionStore`] contract as tests, for the stores of this crate and for yours (feature `contract`).
//!
//! Each function checks one rule, on a store that is fresh and empty, and panics with the rule's words when the store
//! breaks it. [`contract_tests!`](crate::contract_tests) makes a `#[test]` of each; [`run`] runs all of them in turn.
//! Three more stand apart, as they do not hold for every store: [`sessions_outlive_the_store`] is for those that keep
//! sessions on a disk or on another machine, [`the_callers_clock_ends_a_lease`] for those that use the caller's clock
//! for leases, not a server's, [`sweep_removes_expired_app_data`] for those whose server does not do it by itself.
//!
//! ```
//! # #![allow(clippy::needless_doctest_main)]
//! use auth_core::store::MemoryStore;
//!
//! async fn fresh_store() -> MemoryStore {
//!     MemoryStore::new()
//! }
//!
//! auth_core::contract_tests!(fresh_store);
//! # fn main() {}
//! ```
//!
//! A store that keeps the [data of the app's own sessions](super::app_data) as well has
//! [`app_data_contract_tests!`](crate::app_data_contract_tests) and [`run_app_data`] for that.
//!
//! The rules use the machine's present time and instants after it, so that a store may let its server remove what has
//! expired. Where a rule speaks of concurrent calls, they come from as many threads.

use std::sync::Arc;

use super::SessionStore;

mod app_data;
mod fixture;
mod leases;
mod notices;
mod records;
mod searches;
mod upkeep;
mod walks;

pub use app_data::*;
pub use leases::*;
pub use notices::*;
pub use records::*;
pub use searches::*;
pub use upkeep::*;
pub use walks::*;

/// Makes a `#[test]` of each rule of the session store contract.
///
/// Takes an `async fn` without arguments that returns a fresh, empty [`SessionStore`](crate::store::SessionStore). Each
/// test calls it once, on the thread and the tokio runtime that the test then runs on. See
/// [`store::contract`](crate::store::contract).
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests! { @rules tests $make }
    };
    (@tests $make:expr, $($rule:ident)*) => {$(
        #[test]
        fn $rule() {
            $crate::store::contract::block_on(async {
                $crate::store::contract::$rule(::std::sync::Arc::new(($make)().await)).await;
            });
        }
    )*};
    (@run $make:expr, $($rule:ident)*) => {$(
        $rule(Arc::new(($make)().await)).await;
    )*};
    (@rules $mode:ident $make:expr) => {
        $crate::contract_tests! { @$mode $make,
            insert_then_load_gives_the_record_back
            insert_refuses_a_taken_key
            insert_may_use_the_key_of_an_expired_session
            load_finds_nothing_where_nothing_is
            a_session_is_missing_from_its_expiry_on
            sealed_bodies_come_back_unchanged
            extreme_instants_and_lengths_are_kept
            swap_replaces_the_record_and_counts
            swap_refuses_another_version
            swap_never_brings_a_session_back
            swap_ignores_a_lease_and_clears_it
            swap_with_a_lease_demands_that_lease
            of_concurrent_swaps_one_wins
            concurrent_changes_are_never_lost
            a_lease_has_one_holder
            acquire_refuses_another_version
            acquire_finds_no_session_that_is_gone
            a_lease_that_ended_may_be_taken
            fence_numbers_only_rise
            only_the_holder_renews
            only_the_holder_releases
            of_concurrent_acquires_one_gets_the_lease
            touch_moves_deadlines_forward_only
            touch_changes_nothing_else
            touch_never_brings_a_session_back
            delete_says_whether_there_was_a_session
            delete_with_a_version_spares_others
            of_concurrent_deletes_one_finds_the_session
            find_gives_the_sessions_of_an_index
            find_follows_a_swap
            find_leaves_out_what_is_gone
            find_gives_at_most_1000
            find_sees_a_session_that_changes_its_key
            a_walk_gives_every_session_in_pages
            a_walk_leaves_out_what_is_gone
            a_walk_sees_what_stays_while_others_come_and_go
            a_walk_goes_on_where_it_was
            claim_once_is_true_once
            claim_once_forgets
            of_concurrent_claims_one_is_true
            a_claim_can_be_prolonged_and_read
            of_concurrent_prolongations_the_longest_stays
            sweep_removes_the_expired_and_counts_them
            sweep_keeps_what_is_alive
            ping_answers
            a_session_that_ends_is_told_of
            a_session_that_goes_on_is_not_told_of
        }
    };
}

#[doc(inline)]
pub use crate::contract_tests;

/// Checks all rules in turn; `make` gives a fresh, empty store for each.
///
/// # Panics
///
/// With the words of the first rule that the store breaks.
pub async fn run<F, Fut, S>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
    S: SessionStore,
{
    contract_tests! { @rules run make }
}

/// Makes a `#[test]` of each rule of the contract for the data of the app's own sessions, for a
/// [`SessionStore`](crate::store::SessionStore) whose `app_data` gives the
/// [`AppDataStore`](crate::store::app_data::AppDataStore) to be checked.
///
/// Takes what [`contract_tests!`](crate::contract_tests) takes.
#[macro_export]
macro_rules! app_data_contract_tests {
    ($make:expr) => {
        $crate::app_data_contract_tests! { @rules tests $make }
    };
    (@rules $mode:ident $make:expr) => {
        $crate::contract_tests! { @$mode $make,
            app_data_is_given_back
            app_data_comes_back_unchanged
            insert_app_data_refuses_a_taken_key
            app_data_that_expired_is_missing
            update_app_data_replaces_and_never_creates
            touch_app_data_moves_the_end_both_ways
            deleted_app_data_stays_away
            deleted_app_data_stays_away_under_concurrent_updates
            of_concurrent_inserts_of_app_data_one_wins
            app_data_and_sessions_are_apart
            sweep_keeps_app_data_that_are_alive
        }
    };
}

#[doc(inline)]
pub use crate::app_data_contract_tests;

/// Checks all rules for the data of the app's own sessions in turn; `make` gives a fresh, empty store for each.
///
/// # Panics
///
/// With the words of the first rule that the store breaks.
pub async fn run_app_data<F, Fut, S>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
    S: SessionStore,
{
    app_data_contract_tests! { @rules run make }
}

/// What [`contract_tests!`](crate::contract_tests) runs a rule with.
#[doc(hidden)]
pub fn block_on(rule: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(rule);
}
