//! `highwater explain`: what the codes of errors mean, from `docs/errors.md`, which is in the program: at night, in a
//! container, there is nothing else to read. Nothing is contacted.

use serde::Serialize;

use super::{EXIT_DONE, EXIT_USAGE, output};
use crate::model::{Code, Told, nearest};

const ERRORS: &str = include_str!("../../docs/errors.md");

/// How the section of a code begins.
const HEADING: &str = "## ";

/// What every code begins with; people may leave it out.
const PREFIX: &str = "HW-";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The code, as `HW-TARGET-GONE`; all codes if none is named.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

#[derive(Serialize)]
struct Section {
    code: Code,
    text: &'static str,
}

pub(super) fn run(arguments: &Arguments, json: bool) -> u8 {
    let Some(wanted) = &arguments.code else {
        sections().for_each(|section| list(&section, json));
        return EXIT_DONE;
    };
    match section(wanted) {
        Ok(section) if json => output::json(&section),
        Ok(section) => output::text(&format!("{}\n\n{}\n", section.code, section.text)),
        Err(told) => {
            output::fault(&told);
            return EXIT_USAGE;
        }
    }
    EXIT_DONE
}

/// The section of a code in any case, with or without what all begin with.
fn section(wanted: &str) -> Result<Section, Told> {
    let upper = wanted.trim().to_uppercase();
    let full = if upper.starts_with(PREFIX) { upper } else { format!("{PREFIX}{upper}") };
    if let Some(section) = sections().find(|section| section.code.as_str() == full) {
        return Ok(section);
    }
    let near = nearest(&full, Code::ALL.iter().map(|code| (code.as_str(), code)), 1).pop();
    let way_out =
        near.map_or_else(|| "`highwater explain` lists all".to_owned(), |near| format!("did you mean {near}?"));
    let shown: String = wanted.chars().take(SHOWN_CHARS_MAX).collect();
    Err(Told::new(Code::Usage, &format!("{shown:?} is no code of an error; {way_out}")))
}

/// The most characters of what was asked for that an error repeats.
const SHOWN_CHARS_MAX: usize = 100;

/// One line a code: the first sentence of its section.
fn list(section: &Section, json: bool) {
    if json {
        output::json(section);
        return;
    }
    let first = section.text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    output::line(&format!("{:<24} {}", section.code.as_str(), sentence(&first)));
}

/// The text up to its first full stop or colon that is not in code.
fn sentence(text: &str) -> &str {
    let mut in_code = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        in_code ^= character == '`';
        let is_last = characters.peek().is_none_or(|(_, next)| next.is_whitespace());
        if matches!(character, '.' | ':') && is_last && !in_code {
            return text.get(..at).unwrap_or(text);
        }
    }
    text
}

/// Every section, in the document's order.
fn sections() -> impl Iterator<Item = Section> {
    ERRORS.split("\n## ").skip(1).filter_map(|text| {
        let (heading, text) = text.split_once('\n')?;
        Some(Section { code: heading.trim_start_matches(HEADING).parse().ok()?, text: text.trim() })
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

    use std::path::Path;

    use super::*;

    #[test]
    fn every_code_has_its_section_with_all_its_parts() {
        let headings: Vec<&str> = ERRORS.lines().filter_map(|line| line.strip_prefix(HEADING)).collect();
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(headings, codes, "docs/errors.md has other codes, or another order, than src/model/code.rs");
        for section in sections() {
            let parts: Vec<&str> = section.text.split("\n\n").collect();
            let [meaning, state, way_out] = parts.as_slice() else { panic!("{}: {parts:#?}", section.code) };
            assert!(meaning.len() > 20 && meaning.ends_with('.'), "{}: {meaning}", section.code);
            assert!(state.starts_with("**What is where.** ") && state.len() > 20, "{}: {state}", section.code);
            assert!(way_out.starts_with("**The way out.** ") && way_out.len() > 20, "{}: {way_out}", section.code);
        }
        assert_eq!(sections().count(), Code::ALL.len());
    }

    #[test]
    fn a_line_of_the_list_is_a_whole_sentence() {
        assert_eq!(sentence("One `a: b.c` of two. More."), "One `a: b.c` of two");
        for section in sections() {
            let first = section.text.replace('\n', " ");
            let line = sentence(&first);
            assert!(line.len() > 20 && line.matches('`').count().is_multiple_of(2), "{}: {line}", section.code);
        }
    }

    #[test]
    fn every_code_is_told_by_something() {
        let mut sources = String::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
        let untold: Vec<&Code> =
            Code::ALL.iter().filter(|code| !mentions(&sources, &format!("Code::{code:?}"))).collect();
        assert_eq!(untold, Vec::<&Code>::new(), "nothing in src/ tells of these codes");
    }

    /// Whether the name stands there whole.
    fn mentions(text: &str, name: &str) -> bool {
        text.match_indices(name)
            .any(|(at, _)| !text[at + name.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    }

    /// What the program consists of, tests left out.
    fn collect(folder: &Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if !path.ends_with("tests.rs") && !path.ends_with("model/code.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                into.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
            }
        }
    }

    #[test]
    fn a_code_is_found_however_it_is_written() {
        for wanted in ["HW-TARGET-GONE", "hw-target-gone", "TARGET-GONE", " target-gone "] {
            assert_eq!(section(wanted).ok().map(|section| section.code), Some(Code::TargetGone), "{wanted}");
        }
        let told = |wanted| section(wanted).map(|section| section.code).unwrap_err().message;
        assert_eq!(told("HW-TARGET-GON"), "\"HW-TARGET-GON\" is no code of an error; did you mean HW-TARGET-GONE?");
        assert_eq!(told("HW-404"), "\"HW-404\" is no code of an error; `highwater explain` lists all");
    }
}
