//! Reads a field's token as BigQuery would, by the column's type, strictly, to the value's canonical form. Pure.

use highwater::model::BqType;

use super::canon;
use super::json::Json;

/// The greatest integer that is safe as a JSON number.
const EXACT: i64 = (1 << 53) - 1;

/// The value's canonical form; an error says why BigQuery would not take the token.
pub fn read(ty: BqType, token: &Json) -> Result<String, String> {
    let value = match (ty, token) {
        (BqType::Json, json) => json.fits().then(|| json.canonical()),
        (BqType::Bool, Json::Bool(value)) => Some(value.to_string()),
        (BqType::String, Json::Text(text)) => Some(text.clone()),
        (BqType::Int64, Json::Number(text)) => {
            text.parse().ok().filter(|value| (-EXACT..=EXACT).contains(value)).map(|value| value.to_string())
        }
        (BqType::Int64, Json::Text(text)) => text.parse::<i64>().ok().map(|value| value.to_string()),
        (BqType::Float64, Json::Number(text)) => text.parse::<f64>().ok().filter(|v| v.is_finite()).map(canon::double),
        (BqType::Float64, Json::Text(text)) => match text.as_str() {
            "NaN" => Some(canon::double(f64::NAN)),
            "Infinity" => Some(canon::double(f64::INFINITY)),
            "-Infinity" => Some(canon::double(f64::NEG_INFINITY)),
            _ => None,
        },
        (BqType::Numeric, Json::Text(text)) => {
            plain(text).filter(|text| canon::fits_numeric(text)).and_then(canon::decimal)
        }
        (BqType::BigNumeric, Json::Text(text)) => {
            plain(text).filter(|text| canon::fits_bignumeric(text)).and_then(canon::decimal)
        }
        (BqType::Bytes, Json::Text(text)) => base64(text).map(|bytes| canon::hex(&bytes)),
        (BqType::Date, Json::Text(text)) => canon::date(text),
        (BqType::Time, Json::Text(text)) => canon::time(text),
        (BqType::DateTime, Json::Text(text)) => canon::civil(text, 'T'),
        (BqType::Timestamp, Json::Text(text)) => text.strip_suffix('Z').and_then(|text| canon::civil(text, 'T')),
        _ => None,
    };
    value.ok_or_else(|| format!("BigQuery takes no {ty} of {token:?}"))
}

/// A decimal without an exponent, with a digit before the point, and one after it if there is a point.
fn plain(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    (all(whole) && all(fraction)).then_some(text)
}

/// RFC 4648 with its padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (groups, rest) = text.as_bytes().as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let padding = group.iter().rev().take_while(|&&letter| letter == b'=').count();
        if padding > 2 || (padding > 0 && index + 1 < groups.len()) {
            return None;
        }
        let mut bits = 0_u32;
        for letter in &group[..4 - padding] {
            bits = bits << 6 | u32::try_from(LETTERS.iter().position(|known| known == letter)?).ok()?;
        }
        let [_, made @ ..] = (bits << (6 * padding)).to_be_bytes();
        let (kept, dropped) = made.split_at(3 - padding);
        if dropped.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}
