//! How far this server's clock is from the provider's, as its answers tell, and who hears of it.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use auth_core::clock::TestClock;
use auth_core::grants::ClientCredentials;
use auth_core::login::ClockSkew;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::world::{World, secs};

/// The levels of the lines about clocks, with the difference that each names.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

impl Lines {
    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[derive(Default)]
struct Line {
    is_about_clocks: bool,
    difference: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "difference" {
            self.difference = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.is_about_clocks |= field.name() == "code" && value == "provider.clock_differs";
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.is_about_clocks {
            let level = *event.metadata().level();
            self.0.lock().unwrap().push((level, line.difference));
        }
    }
}

#[tokio::test] // one thread, and so a subscriber of its own
async fn a_clock_that_goes_wrong_is_told_of_once_and_so_is_its_return() {
    let lines = Lines::default();
    let _here = tracing::subscriber::set_default(Registry::default().with(lines.clone()));
    let world = World::start().await;
    let own = TestClock::new();
    let auth = world.instance_with(|builder| builder.clock(own.clock())).await;
    let now = world.clock.clock().now();
    own.set(now);
    assert_eq!(auth.clock_skew(None), None);
    assert_eq!(auth.clock_skew(Some("another")), None);
    let mut browser = world.browser_of(&auth);
    let id = browser.sign_in("/").await;
    assert_eq!(auth.clock_skew(None).unwrap().by(), secs(0));

    // Each asks the token endpoint for a token that was not asked for yet; what it says is not the point.
    let asked = AtomicUsize::new(0);
    let ask = async || {
        let scope = format!("machine-{}", asked.fetch_add(1, Ordering::Relaxed));
        let _ = auth.machine_token(&ClientCredentials::new().scopes(&scope)).await;
        auth.clock_skew(None).unwrap()
    };
    // Userinfo may be at another host, with a clock of its own.
    let session = auth.authenticate(Some(&id)).await.unwrap();
    own.set(now.plus(secs(90)));
    auth.user_info(&session).await.unwrap();
    assert_eq!(auth.clock_skew(None).unwrap().by(), secs(0));
    for way in [1, -1] {
        let set = |off: u64| match way {
            1 => own.set(now.plus(secs(off))),
            _ => own.set(now.minus(secs(off))),
        };
        let is_so = |skew, off: u64| match skew {
            ClockSkew::Ahead(by) => way == 1 && off - 1 <= by.as_secs() && by.as_secs() <= off,
            ClockSkew::Behind(by) => way == -1 && off - 1 <= by.as_secs() && by.as_secs() <= off,
        };
        set(30);
        assert!(is_so(ask().await, 30));
        assert_eq!(lines.take(), [], "within the tolerance");
        set(90);
        assert!(is_so(ask().await, 90));
        set(95);
        assert!(is_so(ask().await, 95));
        let told = lines.take();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, Level::WARN);
        let how = if way == 1 { "ahead of" } else { "behind" };
        assert!(
            told[0].1.contains(how) && told[0].1.starts_with(['8', '9']),
            "{told:?}"
        );
        set(20);
        ask().await;
        ask().await;
        let told = lines.take();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, Level::INFO);
    }
}
