//! Where a sign-in came from, as the list of sessions shows it.

use auth_tests::Stage;

pub(crate) async fn the_address_is_the_peer_s_unless_a_trusted_proxy_names_another(stage: Stage) {
    for (proxies, forwarded, expected) in [
        (None, "198.51.100.7", "127.0.0.1"),
        (Some("10.0.0.0/8"), "198.51.100.7", "127.0.0.1"),
        (
            Some("127.0.0.0/8, 10.0.0.0/8"),
            "6.6.6.6, 198.51.100.7, 10.1.2.3",
            "198.51.100.7",
        ),
    ] {
        let world = stage
            .world_with(|settings| match proxies {
                Some(proxies) => settings.set("AUTH_TRUSTED_PROXIES", proxies),
                None => settings,
            })
            .await;
        let request = world.begin(&world.browser, "/auth/login").await;
        let callback = world.approve(&request, "alice").await;
        let answer = world
            .browser
            .navigate(callback.as_str())
            .header("x-forwarded-for", forwarded);
        answer.await.assert_redirect();
        let sessions = world.browser.fetch("/api/sessions").await.json();
        assert_eq!(sessions[0]["address"], expected, "{proxies:?}");
    }
}
