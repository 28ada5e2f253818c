//! Rows with one column that is cast: what a policy leaves of them, and whether the cast kept the number or the time.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::audit::{Audit, ColumnAudit};
use crate::decimal::Decimal;
use crate::encode::cast::Cast;
use crate::encode::row::{Cell, RowWriter, Values, Written};
use crate::encode::{Malformed, RowCodec};
use crate::gzip::Fields;
use crate::model::{BqType, Policy, Secret};
use crate::value::assert_kind;

const POLICIES: [Policy; 4] = [Policy::Null, Policy::Clamp, Policy::Reject, Policy::Fail];
/// Zones with a summer time, a half hour, a skipped day and none at all.
const ZONES: [&str; 4] = ["Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "UTC"];
const SALT: &str = "salt";
const BEFORE: &[u8] = b"{\"v\":0}\n";

/// The casts that a column of the type can have, and what they make.
pub fn casts(ty: BqType) -> Vec<(Cast, BqType)> {
    let hash = (Cast::Hash(Arc::new(Secret::new(SALT.to_owned()))), BqType::String);
    let mut casts = vec![hash];
    if matches!(ty, BqType::Bool | BqType::Int64 | BqType::Float64 | BqType::Numeric | BqType::BigNumeric) {
        casts.push((Cast::Integer, BqType::Int64));
        casts.push((Cast::Float, BqType::Float64));
        casts.push((Cast::Numeric, BqType::Numeric));
        casts.push((Cast::BigNumeric, BqType::BigNumeric));
        casts.push((Cast::Boolean, BqType::Bool));
    }
    if matches!(ty, BqType::Date | BqType::DateTime) {
        let zones = ZONES.iter().map(|zone| TimeZone::get(zone).expect("a zone"));
        casts.extend(zones.map(|zone| (Cast::Instant(zone), BqType::Timestamp)));
    }
    if matches!(ty, BqType::Date | BqType::Timestamp) {
        casts.push((Cast::Civil, BqType::DateTime));
    }
    casts
}

struct Row<'a>(&'a [u8]);

impl Values for Row<'_> {
    fn raw(&self, _index: usize) -> Result<Option<&[u8]>, Malformed> {
        Ok(Some(self.0))
    }

    fn key(&self) -> Vec<String> {
        vec!["7".to_owned()]
    }
}

/// Writes rows of one column with the cast, once for each policy; `natural` is the token without the cast.
pub fn check<C: RowCodec>(codec: C, cast: &Cast, ty: BqType, natural: Option<&str>, raw: &[u8]) {
    for policy in POLICIES {
        let cell = Cell {
            name: "w",
            field: "v",
            codec,
            cast: Some(cast),
            policy,
            becomes: ty.name(),
            ordered: false,
            exact: false,
        };
        let mut writer = RowWriter::new(vec![cell]);
        let mut out = BEFORE.to_vec();
        let done = writer.write(&mut out, &mut Fields::default(), &Row(raw));
        let line = out.strip_prefix(BEFORE).expect("the row before is gone");
        let audit = one(&writer.audit);
        match done {
            Ok(Written::Row) => {
                let line = std::str::from_utf8(line).expect("UTF-8");
                assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line:?}");
                let value = value(line);
                assert_eq!(value.is_none(), audit.unrepresentable == 1, "{line}");
                let Some(value) = value else {
                    assert!(matches!(policy, Policy::Null | Policy::Clamp));
                    continue;
                };
                assert_kind(ty, false, value);
                if audit.total() == 0 {
                    kept(cast, natural.expect("made of nothing"), value, raw);
                }
                if audit.adjusted == 1 {
                    adjusted(cast, natural, value);
                }
            }
            Ok(Written::Rejected(reject)) => {
                assert!(policy == Policy::Reject && line.is_empty() && audit.rejected == 1);
                let reject = String::from_utf8(reject).expect("UTF-8");
                assert!(!reject.contains('\n'));
                let reject: serde_json::Value = serde_json::from_str(&reject).expect("JSON");
                assert!(reject["row"]["w"].is_string() && reject["key"][0] == "7", "{reject}");
            }
            Err(_) => assert_eq!(audit.total(), 0),
        }
    }
}

fn one(audit: &Audit) -> ColumnAudit {
    audit.findings().into_iter().next().unwrap_or_default()
}

/// The only field's token; `None` if it was left out.
fn value(line: &str) -> Option<&str> {
    let fields = line.strip_prefix('{').and_then(|line| line.strip_suffix("}\n")).expect("an object");
    (!fields.is_empty()).then(|| fields.strip_prefix("\"v\":").expect("the field"))
}

/// A value that counts as exact must be the one that was read.
fn kept(cast: &Cast, natural: &str, value: &str, raw: &[u8]) {
    let words = ["\"NaN\"", "\"Infinity\"", "\"-Infinity\""];
    match cast {
        Cast::Float if words.contains(&value) => assert_eq!(value, natural),
        Cast::Integer | Cast::Float | Cast::Numeric | Cast::BigNumeric | Cast::Boolean => {
            let number = Decimal::of_token(natural).expect("a number");
            assert_eq!(Decimal::of_token(value), Some(number), "{natural} became {value}");
        }
        Cast::Instant(zone) => {
            // the library's instants end a day before BigQuery's
            let Ok(instant) = value.trim_matches('"').parse::<jiff::Timestamp>() else { return };
            let there = zone.to_datetime(instant);
            let civil: jiff::civil::DateTime = natural.trim_matches('"').parse().expect("a civil time");
            assert_eq!(there, civil, "{natural} became {value}");
        }
        Cast::Civil => {
            let day = natural.trim_matches('"').trim_end_matches('Z');
            let civil = if day.contains('T') { day.to_owned() } else { format!("{day}T00:00:00") };
            assert_eq!(value.trim_matches('"'), civil);
        }
        Cast::Hash(_) => {
            use sha2::Digest as _;
            let digest = sha2::Sha256::new().chain_update(SALT).chain_update(raw).finalize();
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(value.trim_matches('"'), hex);
        }
    }
}

/// A value that was adjusted must be another than the one that was read, if that one is known.
fn adjusted(cast: &Cast, natural: Option<&str>, value: &str) {
    let number = natural.and_then(Decimal::of_token);
    if let (Cast::Integer | Cast::Numeric | Cast::BigNumeric | Cast::Boolean, Some(number)) = (cast, number) {
        assert_ne!(Decimal::of_token(value), Some(number), "nothing was adjusted");
    }
}
