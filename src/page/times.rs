//! Instants in the page.

use jiff::Timestamp;
use maud::{Markup, html};

use super::text;

/// How far away it is, and when that is.
pub(super) fn both(at: Timestamp, now: Timestamp) -> Markup {
    html! {
        time datetime=(machine(at)) title=(text::stamp(at)) {
            (text::away(at, now)) " " small { (text::clock(at, now)) }
        }
    }
}

/// As a machine reads it.
pub(super) fn machine(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The same, or a dash.
pub(super) fn maybe(at: Option<Timestamp>, now: Timestamp) -> Markup {
    match at {
        Some(at) => both(at, now),
        None => html! { "–" },
    }
}
