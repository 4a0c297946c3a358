//! `oidcc-client-test-userinfo-signed`: a signed userinfo answer is verified (OpenID Connect Core §5.3.2).

use auth_testing::{Endpoint, Fault};
use auth_tests::stage::CLIENT_ID;
use serde_json::{Map, json};

use crate::harness::{Last, Suite, USER};

pub(crate) async fn module(suite: Suite) {
    let rp = suite.start().await;
    let control = rp.control();
    let mut claims = Map::from_iter([
        ("iss".to_owned(), json!(rp.issuer())),
        ("aud".to_owned(), json!(CLIENT_ID)),
        ("sub".to_owned(), json!(USER)),
        ("favourite_colour".to_owned(), json!("green")),
    ]);
    let good = control.sign_jwt("JWT", &claims);
    claims.insert("favourite_colour".to_owned(), json!("red"));
    let other = control.sign_jwt("JWT", &claims);
    let answer = |token: String| control.fail(Endpoint::Userinfo, Fault::body(200, "application/jwt", token));

    answer(good.clone());
    let browser = rp.accepts().await;
    assert_eq!(browser.session().await["user"]["favourite_colour"], "green");

    // The one's claims with the other's signature.
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    answer(format!("{signed}.{signature}"));
    rp.refuses("userinfo.signature_invalid", Last::Userinfo).await;
}
