//! How numbers, tables and long lines are laid out for people. Pure.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A colour that a cell may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Style {
    /// Well.
    Good,
    /// Not yet.
    Open,
    /// Not well.
    Bad,
    /// Beside the matter.
    Faint,
    /// What moves.
    Moving,
}

impl Style {
    /// The text in this colour (ECMA-48, SGR).
    pub(in crate::cli) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Good => 32,
            Self::Open => 33,
            Self::Bad => 31,
            Self::Faint => 2,
            Self::Moving => 36,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// The least characters that a name is shortened to.
const NAME_MIN: usize = 12;
/// Between two columns.
const GAP: usize = 2;

/// The text without what moves a terminal's cursor, ends a line or turns its direction: a name may hold anything.
pub(in crate::cli) fn shown(text: &str) -> String {
    let tears = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if tears(character) { ' ' } else { character }).collect()
}

/// How many columns of a terminal the text takes.
pub(in crate::cli) fn width(text: &str) -> usize {
    text.width()
}

/// The text, and blanks up to so many columns.
pub(in crate::cli) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Lines of a table, of cells that may hold anything. With a `width`, columns of `spare` are left out from its first on until the rest fits, and then the
/// first column is shortened.
pub(in crate::cli) fn table(
    header: &[&str],
    rows: &[Vec<String>],
    spare: &[usize],
    width: Option<usize>,
    style: impl Fn(usize, &str) -> Option<Style>,
) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
    let mut widths: Vec<usize> = header.iter().map(|name| self::width(name)).collect();
    for row in &rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = (*most).max(self::width(cell));
        }
    }
    let mut kept = vec![true; widths.len()];
    if let Some(room) = width {
        let mut left = spare.iter();
        while taken(&widths, &kept) > room {
            let Some(column) = left.next().and_then(|column| kept.get_mut(*column)) else { break };
            *column = false;
        }
        let over = taken(&widths, &kept).saturating_sub(room);
        if let Some(first) = widths.first_mut() {
            *first = (*first).min(first.saturating_sub(over).max(NAME_MIN));
        }
    }
    let print = |cells: &mut dyn Iterator<Item = &str>, styled: bool| {
        let mut text = String::new();
        for (column, (cell, most)) in
            cells.zip(&widths).enumerate().filter(|(column, _)| kept.get(*column) == Some(&true))
        {
            let cell = shortened(cell, *most);
            let pad = most.saturating_sub(self::width(&cell));
            let number = cell.starts_with(|first: char| first.is_ascii_digit()) && !cell.contains(['-', ':']);
            let (before, after) = if number { (pad, 0) } else { (0, pad) };
            text.push_str(&" ".repeat(before));
            let colour = if styled { style(column, &cell) } else { None };
            text.push_str(&colour.map_or_else(|| cell.clone(), |colour| colour.paint(&cell)));
            text.push_str(&" ".repeat(after + GAP));
        }
        text.trim_end().to_owned()
    };
    let head = print(&mut header.iter().copied(), false);
    let rows = rows.iter().map(|row| print(&mut row.iter().map(String::as_str), true));
    std::iter::once(head).chain(rows).collect()
}

fn taken(widths: &[usize], kept: &[bool]) -> usize {
    let kept = widths.iter().zip(kept).filter(|(_, kept)| **kept);
    kept.map(|(width, _)| width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// The text within so many columns: of a wider one the end, which tells names apart.
pub(in crate::cli) fn shortened(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut room = most.saturating_sub(1);
    let mut from = text.len();
    for (at, character) in text.char_indices().rev() {
        let Some(left) = room.checked_sub(character.width().unwrap_or(0)) else { break };
        (room, from) = (left, at);
    }
    format!("…{}", text.get(from..).unwrap_or_default())
}

/// The text in lines of so many columns, broken between words; a longer word has a line of its own.
pub(in crate::cli) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A number with its thousands apart: `1,234,567`.
pub(in crate::cli) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in about four digits: `9,999`, `12.3k`, `4.56M`.
pub(in crate::cli) fn short(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    if number < 10_000 {
        return grouped(number);
    }
    scaled(number, &UNITS).unwrap_or_else(|| grouped(number))
}

/// Bytes: `512 B`, `12.3 MiB`.
pub(in crate::cli) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, " TiB"), (1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB")];
    scaled(number, &UNITS).unwrap_or_else(|| format!("{number} B"))
}

/// In three digits of the greatest unit that the number has, cut off rather than rounded.
fn scaled(number: u64, units: &[(u64, &str)]) -> Option<String> {
    let (unit, name) = units.iter().find(|(unit, _)| number >= *unit)?;
    let (whole, hundredths) = (number / unit, u128::from(number % unit) * 100 / u128::from(*unit));
    Some(match whole {
        0..10 => format!("{whole}.{hundredths:02}{name}"),
        10..100 => format!("{whole}.{}{name}", hundredths / 10),
        _ => format!("{whole}{name}"),
    })
}

/// A span of time: `0.123 s`, `59 s`, `3m 05s`, `2h 10m`.
pub(in crate::cli) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{seconds}.{:03} s", time.subsec_millis()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![row(["pg/orders", "synced", "1,200", "2026-01-01"]), row(["my/a_very_long_name", "failed", "7", "-"])]
    }

    const HEADER: [&str; 4] = ["TABLE", "OUTCOME", "ROWS", "WATERMARK"];

    #[test]
    fn columns_are_aligned_and_the_least_wanted_go_first() {
        let plain = table(&HEADER, &rows(), &[3, 2], None, |_, _| None);
        let wanted = [
            "TABLE               OUTCOME  ROWS   WATERMARK",
            "pg/orders           synced   1,200  2026-01-01",
            "my/a_very_long_name  failed       7  -",
        ];
        assert_eq!(plain[1].len(), plain[0].len() + 1);
        assert_eq!(plain[2].replace("  ", ""), wanted[2].replace("  ", ""));
        let at = |text: &str| table(&HEADER, &rows(), &[3, 2], Some(40), |_, _| None)[0].find(text);
        assert_eq!((at("ROWS").is_some(), at("WATERMARK")), (true, None));
        for width in [24, 30, 36, 40, 60] {
            let lines = table(&HEADER, &rows(), &[3, 2], Some(width), |_, _| None);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
            assert!(lines[2].contains("failed"), "{lines:?}");
        }
    }

    #[test]
    fn colours_do_not_move_columns() {
        let style = |column: usize, _: &str| (column == 1).then_some(Style::Good);
        let lines = table(&HEADER, &rows(), &[], None, style);
        let bare = |line: &String| line.replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
        assert_eq!(lines.iter().map(bare).collect::<Vec<_>>(), table(&HEADER, &rows(), &[], None, |_, _| None));
        assert!(lines[1].contains("\u{1b}[32msynced\u{1b}[0m") && !lines[0].contains('\u{1b}'));
    }

    #[test]
    fn names_keep_their_ends() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdef", 4), "…def");
        assert_eq!(shortened("äöü", 2), "…ü");
        assert_eq!(shortened("注文明細", 5), "…明細");
        assert_eq!(shortened("注文明細", 4), "…細");
    }

    #[test]
    fn no_name_tears_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\nc\u{9b}d\u{202e}e"), "a [2Jb c d e");
        let rows = [vec!["o\nps\u{1b}".to_owned(), "synced".to_owned()], vec!["注文".to_owned(), "failed".to_owned()]];
        let lines = table(&["TABLE", "OUTCOME"], &rows, &[], None, |_, _| None);
        assert_eq!(lines, ["TABLE  OUTCOME", "o ps   synced", "注文   failed"]);
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a incomprehensibilities b", 5), ["a", "incomprehensibilities", "b"]);
    }

    #[test]
    fn numbers() {
        assert_eq!([grouped(0), grouped(999), grouped(1_000), grouped(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [short(9_999), short(12_399), short(4_567_000), short(u64::MAX)],
            ["9,999", "12.3k", "4.56M", "18446744T"]
        );
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1 << 20), bytes(u64::MAX)],
            ["0 B", "1023 B", "1.00 MiB", "16777215 TiB"]
        );
    }

    #[test]
    fn spans() {
        let spans = [0, 9_876, 10_000, 61_000, 3_599_999, 7_800_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["0.000 s", "9.876 s", "10 s", "1m 01s", "59m 59s", "2h 10m"]);
    }
}
