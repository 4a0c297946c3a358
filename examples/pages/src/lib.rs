//! The pages that both example applications show.

/// The style sheet of every page: plain elements first, then a few classes.
pub const STYLE: &str = include_str!("style.css");
