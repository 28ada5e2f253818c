//! What is printed: the only place that writes to stdout and stderr besides the log.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line's output")]

use std::io::IsTerminal as _;

use serde::Serialize;

use crate::config::{Env, Look};
use crate::log::Format;

/// Human lines where a person can see them, JSON elsewhere, unless one of them is wanted.
pub(super) fn log_format(env: &Env, look: Look) -> Format {
    let terminal = std::io::stderr().is_terminal();
    match (look, terminal) {
        (Look::Human, _) | (Look::Any, true) => Format::Human { colour: terminal && env.colour() },
        (Look::Machine, _) | (Look::Any, false) => Format::Stackdriver,
    }
}

/// One error for a person.
pub(super) fn fault(message: &str) {
    eprintln!("highwater: {message}");
}

/// One line beside the output, for a person.
pub(super) fn note(message: &str) {
    eprintln!("{message}");
}

/// Whether a person looks on.
pub(super) fn is_watched() -> bool {
    std::io::stdout().is_terminal()
}

/// A text as it stands.
pub(super) fn text(text: &str) {
    print!("{text}");
}

/// One line of text.
pub(super) fn line(text: &str) {
    println!("{text}");
}

/// One JSON object on a line.
pub(super) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => println!("{text}"),
        Err(error) => fault(&format!("the report cannot be written: {error}")),
    }
}

/// Rows under a header, columns padded; numbers to the right.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            let pad = width.saturating_sub(cell.chars().count());
            let number = cell.starts_with(|first: char| first.is_ascii_digit()) && !cell.contains(['-', ':']);
            let (before, after) = if number { (pad, 0) } else { (0, pad) };
            text.push_str(&" ".repeat(before));
            text.push_str(cell);
            text.push_str(&" ".repeat(after + 2));
        }
        println!("{}", text.trim_end());
    };
    print(&mut header.iter().copied());
    for row in rows {
        print(&mut row.iter().map(String::as_str));
    }
}
