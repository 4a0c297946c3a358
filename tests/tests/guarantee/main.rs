//! The refresh guarantee with real processes: several instances on one store, a provider that ends a grant when a refresh token is
//! presented twice, and everything killed, stopped or broken that can be.
//!
//! `./tests/guarantee` prints what they count; `docs/refresh-guarantee.md` has the table.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod kills;
mod load;
mod outages;
mod stores;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Kills, and the starts that follow them, take a machine's whole attention: they run alone, everything else side by side.
async fn turn(module: &str) -> Turn {
    static MACHINE: RwLock<()> = RwLock::const_new(());
    match module {
        "kills" => Turn::Alone(MACHINE.write().await),
        _ => Turn::Beside(MACHINE.read().await),
    }
}

#[allow(dead_code, reason = "the guards are held, not looked at")]
enum Turn {
    Alone(RwLockWriteGuard<'static, ()>),
    Beside(RwLockReadGuard<'static, ()>),
}

/// Makes a test of each case for each store.
macro_rules! on_every_store {
    ($($module:ident { $($case:ident,)* })*) => {
        on_every_store! { @store sqlite Sqlite $($module { $($case,)* })* }
        on_every_store! { @store redis Redis $($module { $($case,)* })* }
        on_every_store! { @store postgres Postgres $($module { $($case,)* })* }
    };
    (@store $name:ident $store:ident $($module:ident { $($case:ident,)* })*) => {
        mod $name {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let _turn = crate::turn(stringify!($module)).await;
                    crate::$module::$case(crate::stores::Backend::$store).await;
                })*
            })*
        }
    };
}

/// A file has no server that could be killed.
macro_rules! on_every_server {
    ($($module:ident { $($case:ident,)* })*) => {
        mod servers {
            on_every_store! { @store redis Redis $($module { $($case,)* })* }
            on_every_store! { @store postgres Postgres $($module { $($case,)* })* }
        }
    };
}

on_every_server! {
    outages {
        a_store_that_is_killed_signs_nobody_out,
    }
}

on_every_store! {
    load {
        two_hundred_requests_over_two_instances_make_one_refresh,
        two_hundred_requests_over_four_instances_make_one_refresh,
        a_hundred_expiries_in_a_row_lose_nothing,
    }
    outages {
        whatever_the_provider_does_signs_nobody_out,
    }
    kills {
        two_hundred_kills_end_in_clean_sign_ins_at_worst,
    }
}
