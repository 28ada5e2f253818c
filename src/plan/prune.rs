//! Whether a table's merges may look at the partitions of their rows alone, and why not. Pure.
//!
//! BigQuery bills a MERGE for the whole target unless its condition compares the partition column with constants. It may,
//! if every row of the target that has the key of a staged row is in a partition of the staged rows. That is so by itself
//! where the partition column is part of the key; else it is a promise (`partition_immutable: true`), which is held against
//! what the catalog says, against how the column was written before, and against a sample of the rows.

use std::collections::BTreeSet;
use std::fmt;

use super::table::{PlanError, TablePlan};
use super::verify::{self, Compared};
use crate::encode::cast::Cast;
use crate::encode::partitions::Grid;
use crate::mapping::Column;
use crate::model::{
    Basis, BqTable, BqType, Derivation, Derived, Lane, Mode, PartitionBasis, PartitionCheck, Partitioning, Schema,
    TableSettings, WantedPartitioning,
};

/// How long a look at a sample of rows is good for, by the source's clock.
pub const CHECK_EVERY_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// The most rows of a sample.
pub const SAMPLE_ROWS_MAX: u64 = 1_000;
/// Rows of the target that a sample is drawn from, about; a larger table is looked at in part.
const SAMPLED_FROM_ROWS: u64 = 1_000_000;
/// The most digits of a key's digest that a sample is drawn by.
const SAMPLE_DIGITS_MAX: u32 = 8;

/// What a column was written as that was not synced.
const NOT_SYNCED: &str = "as NULL";
/// How rows were written of which nobody knows.
const NOT_NOTED: &str = "in a way that was not noted";

/// How the merges of a table look for the rows of the target that they change.
#[derive(Clone, Debug)]
pub enum Pruning {
    /// In the partitions that the chunk's rows are in.
    By(Box<ByPartitions>),
    /// In the whole target.
    Off(Off),
}

/// By which partitions, and how it is checked that this is right.
#[derive(Clone, Debug)]
pub struct ByPartitions {
    /// Index of the partition column among the plan's.
    pub column: usize,
    /// The target's partitions.
    pub grid: Grid,
    /// What a sample compares; `None` where the column is part of the key, and nothing needs to be compared.
    pub probe: Option<Probe>,
}

/// What a sample of rows compares: key and partition column.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The key's columns and the partition column, which is the last.
    pub plan: TablePlan,
    /// How they are compared.
    pub compared: Compared,
    /// How the partition column is written.
    pub written: String,
}

/// Why the whole target is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Off {
    /// Nobody asked for anything else.
    NotAsked,
    /// The target is not partitioned by the column.
    Layout {
        /// The column.
        column: String,
        /// By what it is partitioned.
        found: Option<String>,
    },
    /// Rows may have been written otherwise than they are now.
    Written {
        /// The column.
        column: String,
        /// How it was written.
        before: String,
        /// How it is now.
        now: String,
    },
    /// A sample could not be compared.
    NotComparable {
        /// The column, of key or partitions.
        column: String,
        /// Why not.
        reason: String,
    },
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => write!(
                f,
                "its partition column is not part of the key, and `partition_immutable: true` is not said of it"
            ),
            Self::Layout { column, found: Some(found) } => {
                write!(f, "the target is partitioned by `{found}`, not by `{column}`")
            }
            Self::Layout { column, found: None } => write!(f, "the target is not partitioned by `{column}`"),
            Self::Written { column, before, now } => {
                let before = if before == now { "in other ways too" } else { before };
                write!(
                    f,
                    "`{column}` was written {before} and is written {now}, so rows may be in other partitions than they would \
                     be now; the way out is a new target: drop it, and `highwater reset` the table"
                )
            }
            Self::NotComparable { column, reason } => {
                write!(f, "whether rows stay in their partitions cannot be checked: column {column:?}: {reason}")
            }
        }
    }
}

/// A promise that the catalog says cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`partition_immutable: true` cannot hold for {column:?} of {table}: {why}; remove the setting, or partition by a column \
     that is written once"
)]
pub struct BadPromise {
    /// The table.
    pub table: String,
    /// The partition column.
    pub column: String,
    /// Why its values change.
    pub why: Moves,
}

/// Why a promise that a column never changes cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Moves {
    /// It is the cursor.
    #[error("it is the cursor, which grows when a row changes")]
    Cursor,
    /// The server sets it when a row changes.
    #[error("the server sets it to the time of each change (`ON UPDATE`)")]
    OnUpdate,
    /// It is made of the cursor, or of a column that the server sets.
    #[error("it is generated from {0:?}, which changes with the row")]
    Generated(String),
    /// Rows that share a key can have different values of it.
    #[error("the database does not keep the key unique, and two rows with one key could be in two partitions")]
    KeyNotUnique,
}

/// A row that is in another partition than its promise says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`partition_immutable` is said of {table}, and {column:?} has changed: the row with the key {key:?} has {here} at the source \
     and {there} in {target}, and a merge could insert it a second time, so nothing is merged; remove `partition_immutable`, \
     and see `highwater verify` for rows that are there twice"
)]
pub struct PartitionMove {
    /// The table.
    pub table: String,
    /// Its target.
    pub target: String,
    /// The partition column.
    pub column: String,
    /// The row's key.
    pub key: Vec<String>,
    /// The source's value.
    pub here: String,
    /// The target's.
    pub there: String,
}

impl Pruning {
    /// Index of the partition column and the partitions, for rows of that lane.
    pub fn of_lane(&self, lane: Lane) -> Option<(usize, &Grid)> {
        match (self, lane) {
            (Self::By(by), Lane::Live | Lane::Reread | Lane::Window | Lane::Nulls) => Some((by.column, &by.grid)),
            // what is repaired may be wrong in the very column; the others are not merged by key, or need every row
            (Self::By(_), Lane::Repair | Lane::Whole | Lane::Swap | Lane::Deletes) | (Self::Off(_), _) => None,
        }
    }

    /// What a sample compares, where the partitions rest on a promise.
    pub fn probe(&self) -> Option<&Probe> {
        match self {
            Self::By(by) => by.probe.as_ref(),
            Self::Off(_) => None,
        }
    }

    /// Why not, where somebody asked for it.
    pub fn refusal(&self) -> Option<&Off> {
        match self {
            Self::By(_) | Self::Off(Off::NotAsked) => None,
            Self::Off(off) => Some(off),
        }
    }
}

/// Whether the promise that the partition column never changes can hold, by what the catalog says. `present` are the
/// source's columns, `derived` those that the database makes itself. Gives the columns, neither of the key nor generated,
/// that the partition column is generated from: the promise is about these too.
///
/// # Errors
/// It cannot, and why.
pub fn check_promise(
    settings: &TableSettings,
    plan: &TablePlan,
    present: &[String],
    derived: &[Derived],
) -> Result<Vec<String>, PlanError> {
    let promised = wanted_column(settings).filter(|_| settings.partition_immutable && settings.mode == Mode::Merge);
    let Some(column) = promised.filter(|column| plan.key_names.iter().all(|name| name != column)) else {
        return Ok(Vec::new());
    };
    match moves(settings, plan, derived, column) {
        Some(why) => {
            let (table, column) = (settings.table.to_string(), column.to_owned());
            Err(PlanError::Promise(Box::new(BadPromise { table, column, why })))
        }
        None => Ok(made_of(column, plan, present, derived)),
    }
}

fn moves(settings: &TableSettings, plan: &TablePlan, derived: &[Derived], column: &str) -> Option<Moves> {
    let cursor = settings.cursor.as_deref();
    if cursor == Some(column) {
        return Some(Moves::Cursor);
    }
    let made = || derived.iter().filter(|made| made.column == column);
    if made().any(|made| made.how == Derivation::OnUpdate) {
        return Some(Moves::OnUpdate);
    }
    let changing = changing(cursor, derived);
    let source = made().find_map(|made| changing.iter().find(|name| is_made_of(made, name)));
    match source {
        Some(name) => Some(Moves::Generated((*name).to_owned())),
        None => (!plan.key_enforced).then_some(Moves::KeyNotUnique),
    }
}

/// Columns that change with their row: the cursor, those that the server sets, and what is generated from such, synced or
/// not.
fn changing<'a>(cursor: Option<&'a str>, derived: &'a [Derived]) -> BTreeSet<&'a str> {
    let set_by_server = derived.iter().filter(|made| made.how == Derivation::OnUpdate);
    let mut changing: BTreeSet<&str> = set_by_server.map(|made| made.column.as_str()).chain(cursor).collect();
    // every round but the last finds a column
    for _ in derived {
        let follows = |made: &&Derived| changing.iter().any(|name| is_made_of(made, name));
        let found: Vec<&str> = derived.iter().filter(follows).map(|made| made.column.as_str()).collect();
        let before = changing.len();
        changing.extend(found);
        if changing.len() == before {
            break;
        }
    }
    changing
}

/// The columns that the column is generated from in the end, without those of the key.
fn made_of(column: &str, plan: &TablePlan, present: &[String], derived: &[Derived]) -> Vec<String> {
    let (mut seen, mut left, mut sources) = (BTreeSet::from([column]), vec![column], Vec::new());
    while let Some(name) = left.pop() {
        let is_it = |made: &&Derived| made.column == name && matches!(made.how, Derivation::Expression(_));
        let Some(made) = derived.iter().find(is_it) else {
            sources.extend((name != column).then(|| name.to_owned()));
            continue;
        };
        let of = present.iter().filter(|other| is_made_of(made, other) && !plan.key_names.contains(other));
        left.extend(of.map(String::as_str).filter(|other| seen.insert(other)));
    }
    sources.sort_unstable();
    sources
}

fn is_made_of(made: &Derived, name: &str) -> bool {
    match &made.how {
        Derivation::Expression(expression) => mentions(expression, name),
        Derivation::OnUpdate => false,
    }
}

/// Whether the expression has the column's name as a word of its own.
fn mentions(expression: &str, name: &str) -> bool {
    let (expression, name) = (expression.to_lowercase(), name.to_lowercase());
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    expression.match_indices(&name).any(|(at, found)| {
        let (before, after) = (expression.get(..at), expression.get(at + found.len()..));
        !before.is_some_and(|before| before.ends_with(is_word))
            && !after.is_some_and(|after| after.starts_with(is_word))
    })
}

fn wanted_column(settings: &TableSettings) -> Option<&str> {
    settings.partitioning.as_ref().map(WantedPartitioning::column)
}

/// What is known of the target when its merges are decided on.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its columns.
    pub schema: &'a Schema,
    /// How it is partitioned; `None` if by no column.
    pub partitioning: Option<&'a Partitioning>,
    /// How the partition column of its rows was written.
    pub written: Option<&'a PartitionBasis>,
}

/// Decides how merges look for rows. The promise was checked by [`check_promise`].
pub fn decide(settings: &TableSettings, plan: &TablePlan, target: Target<'_>) -> Pruning {
    if settings.mode != Mode::Merge {
        return Pruning::Off(Off::NotAsked);
    }
    let field = target.partitioning.map(|(Partitioning::Time { field, .. } | Partitioning::Range { field, .. })| field);
    let at = field.and_then(|field| plan.names.iter().position(|name| name.eq_ignore_ascii_case(field)));
    let grid = at.zip(target.partitioning).and_then(|(at, partitioning)| {
        let column = plan.columns.get(at)?;
        let there = target.schema.field(plan.names.get(at)?)?.ty;
        // a value that is converted on its way could come to another partition
        Grid::new(partitioning, column.ty).filter(|_| there == column.ty && !column.repeated)
    });
    if let (Some(column), Some(grid)) = (at.filter(|at| plan.key.contains(at)), &grid) {
        return Pruning::By(Box::new(ByPartitions { column, grid: grid.clone(), probe: None }));
    }
    let Some(wanted) = wanted_column(settings).filter(|_| settings.partition_immutable) else {
        return Pruning::Off(Off::NotAsked);
    };
    let is_wanted = |at: &usize| plan.columns.get(*at).is_some_and(|column| column.name == wanted);
    let Some(column) = at.filter(is_wanted) else {
        return Pruning::Off(Off::Layout { column: wanted.to_owned(), found: field.cloned() });
    };
    let Some(grid) = grid else {
        let reason = "the target has another type than the source's becomes".to_owned();
        return Pruning::Off(Off::NotComparable { column: wanted.to_owned(), reason });
    };
    let now = plan.columns.get(column).map(written).unwrap_or_default();
    let noted = target.written.filter(|noted| noted.column == wanted && noted.written == now);
    let before = noted.map_or(Some(NOT_NOTED), |noted| noted.before.as_deref());
    if let Some(before) = before {
        return Pruning::Off(Off::Written { column: wanted.to_owned(), before: before.to_owned(), now });
    }
    match probe(plan, column, target.schema, now) {
        Ok(probe) => Pruning::By(Box::new(ByPartitions { column, grid, probe: Some(probe) })),
        Err(off) => Pruning::Off(off),
    }
}

/// The plan of reading the key and, last, one column that is not part of it.
fn key_and(plan: &TablePlan, column: usize) -> TablePlan {
    let kept = || plan.key.iter().copied().chain([column]);
    let names = kept().filter_map(|index| plan.names.get(index).cloned()).collect();
    let columns = kept().filter_map(|index| plan.columns.get(index).cloned()).collect();
    TablePlan { columns, names, cursor: None, key: (0..plan.key.len()).collect(), ..plan.clone() }
}

fn probe(plan: &TablePlan, column: usize, found: &Schema, written: String) -> Result<Probe, Off> {
    let plan = key_and(plan, column);
    let compared = verify::decide(&plan, found, &plan.key_names);
    if let Some(left) = compared.left.first() {
        return Err(Off::NotComparable { column: left.column.clone(), reason: left.reason.clone() });
    }
    if compared.key.is_empty() {
        let (column, reason) = (plan.key_names.join(", "), "rows are not found by such a key".to_owned());
        return Err(Off::NotComparable { column, reason });
    }
    Ok(Probe { plan, compared, written })
}

/// How the partition column is written from now on. An `empty` target has no row that was written otherwise. Of one that
/// has rows it is known only if it was noted since the target was empty; once it was not, or they were written otherwise,
/// that stays known until the target is empty again. A setting that is away for a while ends no note.
pub fn basis(
    settings: &TableSettings,
    columns: &[Column],
    was: Option<&Basis>,
    empty: bool,
) -> Option<Box<PartitionBasis>> {
    let synced = |name: &str| columns.iter().find(|column| column.name == name);
    let wanted = wanted_column(settings).and_then(synced);
    let begun = |before: Option<&str>| {
        let note = |column: &Column| PartitionBasis {
            column: column.name.clone(),
            written: written(column),
            before: before.map(ToOwned::to_owned),
        };
        wanted.map(|column| Box::new(note(column)))
    };
    if empty {
        return begun(None);
    }
    let known = was.filter(|was| was.target == settings.target).and_then(|was| was.partition.as_ref());
    let Some(known) = known.filter(|known| wanted.is_none_or(|wanted| wanted.name == known.column)) else {
        return begun(Some(NOT_NOTED));
    };
    let mut known = known.clone();
    match synced(&known.column).map(written) {
        Some(now) if now == known.written => {}
        Some(now) => {
            let before = std::mem::replace(&mut known.written, now);
            known.before.get_or_insert(before);
        }
        None => {
            known.before.get_or_insert_with(|| NOT_SYNCED.to_owned());
        }
    }
    Some(known)
}

/// Whether rows may be written as `now` says by somebody who leaves no note of it where `noted` is.
pub fn is_noted(noted: Option<&PartitionBasis>, now: Option<&PartitionBasis>) -> bool {
    // without a note, or with one of more ways than one, no merge rests on it
    noted.is_none_or(|noted| noted.before.is_some() || now == Some(noted))
}

/// All that decides what is written of a value. A whole number is what it is, whatever the type that held it; one with a
/// floating point is written by the shortest text of its width.
fn written(column: &Column) -> String {
    let floats = ["real", "double", "float"].iter().any(|name| column.source_type.starts_with(name));
    let mut text = if column.ty == BqType::Int64 && !floats {
        "as INT64".to_owned()
    } else {
        format!("from {} as {}", column.source_type, column.ty)
    };
    if column.fallible {
        text.push_str(&format!(" (`unrepresentable: {}`)", column.policy.name()));
    }
    if let Some(Cast::Instant(zone)) = &column.cast {
        text.push_str(&format!(" in the zone {}", zone.iana_name().unwrap_or("of an offset")));
    }
    text
}

/// What a look at a sample is good for.
#[derive(Clone, Copy, Debug)]
pub struct Looked<'a> {
    /// The table whose rows are looked at.
    pub table: &'a BqTable,
    /// The partition column's name in BigQuery.
    pub column: &'a str,
    /// How it is written.
    pub written: &'a str,
}

/// Whether a sample is to be looked at before merges of this table are pruned: none was, or a day ago.
pub fn is_due(checks: &[Option<&PartitionCheck>], wanted: Looked<'_>, now_us: i64) -> bool {
    let fresh = |check: &&PartitionCheck| {
        let age_us = now_us.saturating_sub(check.at_us);
        let same = check.table == *wanted.table && check.column == wanted.column && check.written == wanted.written;
        same && (0..CHECK_EVERY_MICROS).contains(&age_us)
    };
    !checks.iter().flatten().any(fresh)
}

/// How a sample of a table's rows is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The part of the table's blocks that is read, in percent; `None` for all.
    pub percent: Option<u8>,
    /// Only rows whose digest begins with one of these; empty for all.
    pub buckets: Vec<String>,
}

/// A draw of about [`SAMPLE_ROWS_MAX`] rows, or somewhat fewer, from `rows`: all over the table, and other ones each time.
pub fn draw(rows: u64, random: u128) -> Draw {
    let percent = (SAMPLED_FROM_ROWS.saturating_mul(100) / rows.max(1)).clamp(1, 100);
    let read = rows.saturating_mul(percent) / 100;
    let percent = u8::try_from(percent).ok().filter(|percent| *percent < 100);
    let mut digits = 0;
    while digits < SAMPLE_DIGITS_MAX && read / 16_u64.pow(digits) > SAMPLE_ROWS_MAX {
        digits += 1;
    }
    if digits == 0 {
        return Draw { percent, buckets: Vec::new() };
    }
    let all = 16_u64.pow(digits);
    let many = (SAMPLE_ROWS_MAX.saturating_mul(all) / read.max(1)).clamp(1, 16);
    let first = u64::try_from(random % u128::from(all)).unwrap_or(0);
    let width = usize::try_from(digits).unwrap_or_default();
    let bucket = |step: u64| format!("{:0width$x}", (first + step * (all / many)) % all);
    Draw { percent, buckets: (0..many).map(bucket).collect() }
}

#[cfg(test)]
mod tests;
