//! Where it listens, and that it stops.

use auth_testing::{DevProvider, StartError};

use crate::harness::Harness;

#[tokio::test]
async fn refuses_to_listen_anywhere_but_on_loopback() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let started = DevProvider::builder()
            .address(address.parse().unwrap())
            .start()
            .await;
        assert!(matches!(started, Err(StartError::NotLoopback(_))), "{address}");
    }
}

#[tokio::test]
async fn has_a_client_with_a_secret_of_its_own_when_nothing_is_configured() {
    let one = DevProvider::builder().start().await.unwrap();
    let other = DevProvider::builder().start().await.unwrap();
    assert_eq!(one.client_id(), "dev-client");
    assert!(one.client_secret().unwrap().len() >= 43);
    assert_ne!(one.client_secret(), other.client_secret());
}

#[tokio::test]
async fn debug_output_shows_no_secret() {
    let provider = DevProvider::builder().start().await.unwrap();
    let secret = provider.client_secret().unwrap();
    let shown = format!("{provider:?} {:?}", provider.control());
    assert!(!shown.contains(secret), "{shown}");
}

#[tokio::test]
async fn ports_are_closed_after_shutdown() {
    let harness = Harness::start().await;
    let urls = [
        harness.url("/jwks"),
        harness.provider.api_url().to_owned(),
        harness.provider.api2_url().to_owned(),
    ];
    let control = harness.control().clone();
    harness.provider.shutdown().await;
    for url in urls {
        let error = harness.http.get(url).send().await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
    }
    drop(control);
}

#[tokio::test]
async fn goes_down_and_comes_back_on_the_same_port() {
    let harness = Harness::start().await;
    let url = harness.url("/jwks");
    assert_eq!(harness.get(&url).await.status, 200);

    harness.control().go_down().await;
    let error = harness.http.get(&url).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");

    harness.control().come_up().await.unwrap();
    assert_eq!(harness.get(&url).await.status, 200);
}
