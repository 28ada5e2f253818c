//! What BigQuery takes in a load of NDJSON, as strictly as BigQuery documents it. Pure.
//!
//! Source: "Loading JSON data from Cloud Storage", "Data types"; the forms of values as in the design's types page.

use std::io::{BufRead as _, BufReader, Read as _};

use highwater::model::{BqType, Field, FieldMode, Schema};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

const ROW_BYTES_MAX: usize = 100 << 20;
const EXACT: i64 = (1 << 53) - 1;
/// The greatest BIGNUMERIC without its sign: 39 digits, a point, 38 digits.
const BIGNUMERIC_MAX: &str = "578960446186580977117854925043439539266.34992332820282019728792003956564819967";

/// Checks a whole part; gives its rows.
pub fn check_part(schema: &Schema, bytes: &[u8]) -> Result<u64, String> {
    let mut rows = 0;
    let mut check = |line: &[u8]| {
        rows += 1;
        check_line(schema, line).map_err(|problem| format!("row {rows}: {problem}"))
    };
    let mut reader = BufReader::with_capacity(1 << 20, plain(bytes));
    let mut line = Vec::new();
    loop {
        line.clear();
        let read =
            (&mut reader).take(ROW_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        if read == 0 {
            return Ok(rows);
        }
        if line.len() > ROW_BYTES_MAX {
            return Err("a row of more than 100 MB".into());
        }
        check(line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
}

/// A part's content, gzipped or not.
fn plain(bytes: &[u8]) -> Box<dyn std::io::Read + '_> {
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        false => Box::new(bytes),
    }
}

/// The lines of a part.
pub fn lines(bytes: &[u8]) -> Vec<String> {
    BufReader::new(plain(bytes)).lines().map(Result::unwrap).collect()
}

/// Checks one row.
pub fn check_line(schema: &Schema, line: &[u8]) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let row = RowVisitor { schema, seen: vec![false; schema.0.len()] };
    reader.deserialize_map(row).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())
}

struct RowVisitor<'a> {
    schema: &'a Schema,
    seen: Vec<bool>,
}

impl<'de> Visitor<'de> for RowVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        let mut next = 0;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            // fields come in the schema's order, so the next is mostly the one
            let here = (next..self.schema.0.len()).chain(0..next).find(|&i| self.schema.0[i].name == name);
            let Some(index) = here else { return Err(A::Error::custom(format!("no such field: {name}"))) };
            if std::mem::replace(&mut self.seen[index], true) {
                return Err(A::Error::custom(format!("field {name} is there twice")));
            }
            next = index + 1;
            let value: &RawValue = map.next_value()?;
            check_value(&self.schema.0[index], value.get())
                .map_err(|problem| A::Error::custom(format!("field {name}: {problem}")))?;
        }
        match self.schema.0.iter().zip(&self.seen).find(|(field, seen)| required(field) && !**seen) {
            Some((field, _)) => Err(A::Error::custom(format!("missing required field {}", field.name))),
            None => Ok(()),
        }
    }
}

fn required(field: &Field) -> bool {
    field.mode == FieldMode::Required
}

fn check_value(field: &Field, raw: &str) -> Result<(), String> {
    if field.mode == FieldMode::Repeated {
        let elements: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_no_array| format!("{raw} is no array"))?;
        let element = Field { mode: FieldMode::Required, ..field.clone() };
        return elements.into_iter().try_for_each(|value| check_value(&element, value.get()));
    }
    if raw == "null" {
        return if required(field) { Err("NULL in a REQUIRED field".into()) } else { Ok(()) };
    }
    let fits = match field.ty {
        BqType::Json => true,
        BqType::Bool => matches!(raw, "true" | "false"),
        BqType::String | BqType::Geography => raw.starts_with('"'),
        BqType::Int64 => integer(raw),
        BqType::Float64 => float(raw),
        BqType::Numeric => text(raw).is_some_and(|text| decimal(&text, 29, 9)),
        BqType::BigNumeric => text(raw).is_some_and(|text| decimal(&text, 39, 38) && below_bignumeric_max(&text)),
        BqType::Bytes => text(raw).is_some_and(|text| {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.decode(text).is_ok()
        }),
        BqType::Date => text(raw).is_some_and(|text| date(&text)),
        BqType::Time => text(raw).is_some_and(|text| time(&text)),
        BqType::DateTime => text(raw).is_some_and(|text| civil(&text)),
        BqType::Timestamp => text(raw).is_some_and(|text| text.strip_suffix('Z').is_some_and(civil)),
    };
    if fits { Ok(()) } else { Err(format!("{} is no {}", raw.chars().take(60).collect::<String>(), field.ty)) }
}

fn text(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

fn integer(raw: &str) -> bool {
    match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
        Some(quoted) => quoted.parse::<i64>().is_ok(),
        None => raw.parse::<i64>().is_ok_and(|value| (-EXACT..=EXACT).contains(&value)),
    }
}

fn float(raw: &str) -> bool {
    matches!(raw, "\"NaN\"" | "\"Infinity\"" | "\"-Infinity\"")
        || (!raw.starts_with('"') && raw.parse::<f64>().is_ok_and(f64::is_finite))
}

fn decimal(text: &str, integers: usize, fractions: usize) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    !whole.is_empty()
        && all_digits(whole)
        && all_digits(fraction)
        && whole.trim_start_matches('0').len() <= integers
        && fraction.trim_end_matches('0').len() <= fractions
}

fn below_bignumeric_max(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let padded = |whole: &str, fraction: &str| {
        format!("{:0>40}{:0<38}", whole.trim_start_matches('0'), fraction.trim_end_matches('0'))
    };
    let (max_whole, max_fraction) = BIGNUMERIC_MAX.split_once('.').unwrap();
    padded(whole, fraction) <= padded(max_whole, max_fraction)
}

fn date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok_and(|date| (1..=9999).contains(&date.year()))
}

fn time(text: &str) -> bool {
    let shape = text.len() >= 8 && text.as_bytes()[2] == b':' && text.as_bytes()[5] == b':';
    let fraction = text
        .get(8..)
        .is_some_and(|rest| rest.is_empty() || (rest.len() <= 7 && rest.len() > 1 && rest.starts_with('.')));
    // jiff takes a leap second, BigQuery does not
    shape && fraction && !text.contains(":60") && text.parse::<jiff::civil::Time>().is_ok()
}

fn civil(text: &str) -> bool {
    text.split_once('T').is_some_and(|(day, clock)| date(day) && time(clock))
}

pub fn tests() -> Vec<super::Test> {
    vec![
        super::pure("gate::takes_what_bigquery_takes", takes),
        super::pure("gate::arrays_are_those_of_bigquery", arrays),
        super::pure("gate::refuses_what_bigquery_refuses", refuses),
    ]
}

fn one(ty: BqType, required: bool, line: &str) -> Result<(), String> {
    let mode = if required { FieldMode::Required } else { FieldMode::Nullable };
    let field = Field { name: "f".into(), ty, mode, description: None };
    check_line(&Schema(vec![field]), line.as_bytes())
}

fn takes() {
    for (ty, value) in [
        (BqType::Int64, "9007199254740991"),
        (BqType::Int64, "\"-9223372036854775808\""),
        (BqType::Float64, "1.5e300"),
        (BqType::Float64, "\"NaN\""),
        (BqType::Numeric, "\"-99999999999999999999999999999.999999999\""),
        (BqType::BigNumeric, "\"578960446186580977117854925043439539266.34992332820282019728792003956564819967\""),
        (BqType::Date, "\"0001-01-01\""),
        (BqType::Time, "\"23:59:59.999999\""),
        (BqType::DateTime, "\"9999-12-31T23:59:59\""),
        (BqType::Timestamp, "\"2024-02-29T00:00:00.5Z\""),
        (BqType::Bytes, "\"AP8=\""),
        (BqType::Json, "{\"a\":[1,null]}"),
        (BqType::String, "\"x\\u0000\""),
        (BqType::Bool, "true"),
    ] {
        assert_eq!(one(ty, true, &format!("{{\"f\":{value}}}")), Ok(()), "{ty} {value}");
    }
    assert_eq!(one(BqType::Int64, false, "{}"), Ok(()));
}

fn arrays() {
    let field = Field { name: "f".into(), ty: BqType::Int64, mode: FieldMode::Repeated, description: None };
    let check = |line: &str| check_line(&Schema(vec![field.clone()]), line.as_bytes());
    assert_eq!([check("{\"f\":[1,\"-5\"]}"), check("{\"f\":[]}"), check("{}")], [Ok(()), Ok(()), Ok(())]);
    for line in ["{\"f\":[1,null]}", "{\"f\":null}", "{\"f\":[[1]]}", "{\"f\":1}", "{\"f\":[1.5]}"] {
        assert!(check(line).is_err(), "{line}");
    }
}

fn refuses() {
    for (ty, value) in [
        (BqType::Int64, "9007199254740992"),
        (BqType::Int64, "1.0"),
        (BqType::Int64, "\"9223372036854775808\""),
        (BqType::Float64, "\"1.5\""),
        (BqType::Float64, "\"nan\""),
        (BqType::Numeric, "1.5"),
        (BqType::Numeric, "\"1e5\""),
        (BqType::Numeric, "\"0.0000000001\""),
        (BqType::Numeric, "\"NaN\""),
        (BqType::BigNumeric, "\"578960446186580977117854925043439539267\""),
        (BqType::Date, "\"2023-02-29\""),
        (BqType::Date, "\"10000-01-01\""),
        (BqType::Time, "\"24:00:00\""),
        (BqType::Time, "\"23:59:60\""),
        (BqType::DateTime, "\"2024-01-01 00:00:00\""),
        (BqType::Timestamp, "\"2024-01-01T00:00:00\""),
        (BqType::Bytes, "\"A*\""),
        (BqType::String, "5"),
        (BqType::Bool, "1"),
        (BqType::Bool, "null"),
    ] {
        assert!(one(ty, true, &format!("{{\"f\":{value}}}")).is_err(), "{ty} {value}");
    }
    for line in ["{\"g\":1}", "{\"f\":1,\"f\":2}", "{}", "[1]", "{\"f\":1", "{\"f\":1} x", ""] {
        assert!(one(BqType::Int64, true, line).is_err(), "{line}");
    }
}
