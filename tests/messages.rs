//! What people are told: wrong configurations and failing situations, through the real binary. `docs/messages.md` is what this
//! prints; where it differs, HIGHWATER_RENEW_MESSAGES=1 writes it anew.

mod page;
mod settings;
mod situations;

use std::path::Path;

use self::page::Page;
use crate::served_tests;
use crate::support::Test;

/// The command that renews the page.
const RENEW: &str =
    "HIGHWATER_RENEW_MESSAGES=1 cargo test --locked --features testing --test main -- messages::what_people_are_told";

pub fn tests() -> Vec<Test> {
    served_tests![what_people_are_told]
}

async fn what_people_are_told() {
    let mut page = Page::new().await;
    settings::tell(&mut page).await;
    situations::tell(&mut page).await;
    let failures = std::mem::take(&mut page.failures);
    let text = page.text(RENEW);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/messages.md");
    if std::env::var_os("HIGHWATER_RENEW_MESSAGES").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let kept = std::fs::read_to_string(&path).unwrap();
    let differs = kept.lines().zip(text.lines()).find(|(kept, told)| kept != told);
    assert!(kept == text, "docs/messages.md is stale, first at {differs:#?}; look at what changed, then\n{RENEW}");
}
