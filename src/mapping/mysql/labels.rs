//! The labels of ENUM and SET. Both are ordered by number, and an index on them too, but compared with text as text:
//! so positions, which carry the label, are compared by the number that it has in the declaration.

/// The declared labels, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    set: bool,
    labels: Vec<String>,
}

impl Labels {
    /// From `COLUMN_TYPE`: `enum('a','it''s')`. The catalog escapes quotes by doubling, and backslash, line feed,
    /// carriage return and NUL by a backslash.
    pub fn parse(column_type: &str) -> Self {
        let set = column_type.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("set"));
        let mut labels = Vec::new();
        let mut label: Option<String> = None;
        let mut rest = column_type.chars().peekable();
        while let Some(next) = rest.next() {
            match (&mut label, next) {
                (None, '\'') => label = Some(String::new()),
                (None, _) => {}
                (Some(text), '\'') if rest.next_if_eq(&'\'').is_some() => text.push('\''),
                (Some(_), '\'') => labels.extend(label.take()),
                (Some(text), '\\') => match rest.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('0') => text.push('\0'),
                    Some(other) => text.push(other),
                    None => {}
                },
                (Some(text), other) => text.push(other),
            }
        }
        Self { set, labels }
    }

    /// The number that the server stores for a value: an index from 1 for ENUM (0 is the empty value of an invalid
    /// insert), a sum of bits for SET. `None` for a text that is no value.
    pub fn number(&self, text: &str) -> Option<u64> {
        let index = |label: &str| self.labels.iter().position(|known| known == label);
        if !self.set {
            return match index(text) {
                Some(found) => u64::try_from(found + 1).ok(),
                None if text.is_empty() => Some(0),
                None => None,
            };
        }
        if text.is_empty() {
            return Some(0);
        }
        text.split(',').try_fold(0, |sum, label| {
            let bit = index(label).and_then(|bit| u32::try_from(bit).ok())?;
            Some(sum | 1u64.checked_shl(bit)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unescaped() {
        let labels = Labels::parse(r"enum('a','it''s','back\\slash','new\nline','','x,y',''''',''''')");
        assert_eq!(labels.labels, ["a", "it's", "back\\slash", "new\nline", "", "x,y", "'',''"]);
        assert_eq!(labels.number("a"), Some(1));
        assert_eq!(labels.number(""), Some(5));
        assert_eq!(labels.number("x,y"), Some(6));
        assert_eq!(labels.number("b"), None);
        assert_eq!(Labels::parse("enum('a')").number(""), Some(0));
    }

    #[test]
    fn sets_are_sums_of_bits() {
        let labels = Labels::parse("set('a','b','c')");
        assert_eq!(labels.number(""), Some(0));
        assert_eq!(labels.number("a,c"), Some(5));
        assert_eq!(labels.number("a,d"), None);
    }
}
