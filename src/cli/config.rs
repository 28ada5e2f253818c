//! `highwater config`. Nothing is contacted.

use super::{EXIT_DONE, EXIT_USAGE, load, output};
use crate::config::{Env, Input};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) fn run(_arguments: &Arguments, input: &Input, env: &Env, json: bool) -> u8 {
    let Some(loaded) = load(input, env) else { return EXIT_USAGE };
    match json {
        true => output::json(&loaded.json(env)),
        false => output::text(&format!("# from {}\n{}", loaded.origin(), loaded.yaml(env))),
    }
    EXIT_DONE
}
