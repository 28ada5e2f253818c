//! LOG_LEVEL and LOG_ENV.

use super::super::env::Env;
use super::super::input::Look;
use super::super::scalar;
use super::variables::Variables;

pub(super) const LEVEL: &str = "LOG_LEVEL";
pub(super) const LOOK: &str = "LOG_ENV";

/// Levels and their filters. What libraries say at `debug` is of no use to anybody else.
const LEVELS: [(&str, &str); 9] = [
    ("debug", "info,highwater=debug"),
    ("info", "info"),
    ("warn", "warn"),
    ("warning", "warn"),
    ("error", "error"),
    ("dpanic", "error"),
    ("panic", "error"),
    ("fatal", "error"),
    ("trace", "info,highwater=trace"),
];
const LOOKS: [(&str, Look); 2] = [("dev", Look::Human), ("prod", Look::Machine)];

fn level(text: &str) -> Result<&'static str, String> {
    scalar::word(&text.to_ascii_lowercase(), &LEVELS)
}

fn word(text: &str) -> Result<Look, String> {
    scalar::word(text, &LOOKS)
}

/// The log filter; `None` if nothing that can be read says one.
pub(in super::super) fn filter(env: &Env) -> Option<&'static str> {
    env.get(LEVEL).and_then(|text| level(text.trim()).ok())
}

/// How log lines are to look; `None` if nothing that can be read says it.
pub(in super::super) fn look(env: &Env) -> Option<Look> {
    env.get(LOOK).and_then(|text| word(text.trim()).ok())
}

/// Reports what cannot be read: the log has started without it.
pub(super) fn check(variables: &Variables<'_>) {
    variables.parsed(LEVEL, level);
    variables.parsed(LOOK, word);
}
