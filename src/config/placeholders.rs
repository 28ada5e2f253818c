//! `${NAME}` in texts: filled in from the environment, and left as they are where the value must not be seen.

use std::ops::Range;

use super::env::Env;

/// Stands for a secret that no variable holds.
pub(super) const MASK: &str = "********";

/// How much of a scalar must not be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// All of it.
    Whole,
    /// The password of a url.
    UrlPassword,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable { name: &'a str, default: Option<&'a str> },
}

/// Takes a text apart. `$${` is a literal `${`.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        pieces.push(Piece::Text(&rest[..at]));
        if rest[..at].ends_with('$') {
            pieces.push(Piece::Text("{"));
            rest = &rest[at + 2..];
            continue;
        }
        let inner = &rest[at + 2..];
        let end = inner.find('}').ok_or_else(|| "`${` without `}`; write `$${` for the characters".to_owned())?;
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("`${{{name}}}` is not a variable's name"));
        }
        pieces.push(Piece::Variable { name, default });
        rest = &inner[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn value<'a>(env: &'a Env, name: &str, default: Option<&'a str>) -> Option<&'a str> {
    env.get(name).filter(|value| !value.is_empty() || default.is_none()).or(default)
}

/// Replaces `${NAME}` and `${NAME:-default}`. The text comes from a parsed scalar, so what a variable holds cannot
/// change the file's structure.
pub(super) fn fill(text: &str, env: &Env) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text)? {
        out.push_str(match piece {
            Piece::Text(text) => text,
            Piece::Variable { name, default } => value(env, name, default)
                .ok_or_else(|| format!("{UNSET}{name}{UNSET_END} set it, or say `${{{name}:-default}}`"))?,
        });
    }
    Ok(out)
}

/// How the fault of a variable that is not set begins, up to its name, and goes on after it.
const UNSET: &str = "the variable ";
const UNSET_END: &str = " is not set;";

/// The variable that is not set, by the fault that [`fill`] gave.
pub(super) fn unset(fault: &str) -> Option<&str> {
    let (_, rest) = fault.split_once(UNSET)?;
    let (name, _) = rest.split_once(UNSET_END)?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}

/// The text that [`fill`] makes this of.
pub(super) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// Whether the text can be filled in, given the variables.
pub(super) fn is_well_formed(text: &str) -> bool {
    pieces(text).is_ok()
}

/// The variables of a text.
pub(super) fn names(text: &str) -> Vec<&str> {
    let name = |piece| match piece {
        Piece::Variable { name, .. } => Some(name),
        Piece::Text(_) => None,
    };
    pieces(text).unwrap_or_default().into_iter().filter_map(name).collect()
}

/// The text as it may be seen: filled in and escaped again, but for variables that hold a secret.
pub(super) fn shown(text: &str, env: &Env, secret: &dyn Fn(&str) -> bool) -> String {
    let (mut out, mut plain) = (String::new(), String::new());
    for piece in pieces(text).unwrap_or_default() {
        match piece {
            Piece::Text(text) => plain.push_str(text),
            Piece::Variable { name, default } => match value(env, name, default) {
                Some(value) if !secret(name) => plain.push_str(value),
                _ => {
                    out.push_str(&escape(&std::mem::take(&mut plain)));
                    out.push_str(&reference(name));
                }
            },
        }
    }
    out + &escape(&plain)
}

/// A secret as it may be seen: its variables, or a mask. A default would be the secret itself.
pub(super) fn masked(text: &str) -> String {
    let only_variables = |piece: &Piece<'_>| matches!(piece, Piece::Variable { .. } | Piece::Text(""));
    match pieces(text) {
        Ok(pieces) if pieces.iter().all(only_variables) => names(text).iter().map(|name| reference(name)).collect(),
        _ => MASK.to_owned(),
    }
}

/// A url as it may be seen: its password masked, variables filled in where they can hold no password.
pub(super) fn masked_url(text: &str, env: &Env, secret: &dyn Fn(&str) -> bool) -> String {
    let parts = Url::take_apart(text);
    let mut out = String::new();
    for (index, token) in parts.tokens.iter().enumerate() {
        if parts.password.contains(&index) {
            if index == parts.password.start {
                let whole = &parts.tokens[parts.password.clone()];
                let only_variables = whole.iter().all(|token| matches!(token, Token::Variable { .. }));
                match only_variables {
                    true => whole.iter().for_each(|token| token.write_name(&mut out)),
                    false => out.push_str(MASK),
                }
            }
            continue;
        }
        match token {
            Token::Char('{') if out.ends_with('$') => out.push_str("${"),
            Token::Char(character) => out.push(*character),
            Token::Variable { name, default } => match value(env, name, *default) {
                Some(value) if is_plain(value) && !secret(name) => out.push_str(value),
                _ => token.write_name(&mut out),
            },
        }
    }
    out
}

/// The variables in a url's password.
pub(super) fn password_names<'a>(text: &'a str) -> Vec<&'a str> {
    let parts = Url::take_apart(text);
    let name = |token: &Token<'a>| match token {
        Token::Variable { name, .. } => Some(*name),
        Token::Char(_) => None,
    };
    parts.tokens[parts.password].iter().filter_map(name).collect()
}

fn reference(name: &str) -> String {
    format!("${{{name}}}")
}

/// Whether a value has none of a url's punctuation: it is one part of it, and no password hides behind it.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// A url before its variables are filled in.
struct Url<'a> {
    tokens: Vec<Token<'a>>,
    password: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Char(char),
    Variable { name: &'a str, default: Option<&'a str> },
}

/// What stands between a url's scheme and the rest.
const SCHEME_END: [Token<'static>; 3] = [Token::Char(':'), Token::Char('/'), Token::Char('/')];

impl Token<'_> {
    fn write_name(&self, out: &mut String) {
        match self {
            Self::Char(character) => out.push(*character),
            Self::Variable { name, .. } => out.push_str(&reference(name)),
        }
    }
}

impl<'a> Url<'a> {
    /// The password is what stands between the first `:` and the last `@` of what lies between `://` and the path.
    fn take_apart(text: &'a str) -> Self {
        let mut tokens = Vec::new();
        for piece in pieces(text).unwrap_or_default() {
            match piece {
                Piece::Text(text) => tokens.extend(text.chars().map(Token::Char)),
                Piece::Variable { name, default } => tokens.push(Token::Variable { name, default }),
            }
        }
        let begin = tokens.windows(SCHEME_END.len()).position(|some| some == SCHEME_END);
        let begin = begin.map_or(0, |at| at + SCHEME_END.len());
        let is = |token: &Token<'_>, wanted: &[char]| matches!(token, Token::Char(c) if wanted.contains(c));
        let rest = &tokens[begin..];
        let end = rest.iter().position(|token| is(token, &['/', '?', '#'])).unwrap_or(rest.len());
        let at = rest[..end].iter().rposition(|token| is(token, &['@'])).unwrap_or(0);
        let colon = rest[..at].iter().position(|token| is(token, &[':'])).map(|colon| colon + 1);
        let password = begin + colon.unwrap_or(at)..begin + at;
        Self { tokens, password }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        let pairs = [("HOST", "db.example.com"), ("PW", "p@ss"), ("AUTH", "u:pw"), ("BRACES", "a${b"), ("EMPTY", "")];
        Env::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn what_is_shown_comes_to_the_same() {
        for text in ["", "a $ b", "$${x}", "$$${x}", "${HOST}/x", "x${BRACES}${HOST}", "${EMPTY:-d}${NOPE:-e}"] {
            let shown = shown(text, &env(), &|_| false);
            assert_eq!(fill(&shown, &env()), fill(text, &env()), "{text}");
            assert_eq!(names(&shown), Vec::<&str>::new(), "{text}");
        }
        assert_eq!(shown("a${PW}${HOST}", &env(), &|name| name == "PW"), "a${PW}db.example.com");
    }

    #[test]
    fn secrets_are_masked_or_named() {
        assert_eq!(masked("${PW}"), "${PW}");
        assert_eq!(masked("${PW:-hunter2}"), "${PW}");
        assert_eq!(masked("x${PW}"), MASK);
        assert_eq!(masked("hunter2"), MASK);
        for (url, wanted) in [
            ("mysql://u@${HOST}/d", "mysql://u@db.example.com/d"),
            ("mysql://u:${PW}@${HOST}/d", "mysql://u:${PW}@db.example.com/d"),
            ("mysql://u:x${PW}@h/d", "mysql://u:********@h/d"),
            ("mysql://u:hun@ter2@h/d?socket=/a@b", "mysql://u:********@h/d?socket=/a@b"),
            ("mysql://${AUTH}@h/d", "mysql://${AUTH}@h/d"),
            ("${URL:-mysql://u:hunter2@h/d}", "${URL}"),
            ("mysql://u:@h/d", "mysql://u:@h/d"),
            ("mysql://u:${HOST}@${HOST}/d", "mysql://u:${HOST}@${HOST}/d"),
        ] {
            let secret = |name: &str| password_names(url).contains(&name);
            assert_eq!(masked_url(url, &env(), &secret), wanted);
        }
    }
}
