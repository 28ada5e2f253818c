//! What every page has: head, style, script, and the policy that lets the browser take nothing else.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::View;
use super::standing::Condition;
use super::text;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// `Content-Security-Policy` of every page: our style and our script by their hashes, and nothing from anywhere.
pub fn policy() -> &'static str {
    &POLICY
}

/// A page with that in it. `crumb` is where it is below the list.
pub(super) fn page(title: &str, crumb: Option<&str>, view: &View, now: Timestamp, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Highwater" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    nav aria-label="Where you are" {
                        @match crumb {
                            None => span.brand { "Highwater" },
                            Some(crumb) => {
                                a.brand href="/" { "Highwater" }
                                span aria-hidden="true" { "/" }
                                span.crumb { (crumb) }
                            },
                        }
                    }
                    p.meta data-live="seen" {
                        span.project { (view.project) }
                        span { "seen " time datetime=(super::times::machine(view.at)) { (view.at.strftime("%H:%M:%S UTC")) } }
                        @if now.duration_since(view.at).as_secs() > 60 { b { "old: " (text::away(view.at, now)) } }
                    }
                    button #refresh type="button" hidden { "Pause" }
                }
                main #main tabindex="-1" { (body) }
                footer {
                    p data-live="foot" {
                        (text::several(view.runs, "run", "runs")) " remembered"
                        @if let Some(since) = view.since { ", back to " (text::stamp(since)) }
                        ". Read from the bucket in " (text::milliseconds(view.took_ms)) "; no source is asked. Times are UTC."
                    }
                    p { a href="/api/tables" { "/api/tables" } " " a href="/api/runs" { "/api/runs" } " " a href="/metrics" { "/metrics" }
                        " " span { "Highwater " (env!("HIGHWATER_VERSION")) } }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// A condition's word, with the shape that the style gives it.
pub(super) fn word(condition: Condition) -> Markup {
    html! { span class=(format!("s {}", condition.name())) { (condition.word()) } }
}

/// What could not be read.
pub(super) fn notes(notes: &[String]) -> Markup {
    html! {
        @if !notes.is_empty() {
            section.notes aria-labelledby="unread" {
                h2 #unread { "What could not be read, or was left out" }
                ul { @for note in notes { li { (text::short(note)) } } }
            }
        }
    }
}
