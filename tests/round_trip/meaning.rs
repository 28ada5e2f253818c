//! What the database's own text of a value means: its canonical form, or that BigQuery cannot hold it. Pure.
//!
//! What both servers print alike; their own forms are in `postgres` and `mysql`.

use super::canon;
use super::json::Json;

/// What must arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// This, and nothing is counted.
    Value(String),
    /// Nothing, and it is counted as unrepresentable.
    Beyond,
    /// This, and it is counted as replaced.
    Replaced(String),
}

impl From<Option<String>> for Meaning {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Beyond, Self::Value)
    }
}

/// The text itself.
pub fn text(shown: &str) -> Meaning {
    Meaning::Value(shown.into())
}

/// An integer that INT64 holds.
pub fn integer(shown: &str) -> Meaning {
    shown.parse::<i64>().ok().map(|value| value.to_string()).into()
}

/// A decimal that may be NaN or an infinity.
pub fn numeric(shown: &str) -> Meaning {
    Some(shown).filter(|text| canon::fits_numeric(text)).and_then(canon::decimal).into()
}

/// As [`numeric`].
pub fn bignumeric(shown: &str) -> Meaning {
    Some(shown).filter(|text| canon::fits_bignumeric(text)).and_then(canon::decimal).into()
}

/// A double of its shortest text.
pub fn double(shown: &str) -> Meaning {
    Meaning::Value(canon::double(shown.parse().unwrap()))
}

/// A single of a text that tells it from all others.
pub fn single(shown: &str) -> Meaning {
    Meaning::Value(canon::single(shown.parse().unwrap()))
}

/// Hexadecimal digits of bytes.
pub fn bytes(shown: &str) -> Meaning {
    Meaning::Value(shown.to_ascii_lowercase())
}

/// Hexadecimal digits of text that should be UTF-8.
pub fn text_bytes(shown: &str) -> Meaning {
    let bytes = canon::unhex(shown);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Meaning::Value(text.into()),
        Err(_) => Meaning::Replaced(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// A date, `YYYY-MM-DD` if BigQuery has it.
pub fn date(shown: &str) -> Meaning {
    canon::date(shown).into()
}

/// A time, `HH:MM:SS[.f…]` if BigQuery has it.
pub fn time(shown: &str) -> Meaning {
    canon::time(shown).into()
}

/// `YYYY-MM-DD HH:MM:SS[.f…]`.
pub fn datetime(shown: &str) -> Meaning {
    canon::civil(shown, ' ').into()
}

/// JSON as BigQuery takes it.
pub fn json(shown: &str) -> Meaning {
    Json::parse(shown).map_or(Meaning::Beyond, |json| json_value(&json))
}

/// A value that becomes JSON.
pub fn json_value(json: &Json) -> Meaning {
    json.fits().then(|| json.canonical()).into()
}
