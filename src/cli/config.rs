//! `highwater config`. Nothing is contacted.

use std::path::PathBuf;

use super::{EXIT_DONE, EXIT_USAGE, load, output};
use crate::config::{Env, Input, import};
use crate::schema;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Read the configuration of another tool from this file and print it as one of ours: a YAML file with `mappings`,
    /// or a JSON file with `sourceDb`. Comments say what could not be carried over and what is to be filled in.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    import: Option<PathBuf>,
    /// Print the JSON Schema of the configuration, for editors: `# yaml-language-server: $schema=FILE` at the top of a
    /// configuration names it.
    #[arg(long, conflicts_with_all = ["import", "json"])]
    schema: bool,
}

pub(super) fn run(arguments: &Arguments, input: &Input, env: &Env, json: bool) -> u8 {
    if arguments.schema {
        output::text(&schema::text());
        return EXIT_DONE;
    }
    match &arguments.import {
        Some(path) => match import::read(path) {
            Ok(text) => output::text(&text),
            Err(errors) => {
                output::faults(errors.told());
                return EXIT_USAGE;
            }
        },
        None => {
            let Some(loaded) = load(input, env) else { return EXIT_USAGE };
            match json {
                true => output::json(&loaded.json(env)),
                false => output::text(&format!("# from {}\n{}", loaded.origin(), loaded.yaml(env))),
            }
        }
    }
    EXIT_DONE
}
