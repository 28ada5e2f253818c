//! What `verify` compares, in which windows, how it narrows down to rows, and what the checksums mean. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;

use super::table::TablePlan;
use crate::encode::cast::Cast;
use crate::mapping::{self, Canonical, Column, CursorKind};
use crate::model::{BqType, Checksum, Code, Difference, FieldMode, Fingerprint, Label, Schema, TargetColumn};

/// The most windows of one table.
pub const WINDOWS_MAX: u64 = 1_000;
/// The most windows that a number cursor's values are divided into.
const RANGES_MAX: u64 = 100;
/// Rows that a window of a number cursor is to have, about.
const RANGE_ROWS: u64 = 100_000;
/// Rows that a bucket may have, about, for its rows to be fetched.
const BUCKET_ROWS: u64 = 128;
/// The most buckets that one question is about.
const BUCKETS_MAX: u64 = 4_096;
/// The most buckets that are looked into at each step; in the rest it is only known that rows differ.
pub const BUCKETS_OPENED_MAX: usize = 64;
/// The most digits of a digest that buckets are told by.
const BUCKET_DIGITS_MAX: u8 = 12;

/// The unit of windows in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// One an hour.
    Hour,
    /// One a day.
    Day,
    /// One a month.
    Month,
}

/// What was asked for cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Windows in time of a cursor that is none.
    #[error("--by divides time, and the cursor of {0} is not one that has {1}; leave --by out")]
    NoTime(String, &'static str),
    /// Bounds without a cursor.
    #[error("--from and --to bound the cursor, and {0} has none; leave them out")]
    NoCursor(String),
    /// A bound that the cursor's type does not take.
    #[error("{bound:?} is not a value of the cursor of {table}, which is {wanted}; give one that is")]
    BadBound {
        /// The table.
        table: String,
        /// What was given.
        bound: String,
        /// What is wanted.
        wanted: &'static str,
    },
    /// More windows than are told.
    #[error(
        "{table} would have more than {WINDOWS_MAX} windows; choose a larger unit with --by, or bounds with --from and --to"
    )]
    TooManyWindows {
        /// The table.
        table: String,
    },
    /// No column can be compared.
    #[error("no column of {0} can be compared exactly; `highwater gaps` compares numbers of rows")]
    NothingToCompare(String),
}

impl VerifyError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::NoTime(..) | Self::NoCursor(_) | Self::BadBound { .. } => Code::WindowBounds,
            Self::TooManyWindows { .. } => Code::WindowsTooMany,
            Self::NothingToCompare(_) => Code::VerifyNothing,
        }
    }
}

/// A column that is not compared, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its name at the source.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Indexes into the plan's columns.
    pub indexes: Vec<usize>,
    /// The target's columns, in the same order.
    pub columns: Vec<TargetColumn>,
    /// Indexes into the plan's columns of the key by which rows are named; empty if there is none.
    pub key: Vec<usize>,
    /// What is not compared.
    pub left: Vec<Left>,
}

impl Compared {
    /// Where the plan's column stands among those that are compared.
    pub fn place(&self, index: usize) -> Option<usize> {
        self.indexes.iter().position(|compared| *compared == index)
    }
}

/// Decides what of the plan's columns is compared with `found`, the target's; `key` names the columns by which rows are
/// told apart.
pub fn decide(plan: &TablePlan, found: &Schema, key: &[String]) -> Compared {
    let mut compared = Compared { indexes: Vec::new(), columns: Vec::new(), key: Vec::new(), left: Vec::new() };
    for (index, (column, name)) in plan.columns.iter().zip(&plan.names).enumerate() {
        match comparable(column, name, found) {
            Ok(target) => {
                compared.indexes.push(index);
                compared.columns.push(target);
            }
            Err(reason) => compared.left.push(Left { column: column.name.clone(), reason }),
        }
    }
    let place = |name: &String| plan.columns.iter().position(|column| column.name == *name);
    // a row of a zone's time is not found by the time in UTC
    let zoned = |ty: &str| ty.contains("with time zone") && !ty.starts_with("timestamp");
    let nameable = |index: &usize| compared.place(*index).is_some() && !zoned(&plan.columns[*index].source_type);
    let indexes: Option<Vec<usize>> = key.iter().map(place).collect();
    compared.key = indexes.filter(|key| key.iter().all(nameable)).unwrap_or_default();
    compared
}

fn comparable(column: &Column, name: &str, found: &Schema) -> Result<TargetColumn, String> {
    let Canonical { .. } = mapping::canonical(column)?;
    let Some(field) = found.field(name) else {
        return Err("the target does not have it; `highwater sync` adds it, unless `schema: {add: false}`".to_owned());
    };
    if (field.mode == FieldMode::Repeated) != column.repeated || class(field.ty) != class(column.ty) {
        return Err(format!("it is {} in the target, and the source's becomes {}", field.ty, column.ty));
    }
    let zone = match &column.cast {
        Some(Cast::Instant(zone)) => zone.iana_name().filter(|name| *name != "UTC").map(str::to_owned),
        Some(_) | None => None,
    };
    Ok(TargetColumn { name: field.name.clone(), ty: field.ty, zone })
}

/// Types whose values have texts of one kind.
fn class(ty: BqType) -> BqType {
    match ty {
        BqType::Int64 | BqType::Numeric | BqType::BigNumeric => BqType::Numeric,
        BqType::Float64
        | BqType::Bool
        | BqType::String
        | BqType::Bytes
        | BqType::Date
        | BqType::Time
        | BqType::DateTime
        | BqType::Timestamp
        | BqType::Json
        | BqType::Geography => ty,
    }
}

/// A bound as the cursor's type takes it.
///
/// # Errors
/// It is not of the type.
pub fn bound(table: &str, kind: Option<CursorKind>, text: &str) -> Result<String, VerifyError> {
    let Some(kind) = kind else { return Err(VerifyError::NoCursor(table.to_owned())) };
    let wrong = |wanted| VerifyError::BadBound { table: table.to_owned(), bound: text.to_owned(), wanted };
    match kind {
        CursorKind::Number => {
            text.parse::<i128>().map(|number| number.to_string()).map_err(|_not| wrong("a whole number"))
        }
        CursorKind::Date => {
            text.parse::<jiff::civil::Date>().map(|date| date.to_string()).map_err(|_not| wrong("a date, YYYY-MM-DD"))
        }
        CursorKind::Instant { .. } | CursorKind::Civil { .. } => {
            // an offset must not be passed over: a civil time has none
            let instant = text.parse::<jiff::Timestamp>().ok();
            let at: DateTime = match (kind, instant) {
                (CursorKind::Instant { .. }, Some(instant)) => jiff::tz::TimeZone::UTC.to_datetime(instant),
                (_, Some(_)) if !text.ends_with('Z') => return Err(wrong("a time without an offset")),
                (_, _) => text
                    .trim_end_matches('Z')
                    .parse()
                    .map_err(|_not| wrong("a time, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS"))?,
            };
            Ok(format!("{at:.6}"))
        }
    }
}

/// How the table's windows are told. `extent` is what the source has between the bounds.
///
/// # Errors
/// What was asked for does not go with the cursor, or gives too many windows.
pub fn label(
    table: &str,
    kind: Option<CursorKind>,
    by: Option<By>,
    extent: Option<&Checksum>,
) -> Result<Label, VerifyError> {
    let ends = extent.and_then(|extent| extent.least.as_deref().zip(extent.greatest.as_deref()));
    match kind {
        None | Some(CursorKind::Number) if by.is_some() => Err(VerifyError::NoTime(table.to_owned(), "a calendar")),
        Some(CursorKind::Date) if by == Some(By::Hour) => Err(VerifyError::NoTime(table.to_owned(), "hours")),
        None => Ok(Label::Whole),
        Some(CursorKind::Number) => {
            let (Some((least, greatest)), Some(extent)) = (ends, extent) else { return Ok(Label::Whole) };
            Ok(Label::Ranges(ranges(whole(least), whole(greatest), extent.rows)))
        }
        Some(CursorKind::Instant { .. } | CursorKind::Civil { .. } | CursorKind::Date) => {
            let wanted = match by {
                Some(By::Hour) => vec![13],
                Some(By::Day) => vec![10],
                Some(By::Month) => vec![7],
                // a year, where even months are too many
                None => vec![10, 7, 4],
            };
            let fits =
                |chars: &&u8| ends.is_none_or(|(least, greatest)| units(least, greatest, **chars) <= WINDOWS_MAX);
            let chars = wanted.iter().find(fits);
            chars.map(|chars| Label::Prefix(*chars)).ok_or(VerifyError::TooManyWindows { table: table.to_owned() })
        }
    }
}

/// Two texts of a cursor in the order of their values: numbers as numbers; texts of times are in the order of time.
pub fn in_order(a: &str, b: &str) -> Ordering {
    let Some((a, b)) = number(a).zip(number(b)) else { return a.cmp(b) };
    let magnitude = |(_, whole, fraction): (bool, &str, &str)| (whole.len(), whole.to_owned(), fraction.to_owned());
    match (a.0, b.0) {
        (true, true) => magnitude(b).cmp(&magnitude(a)),
        (false, false) => magnitude(a).cmp(&magnitude(b)),
        (negative, _) => {
            if negative {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

/// Whether it is below zero, the digits before the point without leading zeros, and those after it without trailing ones;
/// `None` if it is no number.
fn number(text: &str) -> Option<(bool, &str, &str)> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = (all(whole) && all(fraction) && !digits.is_empty())
        .then(|| (whole.trim_start_matches('0'), fraction.trim_end_matches('0')))?;
    Some((text.starts_with('-') && !(whole.is_empty() && fraction.is_empty()), whole, fraction))
}

/// The whole part of a number's text, as far as 128 bits go.
fn whole(text: &str) -> i128 {
    let digits = text.split('.').next().unwrap_or_default();
    let end = if text.starts_with('-') { i128::MIN / 4 } else { i128::MAX / 4 };
    digits.parse::<i128>().map_or(end, |number| number.clamp(i128::MIN / 4, i128::MAX / 4))
}

/// The bounds between windows of equal width.
fn ranges(least: i128, greatest: i128, rows: u64) -> Vec<i128> {
    let windows = i128::from(rows.div_ceil(RANGE_ROWS).clamp(1, RANGES_MAX));
    let span = greatest - least + 1;
    let bounds: BTreeSet<i128> =
        (1..windows).map(|at| least + span / windows * at + span % windows * at / windows).collect();
    bounds.into_iter().filter(|bound| *bound > least).collect()
}

/// How many units of time lie between two canonical texts, both ends counted.
fn units(least: &str, greatest: &str, chars: u8) -> u64 {
    let time = |text: &str| text.parse::<DateTime>().ok();
    let (Some(least), Some(greatest)) = (time(least), time(greatest)) else { return u64::MAX };
    let hours = greatest.duration_since(least).as_hours().unsigned_abs();
    let months = i64::from(greatest.year() - least.year()) * 12 + i64::from(greatest.month() - least.month());
    match chars {
        4 => u64::from(greatest.year().abs_diff(least.year())) + 1,
        7 => months.unsigned_abs() + 1,
        10 => hours / 24 + 2,
        _ => hours + 2,
    }
}

/// One window on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its label.
    pub label: String,
    /// What the source says.
    pub source: Option<Checksum>,
    /// What the target says.
    pub target: Option<Checksum>,
}

impl Window {
    /// Whether the two have the same rows.
    pub fn is_equal(&self) -> bool {
        let said = |side: &Option<Checksum>| side.as_ref().map_or((0, 0), |checksum| (checksum.rows, checksum.sum));
        said(&self.source) == said(&self.target)
    }

    /// Rows of the source and of the target.
    pub fn rows(&self) -> (u64, u64) {
        let rows = |side: &Option<Checksum>| side.as_ref().map_or(0, |checksum| checksum.rows);
        (rows(&self.source), rows(&self.target))
    }
}

/// The groups of both sides, side by side, in order.
pub fn side_by_side(source: Vec<Checksum>, target: Vec<Checksum>) -> Vec<Window> {
    let mut windows: BTreeMap<(usize, String), (Option<Checksum>, Option<Checksum>)> = BTreeMap::new();
    let place = |checksum: &Checksum| (checksum.group.len(), checksum.group.clone());
    for checksum in source {
        let place = place(&checksum);
        windows.entry(place).or_default().0 = Some(checksum);
    }
    for checksum in target {
        let place = place(&checksum);
        windows.entry(place).or_default().1 = Some(checksum);
    }
    let window = |((_, label), (source, target))| Window { label, source, target };
    windows.into_iter().map(window).collect()
}

/// The digits of buckets that hold few enough of so many rows.
pub fn digits_wanted(rows: u64) -> u8 {
    let few = |digits: &u8| rows >> (4 * u32::from(*digits)) <= BUCKET_ROWS;
    (1..BUCKET_DIGITS_MAX).find(few).unwrap_or(BUCKET_DIGITS_MAX)
}

/// The digits of the next question, after `open` buckets of `at` digits: as many as it has room for.
pub fn digits_next(at: u8, wanted: u8, open: usize) -> u8 {
    let open = u64::try_from(open).unwrap_or(u64::MAX).max(1);
    let fits = |digits: &u8| open << (4 * u32::from(*digits - at)) <= BUCKETS_MAX;
    (at + 1..=wanted).rev().find(fits).unwrap_or(at + 1)
}

/// The most groups that an answer about so many open buckets has.
pub fn groups_max(at: u8, digits: u8, open: usize) -> u64 {
    u64::try_from(open).unwrap_or(u64::MAX).max(1).saturating_mul(1 << (4 * u32::from(digits - at)))
}

/// A key whose rows differ, or differed a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The digest of the key.
    pub key_digest: String,
    /// The key's values.
    pub key: Vec<String>,
}

/// The keys of which the two do not have the same rows, in the order of their digests.
pub fn suspects(source: &[Fingerprint], target: &[Fingerprint]) -> Vec<Suspect> {
    let (ours, theirs) = (by_key(source), by_key(target));
    let keys: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
    let differ = keys.into_iter().filter(|key| digests(&ours, key) != digests(&theirs, key));
    let key =
        |digest: &str| ours.get(digest).or(theirs.get(digest)).and_then(|rows| rows.first()).map(|row| row.key.clone());
    differ.map(|digest| Suspect { key_digest: digest.to_owned(), key: key(digest).unwrap_or_default() }).collect()
}

type ByKey<'a> = BTreeMap<&'a str, Vec<&'a Fingerprint>>;

fn by_key(rows: &[Fingerprint]) -> ByKey<'_> {
    let mut keys = ByKey::new();
    for row in rows {
        keys.entry(row.key_digest.as_str()).or_default().push(row);
    }
    keys
}

fn digests<'a>(rows: &ByKey<'a>, key: &str) -> Vec<&'a str> {
    let mut digests: Vec<&str> = rows.get(key).into_iter().flatten().map(|row| row.digest.as_str()).collect();
    digests.sort_unstable();
    digests
}

/// What a second look says of a suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It differs, so; with the digests of the target's rows.
    Differs(Difference, Vec<String>),
    /// It need not be equal: its row moves.
    Moving,
    /// It is equal by now.
    Equal,
}

/// Judges suspects by what the target said of them and, **after** that, the source: a row of the source that was not
/// changed since the watermark is what must have been in the target then.
pub fn judge(suspects: &[Suspect], target: &[Fingerprint], source: &[Fingerprint]) -> Vec<Verdict> {
    let (ours, theirs) = (by_key(source), by_key(target));
    let judge = |suspect: &Suspect| {
        let key = suspect.key_digest.as_str();
        let (here, there) = (digests(&ours, key), digests(&theirs, key));
        let found = || there.iter().map(|digest| (*digest).to_owned()).collect();
        match ours.get(key) {
            Some(rows) if rows.iter().any(|row| !row.settled) => Verdict::Moving,
            _ if here == there => Verdict::Equal,
            None => Verdict::Differs(Difference::Extra, found()),
            Some(_) if there.is_empty() => Verdict::Differs(Difference::Missing, Vec::new()),
            Some(_) => Verdict::Differs(Difference::Changed, found()),
        }
    };
    suspects.iter().map(judge).collect()
}

#[cfg(test)]
mod tests;
