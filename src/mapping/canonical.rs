//! The canonical text of a column's values in the source's SQL: equal to BigQuery's own of the value that was synced
//! (`warehouse::bigquery::checksum`). Pure.
//!
//! Integers and decimals without zeros that say nothing; `1` and `0` of BOOL; `YYYY-MM-DD`, `HH:MM:SS.ffffff`,
//! `YYYY-MM-DDTHH:MM:SS.ffffff` (instants in UTC); lower-case hexadecimal of BYTES; STRING as it is. A value that the
//! column's policy changed is given as the policy made it.

use super::{Column, Read, mysql, postgres};
use crate::model::Policy;

/// Stands in SQL for the salt of a hash, which is bound and never written into a statement.
pub const SALT: &str = "\u{1}";

/// Why a FLOAT64 is not compared.
pub(super) const FLOATS: &str =
    "databases print and round floats in ways of their own, so their texts need not be equal";
/// Why JSON is not compared.
pub(super) const JSON: &str =
    "BigQuery keeps JSON parsed: order of keys, spaces and forms of numbers are not those of the source";
/// Why GEOGRAPHY is not compared.
pub(super) const GEOGRAPHY: &str = "BigQuery normalises the shapes of GEOGRAPHY";
/// Why arrays are not compared.
pub(super) const ARRAYS: &str = "REPEATED columns have no text that both sides make alike";
/// Why text made of bytes is not compared.
pub(super) const BYTES_AS_TEXT: &str = "whether bytes are UTF-8 is not what the source's SQL can tell";
/// Why a column is not compared that is read in a form of its own.
pub(super) const OTHER_FORM: &str = "it is made of a form that the source's SQL does not have";
/// Why a clamped column is not compared.
pub(super) const CLAMPED: &str = "what `clamp` makes of its values is not what the source's SQL can tell";

/// A column's values in the source's SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// The canonical text; NULL where the target has NULL.
    pub text: String,
    /// A digest of the text (MD5, hexadecimal), where the text may be long or hold anything.
    pub digest: Option<String>,
    /// The number itself, where the text is one.
    pub number: Option<String>,
    /// Whether the row is rejected for its value; NULL means that it is not.
    pub rejected: Option<String>,
}

impl Canonical {
    /// What stands for the value in the text of a row: without the characters `|` and `~`.
    pub fn piece(&self) -> &str {
        self.digest.as_deref().unwrap_or(&self.text)
    }
}

/// How a column's values are compared with the target's.
///
/// # Errors
/// They cannot be compared exactly, and why.
pub fn canonical(column: &Column) -> Result<Canonical, &'static str> {
    match &column.read {
        Read::Postgres(read) => postgres::canonical(column, read),
        Read::MySql(read) => mysql::canonical(column, read),
    }
}

/// A value before its column's policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Value {
    /// Its text, where it fits.
    pub(super) text: String,
    /// Its digest, where it fits.
    pub(super) digest: Option<String>,
    /// The number.
    pub(super) number: Option<String>,
    /// Whether it does not fit; NULL means that it does.
    pub(super) unfit: Option<String>,
    /// The text of the nearest value that fits, of any value; NULL where there is none.
    pub(super) nearest: Option<String>,
}

impl Value {
    /// One whose every value fits.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The same, where the policy decides.
    pub(super) fn under(self, policy: Policy) -> Result<Canonical, &'static str> {
        let Some(unfit) = self.unfit else {
            return Ok(Canonical { text: self.text, digest: self.digest, number: self.number, rejected: None });
        };
        let or_null = |text: &str| format!("CASE WHEN {unfit} THEN NULL ELSE {text} END");
        Ok(match policy {
            Policy::Null => Canonical {
                text: or_null(&self.text),
                digest: self.digest.as_deref().map(or_null),
                number: self.number.as_deref().map(or_null),
                rejected: None,
            },
            // what is clamped has no digest of its own: texts and bytes are not
            Policy::Clamp => {
                let text = self.nearest.filter(|_| self.digest.is_none()).ok_or(CLAMPED)?;
                Canonical { text, digest: None, number: self.number.as_deref().map(or_null), rejected: None }
            }
            Policy::Reject => {
                Canonical { text: self.text, digest: self.digest, number: self.number, rejected: Some(unfit) }
            }
            Policy::Fail => Canonical { text: self.text, digest: self.digest, number: self.number, rejected: None },
        })
    }
}

/// What one of BigQuery's number types holds, as SQL numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) least: &'static str,
    pub(super) greatest: &'static str,
    /// Fractional digits.
    pub(super) scale: u32,
}

/// INT64.
pub(super) const INT64: Limits = Limits { least: "-9223372036854775808", greatest: "9223372036854775807", scale: 0 };
/// NUMERIC.
pub(super) const NUMERIC: Limits = Limits {
    least: "-99999999999999999999999999999.999999999",
    greatest: "99999999999999999999999999999.999999999",
    scale: 9,
};
/// BIGNUMERIC.
pub(super) const BIGNUMERIC: Limits = Limits {
    least: "-578960446186580977117854925043439539266.34992332820282019728792003956564819968",
    greatest: "578960446186580977117854925043439539266.34992332820282019728792003956564819967",
    scale: 38,
};

/// SQL text in quotes. Only names of time zones come here; a backslash in one would be read differently by the two.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "").replace('\'', "''"))
}
