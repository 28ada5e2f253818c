//! Patterns of table names: `*` any text, `?` one character, `[a-z]` one of these, `[!a]` one of the others.

use std::fmt;

use super::{SourceTable, TableKind};

/// The most characters of a pattern.
const PATTERN_CHARS_MAX: usize = 520;

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGlob {
    /// It goes on for too long.
    #[error("has more than {PATTERN_CHARS_MAX} characters")]
    Long,
    /// A class does not end.
    #[error("has a `[` without its `]`; a name with brackets in it stands in double quotes")]
    Open,
    /// A class holds nothing.
    #[error("has brackets with nothing in them")]
    Empty,
    /// A range goes down.
    #[error("has the range {0:?} to {1:?}, which holds nothing; write the lower end first")]
    Range(char, char),
}

/// A pattern of one name. Letters count with their case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `*`.
    Any,
    /// One character.
    One(Set),
}

/// Characters: those within the ranges, or all others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    not: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    fn holds(&self, character: char) -> bool {
        let within = self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
        within != self.not
    }

    /// Whether a character may be in both; of two that exclude, it is taken to be so.
    fn meets(&self, other: &Self) -> bool {
        match (self.not, other.not) {
            (true, true) => true,
            (false, false) => {
                let meet = |a: &(char, char), b: &(char, char)| a.0 <= b.1 && b.0 <= a.1;
                self.ranges.iter().any(|a| other.ranges.iter().any(|b| meet(a, b)))
            }
            (true, false) => other.meets(self),
            (false, true) => {
                let covered = |a: &(char, char)| other.ranges.iter().any(|b| b.0 <= a.0 && a.1 <= b.1);
                !self.ranges.iter().all(covered)
            }
        }
    }
}

impl Glob {
    /// The name itself, whatever its characters.
    pub fn literal(name: &str) -> Self {
        let one = |c| Part::One(Set { not: false, ranges: vec![(c, c)] });
        Self { text: name.to_owned(), parts: name.chars().map(one).collect() }
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidGlob> {
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(InvalidGlob::Long);
        }
        let mut parts = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            parts.push(match character {
                '*' => Part::Any,
                '?' => Part::One(Set { not: true, ranges: Vec::new() }),
                '[' => {
                    let (inside, after) = rest.as_str().split_once(']').ok_or(InvalidGlob::Open)?;
                    rest = after.chars();
                    Part::One(class(inside)?)
                }
                plain => Part::One(Set { not: false, ranges: vec![(plain, plain)] }),
            });
        }
        // `**` is `*`, and costs more
        parts.dedup_by(|next, before| *next == Part::Any && *before == Part::Any);
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Whether it means one name only.
    pub fn is_literal(&self) -> bool {
        let single = |part: &Part| match part {
            Part::Any => false,
            Part::One(set) => !set.not && matches!(set.ranges.as_slice(), [(low, high)] if low == high),
        };
        self.parts.iter().all(single)
    }

    /// Whether the name is one of those meant.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut part, mut at) = (0, 0);
        // where to go on if what comes does not fit: after the last `*`, which then takes one character more
        let mut back: Option<(usize, usize)> = None;
        loop {
            match self.parts.get(part) {
                None if at == name.len() => return true,
                Some(Part::Any) => {
                    back = Some((part + 1, at));
                    part += 1;
                    continue;
                }
                Some(Part::One(set)) if name.get(at).is_some_and(|character| set.holds(*character)) => {
                    (part, at) = (part + 1, at + 1);
                    continue;
                }
                Some(Part::One(_)) | None => {}
            }
            match back {
                Some((after, taken)) if taken < name.len() => {
                    (part, at) = (after, taken + 1);
                    back = Some((after, at));
                }
                Some(_) | None => return false,
            }
        }
    }

    /// Whether there may be a name that both mean.
    pub fn meets(&self, other: &Self) -> bool {
        // reachable[j]: the parts before i of ours and before j of the other's can mean the same text
        let width = other.parts.len() + 1;
        let mut reachable = vec![false; width];
        reachable[0] = true;
        for i in 0..=self.parts.len() {
            let mut next = vec![false; width];
            for j in 0..width {
                if !reachable[j] {
                    continue;
                }
                let (ours, others) = (self.parts.get(i), other.parts.get(j));
                if matches!(others, Some(Part::Any)) || (matches!(ours, Some(Part::Any)) && others.is_some()) {
                    reachable[j + 1] = true;
                }
                if matches!(ours, Some(Part::Any)) || (matches!(others, Some(Part::Any)) && ours.is_some()) {
                    next[j] = true;
                }
                if let (Some(Part::One(a)), Some(Part::One(b))) = (ours, others)
                    && a.meets(b)
                {
                    next[j + 1] = true;
                }
            }
            if i == self.parts.len() {
                return reachable[width - 1];
            }
            reachable = next;
        }
        false
    }
}

fn class(inside: &str) -> Result<Set, InvalidGlob> {
    let (not, inside) = match inside.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, inside),
    };
    let characters: Vec<char> = inside.chars().collect();
    let mut ranges = Vec::new();
    let mut rest = characters.as_slice();
    loop {
        match *rest {
            [] if ranges.is_empty() => return Err(InvalidGlob::Empty),
            [] => return Ok(Set { not, ranges }),
            [low, '-', high, ref after @ ..] => {
                if low > high {
                    return Err(InvalidGlob::Range(low, high));
                }
                ranges.push((low, high));
                rest = after;
            }
            [one, ref after @ ..] => {
                ranges.push((one, one));
                rest = after;
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A pattern of tables, perhaps with one of their schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    /// Of the schema (MySQL: database); `None` where none was said.
    pub schema: Option<Glob>,
    /// Of the name.
    pub name: Glob,
}

impl NamePattern {
    /// Whether the table is one of those meant; without a schema, in any.
    pub fn means(&self, schema: &str, name: &str) -> bool {
        self.schema.as_ref().is_none_or(|glob| glob.matches(schema)) && self.name.matches(name)
    }
}

/// How a table came to its settings, where that was not by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The pattern as configured.
    pub pattern: String,
    /// Whether it means views too.
    pub views: bool,
    /// Columns of which the first that the table has and that can be one is the cursor; empty if the settings name it.
    pub cursors: Vec<String>,
}

/// A table as a catalog lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub table: SourceTable,
    /// What it is.
    pub kind: TableKind,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).unwrap()
    }

    #[test]
    fn names_that_patterns_mean() {
        for (pattern, yes, no) in [
            ("*", vec!["", "a", "é☃"], vec![]),
            ("audit_*", vec!["audit_", "audit_log"], vec!["audit", "x_audit_a", "Audit_a"]),
            ("*_log", vec!["a_log", "_log_log"], vec!["a_logs", "log"]),
            ("a*b*c", vec!["abc", "aXbYc", "abbcc"], vec!["ab", "acb"]),
            ("t?", vec!["t1", "té"], vec!["t", "t12"]),
            ("t_20[0-9][0-9]", vec!["t_2024"], vec!["t_20x4", "t_20245"]),
            ("[!t]*", vec!["a", "xt"], vec!["", "t", "tx"]),
            ("[a-cx]1", vec!["a1", "c1", "x1"], vec!["d1", "-1"]),
            ("[a-]", vec!["a", "-"], vec!["b"]),
            ("**x", vec!["x", "ax"], vec!["xa"]),
        ] {
            for name in yes {
                assert!(glob(pattern).matches(name), "{pattern} {name}");
            }
            for name in no {
                assert!(!glob(pattern).matches(name), "{pattern} {name}");
            }
        }
        assert!(Glob::literal("a*").matches("a*") && !Glob::literal("a*").matches("ab"));
        assert!(Glob::literal("a*").is_literal() && glob("a[b]").is_literal());
        assert!(!glob("a[bc]").is_literal() && !glob("a?").is_literal() && !glob("[!a]").is_literal());
    }

    #[test]
    fn patterns_that_are_none() {
        assert_eq!(Glob::parse("a[b"), Err(InvalidGlob::Open));
        assert_eq!(Glob::parse("a[]"), Err(InvalidGlob::Empty));
        assert_eq!(Glob::parse("a[!]"), Err(InvalidGlob::Empty));
        assert_eq!(Glob::parse("[z-a]"), Err(InvalidGlob::Range('z', 'a')));
        assert_eq!(Glob::parse(&"x".repeat(521)), Err(InvalidGlob::Long));
    }

    #[test]
    fn patterns_that_can_mean_one_name() {
        for (a, b, meet) in [
            ("*", "*", true),
            ("a_*", "b_*", false),
            ("a*", "*b", true),
            ("a?c", "abc", true),
            ("a?c", "ab", false),
            ("[a-f]*", "[g-z]*", false),
            ("[!a]*", "a*", false),
            ("[!a]*", "[a-b]*", true),
            ("", "*", true),
            ("", "?", false),
            ("*x*", "*y*", true),
            ("x", "x", true),
        ] {
            assert_eq!((glob(a).meets(&glob(b)), glob(b).meets(&glob(a))), (meet, meet), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_both_mean_is_where_they_meet(a in "[ab?*]{0,6}", b in "[ab?*]{0,6}", name in "[ab]{0,6}") {
            let (a, b) = (glob(&a), glob(&b));
            if a.matches(&name) && b.matches(&name) {
                prop_assert!(a.meets(&b));
            }
            // the matching by hand: a `*` is nothing, or a character and itself
            fn slow(parts: &[char], name: &[char]) -> bool {
                match (parts.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some(('*', rest)), None) => slow(rest, name),
                    (Some(('*', rest)), Some((_, after))) => slow(rest, name) || slow(parts, after),
                    (Some((part, rest)), Some((character, after))) => (*part == '?' || part == character) && slow(rest, after),
                    (None, Some(_)) | (Some(_), None) => false,
                }
            }
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(a.matches(&name), slow(&characters(&a.text), &characters(&name)));
        }
    }
}
