//! What is printed: the only place that writes to stdout and stderr besides the bars, which it writes above of. What an
//! option or the terminal says about how is told once, at the beginning.
//!
//! Nobody may read any more, as where a pipe ends in `head`: then that stream is left alone, and the work goes on.

pub(super) mod layout;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use self::layout::Style;
use super::{EXIT_DONE, EXIT_FAILED, progress};
use crate::config::{Env, Look};
use crate::log::Format;
use crate::model::{Code, Told, cause_and_way_out};

/// How this process prints.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
    /// Errors and nothing else.
    quiet: bool,
    /// Columns of the terminal that stdout is.
    width: Option<usize>,
    /// Colours on stdout.
    colour: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Says how this process prints.
pub(super) fn begin(env: &Env, quiet: bool) {
    let terminal = io::stdout().is_terminal();
    let width = terminal.then(|| terminal_size::terminal_size_of(io::stdout())).flatten();
    // one that does not know its width has none
    let width = width.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0);
    // a second beginning in one process keeps the first
    MANNER.set(Manner { quiet, width, colour: terminal && env.colour() }).unwrap_or_default();
}

fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Human lines where a person can see them, JSON elsewhere, unless one of them is wanted.
pub(super) fn log_format(env: &Env, look: Look) -> Format {
    let terminal = io::stderr().is_terminal();
    match (look, terminal) {
        (Look::Human, _) | (Look::Any, true) => Format::Human { colour: terminal && env.colour() },
        (Look::Machine, _) | (Look::Any, false) => Format::Stackdriver,
    }
}

/// Nothing is written to it any more.
static STDOUT_ENDED: AtomicBool = AtomicBool::new(false);
static STDERR_ENDED: AtomicBool = AtomicBool::new(false);
/// What was to be on stdout is not there, and somebody wanted it.
static STDOUT_FAILED: AtomicBool = AtomicBool::new(false);

/// The exit status of a command that came to `code`: what it could not print is a failure of its own.
pub(super) fn exit_code(code: u8) -> u8 {
    if code == EXIT_DONE && STDOUT_FAILED.load(Ordering::Relaxed) { EXIT_FAILED } else { code }
}

/// Writes to stdout, until it ends.
fn out(text: &str) {
    let Err(error) = progress::aside(|| write_to(&STDOUT_ENDED, &mut io::stdout().lock(), text.as_bytes())) else {
        return;
    };
    STDOUT_FAILED.store(true, Ordering::Relaxed);
    fault(&Told::new(Code::Machine, &format!("standard output cannot be written: {error}")));
}

/// Writes to stderr, until it ends; there is nowhere to tell that it did.
fn err(bytes: &[u8]) {
    progress::aside(|| write_to(&STDERR_ENDED, &mut io::stderr().lock(), bytes)).unwrap_or_default();
}

/// Writes all of it, unless the stream has ended. It ends with its first error, which is told unless its reader has gone.
fn write_to(ended: &AtomicBool, stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    if ended.load(Ordering::Relaxed) {
        return Ok(());
    }
    stream.write_all(bytes).and_then(|()| stream.flush()).or_else(|error| {
        let told = ended.swap(true, Ordering::Relaxed) || error.kind() == io::ErrorKind::BrokenPipe;
        if told { Ok(()) } else { Err(error) }
    })
}

/// Where log lines go: to stderr, above the bars.
#[derive(Debug)]
pub(super) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // to the log's writer an error would be one more line for stderr
        err(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the lines below an error's first begin with.
const BELOW: &str = "  ";
/// What the lines begin with that a terminal's width makes of one.
const BROKEN: &str = "    ";

/// One error for a person: what is wrong, the way out, and where there is more.
pub(super) fn fault(told: &Told) {
    faults(std::slice::from_ref(told));
}

/// Errors for a person, and once for each kind where there is more. On a terminal lines are broken between words.
pub(super) fn faults(all: &[Told]) {
    for Told { code, message } in all {
        let (cause, way_out) = cause_and_way_out(message);
        paragraph("", &format!("highwater: {code}: {cause}"));
        if let Some(way_out) = way_out {
            paragraph(BELOW, &format!("way out: {way_out}"));
        }
    }
    let codes: BTreeSet<Code> = all.iter().map(|told| told.code).collect();
    codes.into_iter().for_each(|code| paragraph(BELOW, &format!("see: highwater explain {code}")));
}

/// One line of an error, or as many as the terminal's width makes of it.
fn paragraph(indent: &str, text: &str) {
    let width = manner().width.filter(|_| io::stderr().is_terminal());
    let text = text.split('\n').map(layout::shown).collect::<Vec<_>>().join("\n");
    let lines = width.map(|width| layout::wrap(&text, width.saturating_sub(BROKEN.len())));
    let text = lines.map_or(text, |lines| lines.join(&format!("\n{BROKEN}")));
    err(format!("{indent}{text}\n").as_bytes());
}

/// One line beside the output, for a person.
pub(super) fn note(message: &str) {
    if !manner().quiet {
        err(format!("{}\n", layout::shown(message)).as_bytes());
    }
}

/// Whether a person looks on.
pub(super) fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// A text as it stands.
pub(super) fn text(text: &str) {
    if !manner().quiet {
        out(text);
    }
}

/// One line of text, whatever is in it.
pub(super) fn line(line: &str) {
    text(&format!("{}\n", layout::shown(line)));
}

/// One JSON object on a line.
pub(super) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(object) => text(&format!("{object}\n")),
        Err(error) => fault(&Told::new(Code::Bug, &format!("the report cannot be written: {error}"))),
    }
}

/// Rows under a header, columns padded; numbers to the right.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) {
    layout::table(header, rows, &[], None, |_, _| None).iter().for_each(|row| text(&format!("{row}\n")));
}

/// The same within the terminal's width, if stdout is one: the first of `spare` (columns, least wanted first) are left out
/// for the others to fit, and a first column that is still too long is shortened. `style` gives colours, where there are any.
pub(super) fn fitted(
    header: &[&str],
    rows: &[Vec<String>],
    spare: &[usize],
    style: impl Fn(usize, &str) -> Option<Style>,
) {
    let Manner { width, colour, .. } = manner();
    let style = |column: usize, cell: &str| if colour { style(column, cell) } else { None };
    layout::table(header, rows, spare, width, style).iter().for_each(|row| text(&format!("{row}\n")));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose every write fails so.
    struct Failing(io::ErrorKind, usize);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_ends_with_its_first_error_which_is_told_unless_nobody_reads() {
        for (kind, told) in [(io::ErrorKind::BrokenPipe, false), (io::ErrorKind::StorageFull, true)] {
            let (ended, mut stream) = (AtomicBool::new(false), Failing(kind, 0));
            assert_eq!(write_to(&ended, &mut stream, b"one").is_err(), told, "{kind:?}");
            assert!(write_to(&ended, &mut stream, b"two").is_ok() && stream.1 == 1, "{kind:?}");
        }
    }
}
