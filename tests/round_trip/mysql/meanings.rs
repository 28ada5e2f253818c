//! What MariaDB's own texts mean, where it has a form of its own. Pure.

use super::super::canon;
use super::super::meaning::{self, Meaning};

/// 0 and 1 are all that BOOL holds.
pub fn boolean(shown: &str) -> Meaning {
    let value = match shown {
        "0" => Some("false"),
        "1" => Some("true"),
        _ => None,
    };
    value.map(str::to_owned).into()
}

/// `0000` or a year.
pub fn year(shown: &str) -> Meaning {
    Meaning::Value(shown.parse::<i64>().unwrap().to_string())
}

/// Hexadecimal digits of a text that MariaDB takes for JSON, which it may not be.
pub fn json(shown: &str) -> Meaning {
    meaning::json(&String::from_utf8(canon::unhex(shown)).unwrap())
}

/// Hexadecimal digits of a point or polygon in its binary form.
pub fn wkb(shown: &str) -> Meaning {
    let bytes = canon::unhex(shown);
    let mut scan = Scan(&bytes);
    assert_eq!(scan.take::<1>(), [1], "the bytes come in another order");
    Meaning::Value(match scan.count() {
        1 => format!("POINT({})", scan.point()),
        3 => {
            let rings: Vec<String> = (0..scan.count())
                .map(|_| {
                    let points: Vec<String> = (0..scan.count()).map(|_| scan.point()).collect();
                    format!("({})", points.join(","))
                })
                .collect();
            format!("POLYGON({})", rings.join(","))
        }
        other => panic!("a shape of type {other}"),
    })
}

struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        *taken
    }

    fn count(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn point(&mut self) -> String {
        let [x, y] = [(); 2].map(|()| canon::double(f64::from_le_bytes(self.take())));
        format!("{x} {y}")
    }
}

/// The text form of a shape, with its numbers in their canonical form.
pub fn wkt(text: &str) -> Result<String, String> {
    let (name, rest) = text.split_at(text.find('(').ok_or("no shape")?);
    let mut made = name.to_owned();
    let mut number = String::new();
    for char in rest.chars() {
        if !matches!(char, '(' | ')' | ',' | ' ') {
            number.push(char);
            continue;
        }
        if !number.is_empty() {
            made.push_str(&canon::double(number.parse().map_err(|_not| format!("no number: {number}"))?));
            number.clear();
        }
        made.push(char);
    }
    Ok(made)
}
