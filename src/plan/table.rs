//! From the catalog's columns and the settings to one table's plan: columns, key, order, BigQuery schema. Pure.

mod told;

use self::told::{did_you_mean, unique_hint};
use super::columns;
use crate::mapping::{Column, CursorKind, names};
use crate::model::{
    Basis, BqType, DELETED_AT, Field, FieldMode, Mode, Partitioning, SYNCED_AT, Schema, SourceTable, TableSettings,
    TableSpec, TimeUnit, WantedPartitioning, nearest,
};

/// Most clustering columns of a table (BigQuery, "Clustered tables: limitations").
pub const CLUSTERING_MAX: usize = 4;

/// Most names of similar columns in an error.
const SIMILAR_MAX: usize = 3;

/// What a run does with the table's columns.
#[derive(Clone, Debug)]
pub struct TablePlan {
    /// The columns that are read, in the table's order.
    pub columns: Vec<Column>,
    /// Their names in BigQuery, in the same order.
    pub names: Vec<String>,
    /// Index of the cursor; `None` only in `replace`.
    pub cursor: Option<usize>,
    /// Indexes of the key's columns, in the key's order; empty only in `replace`.
    pub key: Vec<usize>,
    /// Names of the key's columns at the source, in the key's order.
    pub key_names: Vec<String>,
    /// Whether the source enforces that the key is unique and not NULL.
    pub key_enforced: bool,
    /// The target as it would be created, without expiration.
    pub target: TableSpec,
}

/// What the source's catalog said, as far as the plan needs it.
#[derive(Clone, Copy, Debug)]
pub struct Catalog<'a> {
    /// The columns.
    pub columns: &'a [Column],
    /// Names of columns that may not be selected.
    pub hidden: &'a [String],
    /// The primary key's columns; empty if there is none.
    pub primary_key: &'a [String],
    /// Other column sets that the database keeps unique.
    pub unique_keys: &'a [Vec<String>],
    /// The table's comment.
    pub comment: Option<&'a str>,
}

/// Settings that do not fit the table. Each says the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A column that the settings name is not there.
    #[error("table {table} has no column {column:?} (named by `{setting}`){}", did_you_mean(.similar))]
    NoColumn {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
        /// The setting that names it.
        setting: &'static str,
        /// Columns with similar names.
        similar: Vec<String>,
    },
    /// The table has no columns that can be read.
    #[error("table {0} has no column that this user may read; GRANT SELECT on its columns")]
    NoColumns(SourceTable),
    /// The cursor's values do not grow in an order.
    #[error(
        "column {column:?} of {table} cannot be a cursor: {source_type} is not ordered in time or by a sequence; \
         name a timestamp, datetime, date or integer column, or use `mode: replace`"
    )]
    CursorNotOrdered {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
        /// Its type.
        source_type: String,
    },
    /// The cursor's numbers are text in BigQuery.
    #[error(
        "column {column:?} of {table}, {source_type}, becomes STRING, by which `mode: merge` cannot tell the newer of two \
         rows; name another cursor, or say `types: {{{column}: BIGNUMERIC}}` where its numbers fit"
    )]
    CursorIsText {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
        /// Its type.
        source_type: String,
    },
    /// A column has a name that Highwater's own columns need.
    #[error(
        "column {column:?} of {table} is {name:?} in BigQuery, which `metadata_columns` needs for itself; rename it at the \
         source, or leave it out"
    )]
    NameTaken {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
        /// Its name in BigQuery.
        name: String,
    },
    /// `lookback` is a time, and the cursor is a number.
    #[error("`lookback` is a time, and the cursor {column:?} of {table} is a number; remove one of them")]
    LookbackOfNumber {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
    },
    /// No key is configured and the table has none.
    #[error("table {table} has no primary key, and `mode: {mode}` needs a key; say `key: [...]`{}", unique_hint(.unique))]
    NoKey {
        /// The table.
        table: SourceTable,
        /// The mode.
        mode: Mode,
        /// Column sets that are unique.
        unique: Vec<Vec<String>>,
    },
    /// `append` would lose rows that share cursor and key.
    #[error(
        "`mode: append` needs a key that the database keeps unique and not NULL, and {key:?} of {table} is not; \
         use the primary key, add a unique index, or use `mode: merge`"
    )]
    KeyNotEnforced {
        /// The table.
        table: SourceTable,
        /// The key.
        key: Vec<String>,
    },
    /// The settings leave out a column that the sync needs.
    #[error(
        "column {column:?} of {table} is needed for the cursor or the key and cannot be left out; remove it from \
         `exclude_columns`, or name it in `columns`"
    )]
    NeededLeftOut {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
    },
    /// A column cannot be what the settings want.
    #[error(transparent)]
    Type(Box<BadType>),
    /// BigQuery cannot compare values of the key's type.
    #[error(
        "column {column:?} of {table} cannot be part of the key: {source_type} becomes a type that BigQuery cannot compare or group \
         by; name other columns as `key`, or say `mode: replace`"
    )]
    KeyNotComparable {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
        /// Its type.
        source_type: String,
    },
    /// A pattern does not mean such a table, or not by this name.
    #[error("{table}, which the pattern {pattern:?} matches, {why}, or name the table itself")]
    NotMeant {
        /// The table.
        table: SourceTable,
        /// The pattern.
        pattern: String,
        /// Why, and the way out.
        why: String,
    },
    /// None of a pattern's candidates is a cursor.
    #[error(
        "table {table} has none of the columns {candidates:?} as a timestamp, datetime, date or integer that can be the \
         cursor; name another, or say `mode: replace` for the table"
    )]
    NoCandidate {
        /// The table.
        table: SourceTable,
        /// The columns that the pattern names.
        candidates: Vec<String>,
    },
    /// The zone of cursors without a zone is not known.
    #[error("`cursor_timezone: {zone}` of {table} is not a time zone; say a name such as Europe/Berlin")]
    Zone {
        /// The table.
        table: SourceTable,
        /// The name.
        zone: String,
    },
    /// It is promised that the partition column never changes, and it does.
    #[error(transparent)]
    Promise(Box<super::prune::BadPromise>),
    /// The partition column's type does not fit.
    #[error(
        "`partition_by: {column}` of {table} does not fit: a {found} column cannot be partitioned by {wanted}; name another \
     column, or leave it out"
    )]
    Partitioning {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
        /// Its BigQuery type.
        found: String,
        /// What was wanted of it.
        wanted: &'static str,
    },
}

/// A column that cannot be what the settings want.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column:?} of {table}, {from}, cannot be {to}: {why}")]
pub struct BadType {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Its type at the source.
    pub from: String,
    /// What is wanted of it.
    pub to: String,
    /// Why not, and the way out.
    pub why: &'static str,
}

/// Decides the plan.
///
/// # Errors
/// Settings that do not fit the table.
pub fn decide(catalog: Catalog<'_>, settings: &TableSettings, was: Option<&Basis>) -> Result<TablePlan, PlanError> {
    let table = &settings.table;
    let key_names = key_names(catalog, settings)?;
    let columns = columns::select(catalog, settings, key_names, was)?;
    if columns.is_empty() {
        return Err(PlanError::NoColumns(table.clone()));
    }
    let catalog = Catalog { columns: &columns, ..catalog };
    let cursor = settings.cursor.as_deref().map(|name| index(&columns, table, name, "cursor")).transpose()?;
    if let Some(index) = cursor {
        check_cursor(&catalog.columns[index], settings)?;
    }
    let key = decide_key(catalog, settings, key_names)?;
    let key_enforced = enforced(catalog, &key);
    if settings.mode == Mode::Append && !key_enforced {
        let key = key.iter().map(|&index| catalog.columns[index].name.clone()).collect();
        return Err(PlanError::KeyNotEnforced { table: table.clone(), key });
    }
    // a key that is not enforced is made unique by grouping, which takes fewer types than comparing
    let fits = |column: &&Column| if key_enforced { column.ty.comparable() } else { column.ty.groupable() };
    if settings.mode == Mode::Merge
        && let Some(column) = key.iter().map(|&index| &catalog.columns[index]).find(|column| !fits(column))
    {
        return Err(PlanError::KeyNotComparable {
            table: table.clone(),
            column: column.name.clone(),
            source_type: column.source_type.clone(),
        });
    }
    let names = decide_names(&columns, settings, was);
    refuse_taken(&columns, &names, settings)?;
    let mut fields: Vec<Field> = columns.iter().zip(&names).map(|(column, name)| field(column, name)).collect();
    if settings.columns.metadata {
        fields.extend(metadata_fields());
    }
    let target = TableSpec {
        table: settings.target.clone(),
        schema: Schema(fields),
        description: catalog.comment.map(str::to_owned),
        partitioning: decide_partitioning(catalog, settings, &names)?,
        clustering: decide_clustering(catalog, settings, &names)?,
        expires_at_ms: None,
    };
    let key_names = key_names.to_vec();
    Ok(TablePlan { columns, names, cursor, key, key_names, key_enforced, target })
}

fn field(column: &Column, name: &str) -> Field {
    Field {
        name: name.to_owned(),
        ty: column.ty,
        // a value that BigQuery cannot hold becomes NULL, which a REQUIRED column would refuse
        mode: match column.repeated {
            true => FieldMode::Repeated,
            false if !column.nullable && !column.fallible => FieldMode::Required,
            false => FieldMode::Nullable,
        },
        description: column.comment.clone(),
    }
}

/// The target's columns that no column of the source becomes.
fn metadata_fields() -> [Field; 2] {
    let field = |name: &str, description: &str| Field {
        name: name.to_owned(),
        ty: BqType::Timestamp,
        mode: FieldMode::Nullable,
        description: Some(description.to_owned()),
    };
    [
        field(SYNCED_AT, "When Highwater last wrote this row"),
        field(DELETED_AT, "When Highwater found this row deleted at the source"),
    ]
}

/// A name that a column had before the metadata columns were asked for.
fn refuse_taken(columns: &[Column], names: &[String], settings: &TableSettings) -> Result<(), PlanError> {
    let ours = |name: &String| [SYNCED_AT, DELETED_AT].iter().any(|own| own.eq_ignore_ascii_case(name));
    match columns.iter().zip(names).find(|(_, name)| settings.columns.metadata && ours(name)) {
        Some((column, name)) => {
            Err(PlanError::NameTaken { table: settings.table.clone(), column: column.name.clone(), name: name.clone() })
        }
        None => Ok(()),
    }
}

/// The columns' names in BigQuery: those that they have already, else new ones.
fn decide_names(columns: &[Column], settings: &TableSettings, was: Option<&Basis>) -> Vec<String> {
    let source_names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let reserved: &[&str] = if settings.columns.metadata { &[SYNCED_AT, DELETED_AT] } else { &[] };
    let known: Vec<(&str, &str)> = was
        .map(|was| was.columns.iter().chain(&was.gone))
        .into_iter()
        .flatten()
        .map(|column| (column.source.as_str(), column.name.as_str()))
        .collect();
    names::bigquery_names(&source_names, &known, reserved)
}

impl TablePlan {
    /// The cursor's kind; `None` without a cursor that is in order.
    pub fn cursor_kind(&self) -> Option<CursorKind> {
        self.cursor.and_then(|cursor| self.columns.get(cursor)?.cursor)
    }

    /// The columns that are staged: those of the target that the source fills.
    pub fn staged(&self) -> Schema {
        let field = |(column, name): (&Column, &String)| field(column, name);
        Schema(self.columns.iter().zip(&self.names).map(field).collect())
    }

    /// The plan of reading the key alone.
    #[must_use]
    pub fn key_alone(&self) -> Self {
        let names = self.key.iter().map(|&index| self.names[index].clone()).collect();
        let columns: Vec<Column> = self.key.iter().map(|&index| self.columns[index].clone()).collect();
        let key = (0..columns.len()).collect();
        Self { columns, names, cursor: None, key, ..self.clone() }
    }

    /// The plan without these columns, by their names in BigQuery; those of cursor and key stay.
    #[must_use]
    pub fn without(mut self, names: &[String]) -> Self {
        let needed = |index: usize| self.cursor == Some(index) || self.key.contains(&index);
        let keep: Vec<usize> = (0..self.columns.len())
            .filter(|&index| needed(index) || !names.iter().any(|name| name.eq_ignore_ascii_case(&self.names[index])))
            .collect();
        let place = |old: usize| keep.iter().position(|&kept| kept == old);
        self.cursor = self.cursor.and_then(place);
        self.key = self.key.iter().filter_map(|&index| place(index)).collect();
        let dropped: Vec<String> = (0..self.names.len())
            .filter(|index| !keep.contains(index))
            .map(|index| self.names[index].clone())
            .collect();
        self.target.schema.0.retain(|field| !dropped.contains(&field.name));
        self.columns = keep.iter().map(|&index| self.columns[index].clone()).collect();
        self.names = keep.iter().map(|&index| self.names[index].clone()).collect();
        self
    }
}

/// The index of the column that a setting names.
pub(super) fn index(
    columns: &[Column],
    table: &SourceTable,
    name: &str,
    setting: &'static str,
) -> Result<usize, PlanError> {
    columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let known = columns.iter().map(|column| (column.name.as_str(), column.name.clone()));
        let similar = nearest(name, known, SIMILAR_MAX);
        PlanError::NoColumn { table: table.clone(), column: name.to_owned(), setting, similar }
    })
}

/// Whether the column can be the cursor of a table with these settings.
pub(super) fn is_cursor(column: &Column, settings: &TableSettings) -> bool {
    check_cursor(column, settings).is_ok()
}

fn check_cursor(column: &Column, settings: &TableSettings) -> Result<(), PlanError> {
    let table = settings.table.clone();
    match column.cursor {
        None => Err(PlanError::CursorNotOrdered {
            table,
            column: column.name.clone(),
            source_type: column.source_type.clone(),
        }),
        // a merge compares cursors in BigQuery, where text has another order: "10" is before "9"
        Some(_) if column.ty == BqType::String && settings.mode == Mode::Merge => {
            Err(PlanError::CursorIsText { table, column: column.name.clone(), source_type: column.source_type.clone() })
        }
        Some(CursorKind::Number) if !settings.lookback.is_zero() => {
            Err(PlanError::LookbackOfNumber { table, column: column.name.clone() })
        }
        Some(_) => Ok(()),
    }
}

/// Names of the key's columns, wherever they come from.
fn key_names<'a>(catalog: Catalog<'a>, settings: &'a TableSettings) -> Result<&'a [String], PlanError> {
    match &settings.key {
        Some(names) => Ok(names.as_slice()),
        // a `replace` needs none, and may leave columns of the primary key out
        None if settings.mode == Mode::Replace => Ok(&[]),
        None if !catalog.primary_key.is_empty() => Ok(catalog.primary_key),
        None => {
            let unique = catalog.unique_keys.to_vec();
            Err(PlanError::NoKey { table: settings.table.clone(), mode: settings.mode, unique })
        }
    }
}

fn decide_key(catalog: Catalog<'_>, settings: &TableSettings, names: &[String]) -> Result<Vec<usize>, PlanError> {
    let table = &settings.table;
    // a `replace` reads everything in one go: order would only cost a sort
    if settings.mode == Mode::Replace {
        names.iter().try_for_each(|name| index(catalog.columns, table, name, "key").map(drop))?;
        return Ok(Vec::new());
    }
    names.iter().map(|name| index(catalog.columns, table, name, "key")).collect()
}

/// Whether the key is, or contains, a column set that the database keeps unique and not NULL.
fn enforced(catalog: Catalog<'_>, key: &[usize]) -> bool {
    let within = |columns: &[String]| {
        !columns.is_empty()
            && columns.iter().all(|name| {
                key.iter().any(|&index| catalog.columns[index].name == *name && !catalog.columns[index].nullable)
            })
    };
    within(catalog.primary_key) || catalog.unique_keys.iter().any(|columns| within(columns))
}

fn decide_partitioning(
    catalog: Catalog<'_>,
    settings: &TableSettings,
    names: &[String],
) -> Result<Option<Partitioning>, PlanError> {
    let Some(wanted) = &settings.partitioning else { return Ok(None) };
    let table = &settings.table;
    let (WantedPartitioning::Time { column, .. } | WantedPartitioning::Range { column, .. }) = wanted;
    let at = index(catalog.columns, table, column, "partition_by")?;
    let (ty, field) = (catalog.columns[at].ty, names[at].clone());
    let misfit = |wanted| PlanError::Partitioning {
        table: table.clone(),
        column: column.clone(),
        found: ty.to_string(),
        wanted,
    };
    match *wanted {
        WantedPartitioning::Time { unit, .. } => match ty {
            BqType::DateTime | BqType::Timestamp => Ok(Some(Partitioning::Time { field, unit })),
            BqType::Date if unit != TimeUnit::Hour => Ok(Some(Partitioning::Time { field, unit })),
            BqType::Date => Err(misfit("hour")),
            BqType::Int64
            | BqType::Float64
            | BqType::Bool
            | BqType::String
            | BqType::Bytes
            | BqType::Time
            | BqType::Numeric
            | BqType::BigNumeric
            | BqType::Json
            | BqType::Geography => Err(misfit("time; name a date, datetime or timestamp column")),
        },
        WantedPartitioning::Range { start, end, interval, .. } if ty == BqType::Int64 => {
            Ok(Some(Partitioning::Range { field, start, end, interval }))
        }
        WantedPartitioning::Range { .. } => Err(misfit("a range of integers; name an integer column")),
    }
}

fn decide_clustering(
    catalog: Catalog<'_>,
    settings: &TableSettings,
    names: &[String],
) -> Result<Vec<String>, PlanError> {
    let columns = settings.cluster_by.iter().take(CLUSTERING_MAX);
    columns.map(|name| Ok(names[index(catalog.columns, &settings.table, name, "cluster_by")?].clone())).collect()
}
