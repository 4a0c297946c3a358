//! Guide 1 in a real browser: its page's own script asks who is signed in, calls the API through the proxy, and sees no token.

use std::net::SocketAddr;
use std::time::Duration;

use auth_testing::{Client, Endpoint, Fault};
use auth_tests::stage::{CLIENT_ID, CLIENT_SECRET};
use auth_tests::{Carrier, Framework, Stage};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::driver::{DESK, Driver, Settings};

const PAGE: &str = "/client-profile";

async fn client_profile(stage: Stage) {
    // The application has to know its address before it listens, so this port is another one's, which leads to it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::confidential(CLIENT_ID, CLIENT_SECRET);
    let provider = stage.provider_for(client, &base).start().await.unwrap();
    stage.watch(&provider);
    let settings = stage.environment(&provider).set("AUTH_BASE_URL", &base);
    let app = stage.start_program(stage.framework.guide(1), &settings).await;
    tokio::spawn(lead(listener, app.address()));
    let control = provider.control();
    let name = format!("guide-1-{}", app.framework.package());
    let driver = Driver::start(name, Settings::Usual, DESK).await;

    // Whoever is not signed in is sent to the index page.
    driver.goto(&format!("{base}{PAGE}")).await;
    driver.shows("/", "Profile, from the client side").await;
    // The access token is dead on arrival: the script's call has another one.
    control.next_access_token_lifetime(Duration::ZERO);
    driver.goto(&format!("{base}/auth/login?return_to={PAGE}")).await;
    driver.click("button[name=user][value=bob]").await;
    driver.shows(PAGE, "Hello Bob").await;
    driver.shows(PAGE, "Email: bob@example.com").await;
    assert_eq!((control.refresh_count(), control.reuse_count()), (1, 0));
    control.fail(Endpoint::Api("/scim2/Me"), Fault::status(500));
    driver.refresh().await;
    driver.shows(PAGE, "Failed to fetch user details").await;
    driver.picture("failed").await;

    driver.click("form[action='/auth/logout'] button").await;
    driver.shows("/", "Profile, from the client side").await;
    assert_eq!(driver.session(&base).await, json!({"authenticated": false}));
    driver.quit().await;
}

/// Leads whoever connects to the application.
pub(crate) async fn lead(listener: TcpListener, to: SocketAddr) {
    while let Ok((mut browser, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut app = TcpStream::connect(to).await?;
            tokio::io::copy_bidirectional(&mut browser, &mut app).await
        });
    }
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn the_script_of_guide_1_on_axum() {
    Stage::run(Framework::Axum, Carrier::Cookie, client_profile).await;
}

#[tokio::test]
#[ignore = "needs chromium; run ./tests/run"]
async fn the_script_of_guide_1_on_actix() {
    Stage::run(Framework::Actix, Carrier::Cookie, client_profile).await;
}
