//! What PostgreSQL's own texts mean, where it has a form of its own. Pure.

use super::super::canon;
use super::super::json::Json;
use super::super::meaning::{self, Meaning};

/// `-$1,234.56`.
pub fn money(shown: &str) -> Meaning {
    meaning::numeric(&shown.replace(['$', ','], ""))
}

/// `HH:MM:SS[.f…]±HH[:MM[:SS]]`, in UTC.
pub fn timetz(shown: &str) -> Meaning {
    let at = shown.rfind(['+', '-']).unwrap();
    let parts = shown[at + 1..].split(':').map(|part| part.parse::<i64>().unwrap());
    let east = parts.zip([3600, 60, 1]).map(|(part, seconds)| part * seconds).sum::<i64>() * 1_000_000;
    let east = if shown[at..].starts_with('-') { -east } else { east };
    canon::time_micros(&shown[..at]).map(|local| canon::time_text((local - east).rem_euclid(86_400_000_000))).into()
}

/// `YYYY-MM-DD HH:MM:SS[.f…]+00`.
pub fn timestamptz(shown: &str) -> Meaning {
    shown.strip_suffix("+00").and_then(|text| canon::civil(text, ' ')).into()
}

fn interval_text(months: i64, days: i64, micros: i128) -> String {
    format!("{months} months {days} days {micros} us")
}

/// `1 year -2 mons 3 days -04:05:06.789`.
pub fn interval(shown: &str) -> Meaning {
    let (mut months, mut days, mut micros) = (0, 0, 0);
    let mut words = shown.split(' ');
    while let Some(word) = words.next() {
        if word.contains(':') {
            micros = span_micros(word);
            continue;
        }
        let count: i64 = word.parse().unwrap();
        match words.next().unwrap() {
            "year" | "years" => months += count * 12,
            "mon" | "mons" => months += count,
            "day" | "days" => days += count,
            other => panic!("{other} in {shown}"),
        }
    }
    Meaning::Value(interval_text(months, days, micros))
}

/// `[-]H:MM:SS[.f…]`.
fn span_micros(word: &str) -> i128 {
    let (negative, span) = match word.strip_prefix('-') {
        Some(span) => (true, span),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (whole, fraction) = span.split_once('.').unwrap_or((span, ""));
    let seconds = whole.split(':').fold(0_i128, |sum, part| sum * 60 + part.parse::<i128>().unwrap());
    let micros = seconds * 1_000_000 + format!("{fraction:0<6}").parse::<i128>().unwrap();
    if negative { -micros } else { micros }
}

/// ISO 8601 as BigQuery's CAST to INTERVAL documents it, each part with its own sign.
pub fn iso_interval(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no interval of ISO 8601");
    let rest = text.strip_prefix('P').ok_or_else(wrong)?;
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    if rest.is_empty() || time == Some("") {
        return Err(wrong());
    }
    let (mut months, mut days, mut micros) = (0, 0, 0);
    for (count, unit) in units(date, &['Y', 'M', 'D']).ok_or_else(wrong)? {
        let count: i64 = count.parse().map_err(|_not| wrong())?;
        match unit {
            'Y' => months += count * 12,
            'M' => months += count,
            _ => days += count,
        }
    }
    for (count, unit) in units(time.unwrap_or_default(), &['H', 'M', 'S']).ok_or_else(wrong)? {
        let (whole, fraction) = count.split_once('.').unwrap_or((count, ""));
        if fraction.len() > 6 || (unit != 'S' && count.contains('.')) {
            return Err(wrong());
        }
        let units: i128 = format!("{whole}{fraction:0<6}").parse().map_err(|_not| wrong())?;
        micros += units
            * if unit == 'H' {
                3600
            } else if unit == 'M' {
                60
            } else {
                1
            };
    }
    Ok(interval_text(months, days, micros))
}

/// Numbers with their units, which come in this order, each at most once.
fn units<'a>(mut text: &'a str, mut order: &[char]) -> Option<Vec<(&'a str, char)>> {
    let mut found = Vec::new();
    while !text.is_empty() {
        let at = text.find(|char: char| char.is_ascii_uppercase())?;
        let unit = text[at..].chars().next()?;
        let place = order.iter().position(|known| *known == unit)?;
        found.push((&text[..at], unit));
        order = &order[place + 1..];
        text = &text[at + 1..];
    }
    Some(found)
}

/// What a word becomes in JSON.
type Element = fn(&str) -> Json;

/// A reader of PostgreSQL's quoted forms.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn take(&mut self, token: &str) -> bool {
        let there = self.0.starts_with(token);
        if there {
            self.0 = &self.0[token.len()..];
        }
        there
    }

    /// A word up to one of `ends`, and whether it was quoted. Inside quotes a backslash, or a quote before another,
    /// makes the next character plain.
    fn word(&mut self, ends: &[char]) -> (String, bool) {
        let (mut word, mut inside, mut quoted) = (String::new(), false, false);
        let mut chars = self.0.char_indices().peekable();
        while let Some((at, next)) = chars.next() {
            match next {
                '\\' => word.extend(chars.next().map(|(_, plain)| plain)),
                '"' if inside && chars.next_if(|(_, after)| *after == '"').is_some() => word.push('"'),
                '"' => (inside, quoted) = (!inside, true),
                _ if !inside && ends.contains(&next) => {
                    self.0 = &self.0[at..];
                    return (word, quoted);
                }
                _ => word.push(next),
            }
        }
        self.0 = "";
        (word, quoted)
    }
}

fn array(shown: &str, element: Element) -> Meaning {
    // bounds other than 1 stand in front, and JSON has no place for them
    let items = if shown.starts_with('[') { shown.split_once('=').unwrap().1 } else { shown };
    let mut scan = Scan(items);
    assert!(scan.take("{"), "{shown}");
    let made = level(&mut scan, element);
    assert_eq!(scan.0, "", "{shown}");
    meaning::json_value(&made)
}

fn level(scan: &mut Scan<'_>, element: Element) -> Json {
    let mut items = Vec::new();
    while !scan.take("}") {
        scan.take(",");
        items.push(if scan.take("{") {
            level(scan, element)
        } else {
            match scan.word(&[',', '}']) {
                (word, false) if word == "NULL" => Json::Null,
                (word, false) if word.is_empty() => continue,
                (word, _) => element(&word),
            }
        });
    }
    Json::Array(items)
}

pub fn int_array(shown: &str) -> Meaning {
    array(shown, |word| Json::Number(word.into()))
}

pub fn text_array(shown: &str) -> Meaning {
    array(shown, |word| Json::Text(word.into()))
}

/// JSON has no NaN, so PostgreSQL writes the word.
fn number(word: &str) -> Json {
    if word.starts_with(|char: char| char == '-' || char.is_ascii_digit()) && word != "-Infinity" {
        Json::Number(word.into())
    } else {
        Json::Text(word.into())
    }
}

pub fn numeric_array(shown: &str) -> Meaning {
    array(shown, number)
}

/// In JSON a time is ISO 8601, infinities and years before Christ are in PostgreSQL's own words.
pub fn timestamptz_array(shown: &str) -> Meaning {
    array(shown, |word| Json::Text(word.replacen(' ', "T", 1).replacen("+00", "+00:00", 1)))
}

/// `(street,zip,note)`.
pub fn addr(shown: &str) -> Meaning {
    let mut scan = Scan(shown);
    assert!(scan.take("("));
    let mut fields = Vec::new();
    let kinds: [(&str, Element); 3] =
        [("street", |word| Json::Text(word.into())), ("zip", |word| Json::Number(word.into())), ("Note \"x\"", number)];
    for (name, kind) in kinds {
        let (word, quoted) = scan.word(&[',', ')']);
        assert!(scan.take(",") || scan.take(")"), "{shown}");
        fields.push((name.to_owned(), if word.is_empty() && !quoted { Json::Null } else { kind(&word) }));
    }
    meaning::json_value(&Json::Object(fields))
}

/// `"key"=>"value", "other"=>NULL`.
pub fn hstore(shown: &str) -> Meaning {
    let mut scan = Scan(shown);
    let mut fields = Vec::new();
    while !scan.0.is_empty() {
        let (key, _) = scan.word(&['=']);
        assert!(scan.take("=>"), "{shown}");
        let (value, quoted) = scan.word(&[',']);
        fields.push((key, if quoted { Json::Text(value) } else { Json::Null }));
        scan.take(", ");
    }
    meaning::json_value(&Json::Object(fields))
}
