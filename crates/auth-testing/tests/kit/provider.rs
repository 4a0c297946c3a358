//! The provider and the tokens it gives: dead, revoked, not to be had.

use std::time::Duration;

use auth_core::Error;
use auth_core::error::NotSignedIn;
use auth_core::refresh::RefreshError;
use auth_testing::{Endpoint, Fault, TestAuth};

use crate::{require, session};

#[tokio::test]
async fn a_dead_access_token_is_refreshed() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").access_token_expired().signed_in().await;
    assert_eq!(auth.provider().refresh_count(), 0);
    let session = require(&auth.auth(), &ada).await.unwrap();
    assert_eq!((session.refresh_count(), auth.provider().refresh_count()), (1, 1));
    // Only the first one was to be dead.
    let again = require(&auth.auth(), &ada).await.unwrap();
    assert_eq!(again.refresh_count(), 1);
}

#[tokio::test]
async fn without_a_refresh_token_a_dead_access_token_is_the_end() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").without_refresh_token().signed_in().await;
    let living = require(&auth.auth(), &ada).await.unwrap();
    assert!(!living.is_refreshable());
    assert!(!living.scopes().contains("offline_access"));
    auth.advance(Duration::from_secs(301));
    let error = require(&auth.auth(), &ada).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::TokenExpired)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_provider_out_of_order_signs_nobody_out() {
    for fault in [
        Fault::status(503),
        Fault::oauth(401, "invalid_client"),
        Fault::Body {
            status: 200,
            content_type: "text/html".to_owned(),
            body: b"<p>maintenance".to_vec(),
        },
    ] {
        let auth = TestAuth::new().await;
        let ada = auth.user("ada").access_token_expired().signed_in().await;
        auth.provider().fail_next(Endpoint::Token, 1, fault.clone());
        let error = require(&auth.auth(), &ada).await.unwrap_err();
        assert_eq!(error.status(), 503, "{fault:?}: {error:?}");
        auth.advance(Duration::from_secs(60));
        assert!(require(&auth.auth(), &ada).await.is_ok(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_cannot_be_reached() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").access_token_expired().signed_in().await;
    auth.provider().go_down().await;
    let error = require(&auth.auth(), &ada).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refresh(error) if matches!(**error, RefreshError::Unavailable(_))),
        "{error:?}"
    );
    let nobody = auth.user("eve").try_signed_in().await.unwrap_err();
    assert_eq!(nobody.code(), Some("login.token_unavailable"), "{nobody}");
    auth.provider().come_up().await.unwrap();
    auth.advance(Duration::from_secs(60));
    assert!(require(&auth.auth(), &ada).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_breaks_off_may_have_carried_the_request() {
    for fault in [Fault::Reset, Fault::LoseAnswer] {
        let auth = TestAuth::new().await;
        let ada = auth.user("ada").access_token_expired().signed_in().await;
        auth.provider().fail_next(Endpoint::Token, 1, fault.clone());
        let error = require(&auth.auth(), &ada).await.unwrap_err();
        assert!(
            matches!(&error, Error::Refresh(error) if matches!(**error, RefreshError::Unanswered(_))),
            "{fault:?}: {error:?}"
        );
        assert_eq!(auth.provider().refresh_count(), 1, "{fault:?}: no repetition");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_given_up() {
    let auth = TestAuth::with(|settings| settings.http_timeout(Duration::from_secs(5)))
        .await
        .unwrap();
    let ada = auth.user("ada").access_token_expired().signed_in().await;
    auth.provider().fail(Endpoint::Token, Fault::Hang);
    let error = require(&auth.auth(), &ada).await.unwrap_err();
    assert_eq!(error.status(), 503, "{error:?}");
}

#[tokio::test]
async fn what_the_provider_revokes_ends_with_the_access_token() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").signed_in().await;
    let bob = auth.user("bob").signed_in().await;
    ada.revoke_at_provider();
    assert!(
        require(&auth.auth(), &ada).await.is_ok(),
        "nobody has told the application"
    );
    auth.advance(Duration::from_secs(301));
    let error = require(&auth.auth(), &ada).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::GrantEnded)),
        "{error:?}"
    );
    assert!(ada.session().await.unwrap().is_none());
    assert!(require(&auth.auth(), &bob).await.is_ok());
}

#[tokio::test]
async fn a_sign_out_at_the_provider_ends_this_session_at_once() {
    let auth = TestAuth::new().await;
    let here = auth.user("ada").signed_in().await;
    let there = auth.user("ada").signed_in().await;
    assert_eq!(here.sign_out_at_provider().await.unwrap(), 200);
    let error = require(&auth.auth(), &here).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
    assert!(session(&there).await.sid().is_some(), "it has a `sid` of its own");
}

#[tokio::test]
async fn a_session_that_is_ended_here_is_over() {
    let auth = TestAuth::new().await;
    let ada = auth.user("ada").signed_in().await;
    ada.end().await.unwrap();
    ada.end().await.unwrap();
    let error = require(&auth.auth(), &ada).await.unwrap_err();
    assert!(
        matches!(error, Error::NotSignedIn(NotSignedIn::Ended)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_session_ends_by_the_clock() {
    let auth = TestAuth::with(|settings| settings.session_idle(Duration::from_secs(600)))
        .await
        .unwrap();
    let ada = auth.user("ada").signed_in().await;
    auth.advance(Duration::from_secs(601));
    assert!(ada.session().await.unwrap().is_none());
}

#[tokio::test]
async fn who_is_not_in_the_process_cannot_be_reached() {
    let auth = TestAuth::with(|settings| settings.issuer("https://id.example"))
        .await
        .unwrap();
    let error = auth.user("ada").try_signed_in().await.unwrap_err();
    assert_eq!(error.code(), Some("provider.unreachable"), "{error}");
}
