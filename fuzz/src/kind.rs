//! Whether a token is one value of the kind that a column of BigQuery's takes, as its documentation of loading JSON
//! has it.

use crate::civil;
use crate::decimal::{BIGNUMERIC, Decimal, NUMERIC};
use crate::model::BqType;

/// The greatest integer that a JSON number carries exactly.
const EXACT: i64 = (1 << 53) - 1;

/// Holds a token against the type.
pub fn is_one(ty: BqType, token: &str) -> bool {
    // a line end would end the row; a document may keep its tabs
    let control = |byte: u8| byte < 0x20 && !(byte == b'\t' && ty == BqType::Json);
    if token.bytes().any(control) || serde_json::from_str::<serde::de::IgnoredAny>(token).is_err() {
        return false;
    }
    let text = serde_json::from_str::<String>(token).ok();
    let text = text.as_deref();
    match ty {
        BqType::Json => true,
        BqType::Bool => matches!(token, "true" | "false"),
        BqType::String | BqType::Geography => text.is_some(),
        BqType::Int64 => match text {
            Some(text) => text.parse::<i64>().is_ok(),
            None => token.parse::<i64>().is_ok_and(|value| (-EXACT..=EXACT).contains(&value)),
        },
        BqType::Float64 => match text {
            Some(text) => matches!(text, "NaN" | "Infinity" | "-Infinity"),
            None => token.parse::<f64>().is_ok_and(f64::is_finite),
        },
        BqType::Numeric => text.and_then(plain).is_some_and(|value| value.within(&NUMERIC)),
        BqType::BigNumeric => text.and_then(plain).is_some_and(|value| value.within(&BIGNUMERIC)),
        BqType::Bytes => text.is_some_and(|text| unbase64(text).is_some()),
        BqType::Date => text.and_then(civil::date).is_some_and(civil::in_range),
        BqType::Time => text.and_then(civil::time).is_some_and(|time| time < civil::DAY),
        BqType::DateTime => text.and_then(civil::instant).is_some_and(civil::instant_in_range),
        BqType::Timestamp => {
            text.and_then(|text| text.strip_suffix('Z')).and_then(civil::instant).is_some_and(civil::instant_in_range)
        }
    }
}

/// A decimal without an exponent, with a digit before the point.
fn plain(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let fine = digits.starts_with(|first: char| first.is_ascii_digit()) && !digits.contains(['e', 'E']);
    Decimal::parse(text).filter(|_| fine)
}

/// The bytes of a base64 text.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
