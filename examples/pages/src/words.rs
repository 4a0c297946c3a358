//! Instants and lengths of time in words.

use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A length in whole seconds, as coarse as a reader wants it: `83 s`, `12 min`, `7 h 59 min`, `6 days 23 h`.
pub(crate) fn length(secs: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;

    match secs {
        0..120 => format!("{secs} s"),
        120..HOUR => format!("{} min", secs / MINUTE),
        HOUR..DAY => two_units(secs / HOUR, "h", secs % HOUR / MINUTE, "min"),
        DAY.. => {
            let days = secs / DAY;
            two_units(
                days,
                if days == 1 { "day" } else { "days" },
                secs % DAY / HOUR,
                "h",
            )
        }
    }
}

fn two_units(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// How long a call took: `under 1 ms`, `41 ms`, `2.5 s`.
pub(crate) fn took(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "under 1 ms".to_owned(),
        millis @ 1..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

/// `count` and a noun: `once`, `twice`, `3 times`.
pub(crate) fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}

/// An instant as a `time` element: the time of day, with the date where it is another one than now's.
/// An instant that no calendar holds is shown as its number of seconds.
pub(crate) fn instant(at: i64, now: i64) -> Markup {
    let Ok(moment) = OffsetDateTime::from_unix_timestamp(at) else {
        return html! { (at) };
    };
    let clock = format!(
        "{:02}:{:02}:{:02} UTC",
        moment.hour(),
        moment.minute(),
        moment.second()
    );
    let same_day = OffsetDateTime::from_unix_timestamp(now).is_ok_and(|now| now.date() == moment.date());
    let text = if same_day {
        clock
    } else {
        format!("{} {} {}, {clock}", moment.day(), moment.month(), moment.year())
    };
    html! { time datetime=[moment.format(&Rfc3339).ok()] { (text) } }
}

/// How far `at` lies from `now`: `in 83 s`, `12 s ago`, `just now`.
pub(crate) fn distance(at: i64, now: i64) -> String {
    let secs = at.abs_diff(now);
    match at.cmp(&now) {
        _ if secs <= 1 => "just now".to_owned(),
        std::cmp::Ordering::Less => format!("{} ago", length(secs)),
        _ => format!("in {}", length(secs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_get_coarser_as_they_grow() {
        let cases = [
            (0, "0 s"),
            (83, "83 s"),
            (119, "119 s"),
            (120, "2 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (28_740, "7 h 59 min"),
            (86_400, "1 day"),
            (604_799, "6 days 23 h"),
        ];
        for (secs, words) in cases {
            assert_eq!(length(secs), words);
        }
    }

    #[test]
    fn calls_are_timed_in_the_unit_that_fits() {
        assert_eq!(took(Duration::from_micros(900)), "under 1 ms");
        assert_eq!(took(Duration::from_millis(41)), "41 ms");
        assert_eq!(took(Duration::from_millis(2_512)), "2.5 s");
    }

    #[test]
    fn instants_of_another_day_carry_their_date() {
        // 2026-11-21T14:03:20Z
        let now = 1_795_269_800;
        assert_eq!(
            instant(now, now).into_string(),
            r#"<time datetime="2026-11-21T14:03:20Z">14:03:20 UTC</time>"#
        );
        assert_eq!(
            instant(now + 86_400, now).into_string(),
            r#"<time datetime="2026-11-22T14:03:20Z">22 November 2026, 14:03:20 UTC</time>"#
        );
    }

    #[test]
    fn instants_beyond_the_calendar_are_numbers() {
        assert_eq!(instant(i64::MAX, 0).into_string(), i64::MAX.to_string());
        assert!(distance(i64::MAX, i64::MIN).starts_with("in "));
    }

    #[test]
    fn distances_say_before_or_after() {
        assert_eq!(distance(183, 100), "in 83 s");
        assert_eq!(distance(88, 100), "12 s ago");
        assert_eq!(distance(99, 100), "just now");
    }
}
