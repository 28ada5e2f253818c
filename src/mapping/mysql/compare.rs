//! The key side of a type: how a position's text is bound, so that the comparison is exact, follows the same order
//! as ORDER BY, and is served by an index.

use super::temporal;
use super::{Ident, Labels};

/// How a column is compared with a position and ordered.
#[derive(Clone, Debug, PartialEq)]
pub enum Compare {
    /// As a signed integer.
    Signed,
    /// As an unsigned integer, BIT too.
    Unsigned,
    /// As a year. By the number, because a bare YEAR takes the constants 0 to 99 for 2000 to 2069 and 1970 to 1999.
    Year,
    /// As a decimal of that scale.
    Decimal {
        /// Fractional digits.
        scale: u32,
    },
    /// As a float: the text reads back the single, which a double holds exactly.
    Single,
    /// As a double.
    Double,
    /// As a date.
    Date,
    /// As a datetime or timestamp; the session's time zone is UTC.
    DateTime,
    /// As a time.
    Time,
    /// As text. The column's collation outranks the parameter's (coercibility 2 against 4), in comparing as in ordering.
    Text,
    /// As bytes, hexadecimal in a position.
    Bytes,
    /// As the number of an ENUM's or SET's label, which is their order.
    Labels(Labels),
    /// As the text of this expression, byte by byte.
    Expression(String),
}

/// A value to bind.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// A signed 64-bit integer.
    Signed(i64),
    /// An unsigned one.
    Unsigned(u64),
    /// A double.
    Double(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Compare {
    /// The value that a position's text means; `None` if it is not of the type.
    pub fn param(&self, text: &str) -> Option<Param> {
        match self {
            Self::Signed => text.parse().ok().map(Param::Signed),
            Self::Unsigned | Self::Year => text.parse().ok().map(Param::Unsigned),
            Self::Decimal { scale } => decimal(text, *scale).then(|| Param::Text(text.to_owned())),
            Self::Single => {
                text.parse::<f32>().ok().filter(|value| value.is_finite()).map(|value| Param::Double(value.into()))
            }
            Self::Double => text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Param::Double),
            Self::Date => temporal::date(text).map(Param::Text),
            Self::DateTime => temporal::datetime(text).map(Param::Text),
            Self::Time => temporal::time(text).map(Param::Text),
            Self::Text | Self::Expression(_) => Some(Param::Text(text.to_owned())),
            Self::Bytes => unhex(text).map(Param::Bytes),
            Self::Labels(labels) => labels.number(text).map(Param::Unsigned),
        }
    }

    /// The parameter in the statement, with the cast that its text needs.
    pub fn placeholder(&self) -> String {
        match self {
            Self::Decimal { scale } => format!("CAST(? AS DECIMAL(65,{scale}))"),
            Self::Date => "CAST(? AS DATE)".to_owned(),
            Self::DateTime => "CAST(? AS DATETIME(6))".to_owned(),
            Self::Time => "CAST(? AS TIME(6))".to_owned(),
            Self::Expression(_) => "CAST(? AS CHAR)".to_owned(),
            Self::Signed
            | Self::Unsigned
            | Self::Year
            | Self::Single
            | Self::Double
            | Self::Text
            | Self::Bytes
            | Self::Labels(_) => "?".to_owned(),
        }
    }

    /// What is compared with the parameter.
    pub fn operand(&self, column: Ident<'_>) -> String {
        match self {
            Self::Labels(_) | Self::Year => format!("({column}+0)"),
            Self::Expression(expr) => format!("({expr} COLLATE utf8mb4_bin)"),
            Self::Signed
            | Self::Unsigned
            | Self::Decimal { .. }
            | Self::Single
            | Self::Double
            | Self::Date
            | Self::DateTime
            | Self::Time
            | Self::Text
            | Self::Bytes => column.to_string(),
        }
    }

    /// What the rows are ordered by. An ENUM, a SET and a YEAR are ordered by their number as they are.
    pub fn order(&self, column: Ident<'_>) -> String {
        if matches!(self, Self::Labels(_) | Self::Year) { column.to_string() } else { self.operand(column) }
    }
}

/// Whether the text is a decimal that the cast takes without rounding.
fn decimal(text: &str, scale: u32) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let kept = fraction.trim_end_matches('0').len();
    all(integer)
        && all(fraction)
        && integer.len() + fraction.len() > 0
        && u32::try_from(kept).is_ok_and(|kept| kept <= scale)
        && integer.trim_start_matches('0').len() + scale as usize <= 65
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [a, b] = *pair { Some(nibble(a)? << 4 | nibble(b)?) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_the_values_they_mean() {
        assert_eq!(Compare::Signed.param("-42"), Some(Param::Signed(-42)));
        assert_eq!(Compare::Unsigned.param("18446744073709551615"), Some(Param::Unsigned(u64::MAX)));
        assert_eq!(Compare::Signed.param("18446744073709551615"), None);
        assert_eq!(Compare::Single.param("0.1"), Some(Param::Double(f64::from(0.1_f32))));
        assert_eq!(Compare::Double.param("inf"), None);
        assert_eq!(Compare::Bytes.param("00abFF"), Some(Param::Bytes(vec![0, 0xab, 0xff])));
        assert_eq!(Compare::Bytes.param(""), Some(Param::Bytes(vec![])));
        assert_eq!(Compare::Bytes.param("0"), None);
        assert_eq!(Compare::Bytes.param("0g"), None);
        let labels = Compare::Labels(Labels::parse("enum('b','a')"));
        assert_eq!(labels.param("a"), Some(Param::Unsigned(2)));
        assert_eq!(labels.param("c"), None);
    }

    #[test]
    fn decimals_are_never_rounded() {
        let compare = Compare::Decimal { scale: 2 };
        assert_eq!(compare.param("-1.50"), Some(Param::Text("-1.50".into())));
        assert_eq!(compare.param("1.500"), Some(Param::Text("1.500".into())));
        for wrong in ["1.501", "1e3", "", ".", "-", "1.2.3", "+1"] {
            assert_eq!(compare.param(wrong), None, "{wrong:?}");
        }
        assert_eq!(compare.param(&"9".repeat(64)), None);
    }

    #[test]
    fn sides_are_compared_and_ordered_alike() {
        let column = Ident("c");
        assert_eq!(Compare::DateTime.placeholder(), "CAST(? AS DATETIME(6))");
        assert_eq!(Compare::Labels(Labels::parse("set('a')")).operand(column), "(`c`+0)");
        assert_eq!(Compare::Labels(Labels::parse("set('a')")).order(column), "`c`");
        let wkt = Compare::Expression("ST_AsText(`c`)".into());
        assert_eq!(wkt.operand(column), "(ST_AsText(`c`) COLLATE utf8mb4_bin)");
        assert_eq!(wkt.order(column), wkt.operand(column));
    }
}
