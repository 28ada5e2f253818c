//! `.env`: variables that the environment does not have. The process's own environment wins.
//!
//! `NAME=value` lines, perhaps after `export`; `#` begins a comment. A value in single quotes stands as it is; one in
//! double quotes has escapes (`\n`, `\"`, `\$`); both may span lines. `$NAME` and `${NAME}` with capital letters stand
//! for variables, those above in the file included, where there is such a variable. No fault repeats a line: it may
//! hold a secret.

use std::collections::HashMap;

/// The file's name, in the working directory.
pub(super) const FILE: &str = ".env";

/// Reads the file's text over the variables of the environment.
///
/// # Errors
/// The number of the line that cannot be read, from 1, and what is wrong with it.
pub(super) fn parse(text: &str, environment: &HashMap<String, String>) -> Result<HashMap<String, String>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut found = HashMap::new();
    let mut reader = Reader { rest: text, line: 1 };
    loop {
        reader.skip_blank();
        if reader.rest.is_empty() {
            return Ok(found);
        }
        let line = reader.line;
        let fault = |problem: &str| format!("{FILE}:{line}: {problem}");
        let name = reader.name().ok_or_else(|| fault("is not `NAME=value`"))?;
        let lookup = |name: &str| environment.get(name).or_else(|| found.get(name)).cloned();
        let value =
            reader.value(&lookup).ok_or_else(|| fault("a quote is not closed, or something stands behind it"))?;
        // the last line of a name wins, as in a shell
        found.insert(name, value);
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn take_line(&mut self) -> &'a str {
        self.take(self.rest.find('\n').unwrap_or(self.rest.len()))
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_line();
        }
    }

    fn name(&mut self) -> Option<String> {
        let line = self.rest.lines().next()?;
        let name = line.split('=').next().filter(|before| before.len() < line.len())?;
        self.take(name.len() + 1);
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        (!name.is_empty() && name.bytes().all(fine)).then(|| name.to_owned())
    }

    fn value(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let spaces = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.take(spaces);
        let value = match self.rest.chars().next() {
            Some('\'') => {
                let end = self.rest[1..].find('\'')?;
                self.take(end + 2).trim_matches('\'').to_owned()
            }
            Some('"') => {
                let end = end_of_double(&self.rest[1..])?;
                let quoted = self.take(end + 2);
                expand(&quoted[1..=end], true, lookup)
            }
            _ => return Some(expand(without_comment(self.take_line()).trim(), false, lookup)),
        };
        without_comment(self.take_line()).trim().is_empty().then_some(value)
    }
}

/// Where the closing quote is.
fn end_of_double(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return Some(at),
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    None
}

/// A comment begins with `#` at the line's start or after a space: a password may have one in it.
fn without_comment(line: &str) -> &str {
    let begins = |at: usize| at == 0 || line[..at].ends_with([' ', '\t']);
    line.match_indices('#').find(|(at, _)| begins(*at)).map_or(line, |(at, _)| &line[..at])
}

/// Resolves variables, and in double quotes escapes.
fn expand(text: &str, escapes: bool, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        let next = rest.chars().next();
        match (character, next) {
            ('\\', Some('$')) => {
                out.push('$');
                rest = &rest[1..];
            }
            ('\\', Some(next)) if escapes => {
                out.push(match next {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => other,
                });
                rest = &rest[next.len_utf8()..];
            }
            ('$', _) => match variable(rest).and_then(|(name, length)| lookup(name).map(|value| (value, length))) {
                Some((value, length)) => {
                    out.push_str(&value);
                    rest = &rest[length..];
                }
                None => out.push('$'),
            },
            (character, _) => out.push(character),
        }
    }
    out
}

/// The variable's name after a `$`, and how many bytes it takes, braces included.
fn variable(text: &str) -> Option<(&str, usize)> {
    let (inner, braces) = text.strip_prefix('{').map_or((text, 0), |inner| (inner, 2));
    let fine = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let length = inner.bytes().take_while(fine).count();
    let closed = braces == 0 || inner[length..].starts_with('}');
    (length > 0 && closed).then(|| (&inner[..length], length + braces))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use proptest::prelude::*;

    use super::*;

    fn environment() -> HashMap<String, String> {
        HashMap::from([("HOST".to_owned(), "real".to_owned())])
    }

    #[test]
    fn each_form_of_a_line() {
        let text = "\u{feff}# comment\n\nA=1\r\nexport B = two words # comment\nC='$A # \\n'\nD=\"x\\n\\\"$A\\$A\"\n\
                    E=pa#ss$word$NOPE\nF=${A}-$HOST\nG=\nH=\"two\nlines\" # comment\nDATE=2006-01-02 15:04:05\nZ=\\d\\$A\nHOST=file\nI=$HOST";
        let found = parse(text, &environment()).unwrap();
        for (name, value) in [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$A # \\n"),
            ("D", "x\n\"1$A"),
            ("E", "pa#ss$word$NOPE"),
            ("F", "1-real"),
            ("G", ""),
            ("H", "two\nlines"),
            ("DATE", "2006-01-02 15:04:05"),
            ("Z", "\\d$A"),
            ("I", "real"),
        ] {
            assert_eq!(found[name], value, "{name}");
        }
    }

    #[test]
    fn faults_have_a_line_and_no_content() {
        for (text, fault) in [
            ("A=1\nhunter2\n", ".env:2: is not `NAME=value`"),
            ("A=\"x\ny\"\nB='hunter2\n", ".env:3: a quote is not closed, or something stands behind it"),
            ("A='a'hunter2", ".env:1: a quote is not closed, or something stands behind it"),
            ("hunter 2=x", ".env:1: is not `NAME=value`"),
        ] {
            assert_eq!(parse(text, &environment()).unwrap_err(), fault);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~é\n\r\t]{0,120}") {
            drop(parse(&text, &environment()));
        }
    }
}
