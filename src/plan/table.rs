//! From the catalog's columns and the settings to one table's plan: columns, key, order, BigQuery schema. Pure.

use crate::mapping::{Column, CursorKind, names};
use crate::model::{Field, Mode, Partitioning, Schema, SourceTable, TableSettings, TableSpec, WantedPartitioning};

/// Most clustering columns of a table (BigQuery, "Clustered tables: limitations").
pub const CLUSTERING_MAX: usize = 4;

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
    #[error("table {0} has no columns")]
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
    /// `lookback` is a time, and the cursor is a number.
    #[error("`lookback` is a time, and the cursor {column:?} of {table} is a number; remove one of them")]
    LookbackOfNumber {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
    },
    /// No key is configured and the table has none.
    #[error("table {table} has no primary key, and `mode: {mode}` needs a key: say `key: [...]`{}", unique_hint(.unique))]
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
    /// BigQuery cannot compare values of the key's type.
    #[error(
        "column {column:?} of {table} cannot be part of the key: {source_type} becomes a type that BigQuery cannot compare or group by"
    )]
    KeyNotComparable {
        /// The table.
        table: SourceTable,
        /// The column.
        column: String,
        /// Its type.
        source_type: String,
    },
    /// The zone of cursors without a zone is not known.
    #[error("`cursor_timezone: {zone}` of {table} is not a time zone; say a name such as Europe/Berlin")]
    Zone {
        /// The table.
        table: SourceTable,
        /// The name.
        zone: String,
    },
    /// The partition column's type does not fit.
    #[error("`partition_by: {column}` of {table} does not fit: a {found} column cannot be partitioned by {wanted}")]
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

fn did_you_mean(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!("; did you mean {}?", similar.join(" or ")) }
}

fn unique_hint(unique: &[Vec<String>]) -> String {
    match unique.first() {
        Some(columns) => format!("; unique by an index: [{}]", columns.join(", ")),
        None => String::new(),
    }
}

/// Decides the plan.
///
/// # Errors
/// Settings that do not fit the table.
pub fn decide(catalog: Catalog<'_>, settings: &TableSettings) -> Result<TablePlan, PlanError> {
    let table = &settings.table;
    if catalog.columns.is_empty() {
        return Err(PlanError::NoColumns(table.clone()));
    }
    let cursor = settings.cursor.as_deref().map(|name| index(catalog, table, name, "cursor")).transpose()?;
    if let Some(index) = cursor {
        check_cursor(&catalog.columns[index], settings)?;
    }
    let key = decide_key(catalog, settings)?;
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
    let source_names: Vec<&str> = catalog.columns.iter().map(|column| column.name.as_str()).collect();
    let names = names::bigquery_names(&source_names);
    let fields = catalog.columns.iter().zip(&names).map(|(column, name)| field(column, name));
    let target = TableSpec {
        table: settings.target.clone(),
        schema: Schema(fields.collect()),
        description: catalog.comment.map(str::to_owned),
        partitioning: decide_partitioning(catalog, settings, &names)?,
        clustering: decide_clustering(catalog, settings, &names)?,
        expires_at_ms: None,
    };
    Ok(TablePlan { columns: catalog.columns.to_vec(), names, cursor, key, key_enforced, target })
}

fn field(column: &Column, name: &str) -> Field {
    Field {
        name: name.to_owned(),
        ty: column.ty,
        // a value that BigQuery cannot hold becomes NULL, which a REQUIRED column would refuse
        required: !column.nullable && !column.fallible,
        description: column.comment.clone(),
    }
}

fn index(catalog: Catalog<'_>, table: &SourceTable, name: &str, setting: &'static str) -> Result<usize, PlanError> {
    let columns = catalog.columns;
    columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let near = |column: &&Column| {
            strsim::damerau_levenshtein(&column.name.to_lowercase(), &name.to_lowercase()) <= name.len().max(3) / 3
        };
        let similar = columns.iter().filter(near).take(3).map(|column| column.name.clone()).collect();
        PlanError::NoColumn { table: table.clone(), column: name.to_owned(), setting, similar }
    })
}

fn check_cursor(column: &Column, settings: &TableSettings) -> Result<(), PlanError> {
    let table = settings.table.clone();
    match column.cursor {
        None => Err(PlanError::CursorNotOrdered {
            table,
            column: column.name.clone(),
            source_type: column.source_type.clone(),
        }),
        Some(CursorKind::Number) if !settings.lookback.is_zero() => {
            Err(PlanError::LookbackOfNumber { table, column: column.name.clone() })
        }
        Some(_) => Ok(()),
    }
}

fn decide_key(catalog: Catalog<'_>, settings: &TableSettings) -> Result<Vec<usize>, PlanError> {
    let table = &settings.table;
    let names = match &settings.key {
        Some(names) => names.as_slice(),
        None if !catalog.primary_key.is_empty() => catalog.primary_key,
        None if settings.mode == Mode::Replace => &[],
        None => {
            let unique = catalog.unique_keys.to_vec();
            return Err(PlanError::NoKey { table: table.clone(), mode: settings.mode, unique });
        }
    };
    // a `replace` reads everything in one go: order would only cost a sort
    if settings.mode == Mode::Replace {
        names.iter().try_for_each(|name| index(catalog, table, name, "key").map(drop))?;
        return Ok(Vec::new());
    }
    names.iter().map(|name| index(catalog, table, name, "key")).collect()
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
    use crate::model::{BqType, TimeUnit};
    let Some(wanted) = &settings.partitioning else { return Ok(None) };
    let table = &settings.table;
    let (WantedPartitioning::Time { column, .. } | WantedPartitioning::Range { column, .. }) = wanted;
    let at = index(catalog, table, column, "partition_by")?;
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
    columns.map(|name| Ok(names[index(catalog, &settings.table, name, "cluster_by")?].clone())).collect()
}
