//! probe
#![allow(clippy::unwrap_used)]
use auth_testing::*;
use thirtyfour::prelude::*;
#[tokio::test]
async fn probe() {
    let provider = DevProvider::builder().client(Client::public("x").redirect_uri("http://127.0.0.1:3000/cb")).start().await.unwrap();
    let mut caps = DesiredCapabilities::chrome();
    for a in ["--headless=new","--no-sandbox","--disable-gpu","--disable-dev-shm-usage"] { caps.add_arg(a).unwrap(); }
    caps.add_experimental_option("prefs", serde_json::json!({"profile.managed_default_content_settings.javascript": 2})).unwrap();
    let mut c = std::process::Command::new("chromedriver").arg("--port=45991").spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let web = WebDriver::new("http://127.0.0.1:45991", caps).await.unwrap();
    web.goto("data:text/html,<body>a<script>document.body.textContent='script ran'</script>").await.unwrap();
    println!("{}", web.find(By::Tag("body")).await.unwrap().text().await.unwrap());
    web.goto(provider.issuer()).await.unwrap();
    println!("{}", web.find(By::Tag("body")).await.unwrap().text().await.unwrap());
    web.query(By::Css("button[name=lifetime][value='5']")).first().await.unwrap().click().await.unwrap();
    println!("{} {}", web.current_url().await.unwrap(), web.find(By::Tag("body")).await.unwrap().text().await.unwrap());
    web.quit().await.unwrap();
    c.kill().unwrap();
}
