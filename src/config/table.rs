//! One table's settings, and the defaults below them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::{Map, Placed};
use super::source::Place;
use super::{columns, deletes, scalar};
use crate::model::{
    BqTable, ChunkBytes, ChunkRows, GzipLevel, Limits, Mode, NullCursor, PartBytes, Policy, Removal, SourceName,
    SourceTable, TableId, TableSettings, TimeUnit, WantedPartitioning,
};

const LAG_DEFAULT: Duration = Duration::from_secs(60);
const MAX_HOLD_DEFAULT: Duration = Duration::from_secs(3600);
const CLUSTERING_MAX: usize = 4;

/// Where a table stands.
pub(super) struct Context<'a> {
    pub(super) source: &'a SourceName,
    pub(super) place: &'a Place,
    /// The schema of names without one; `None` for MySQL.
    pub(super) schema: Option<String>,
}

/// Settings that a table may inherit.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    mode: Option<Mode>,
    cursor: Option<String>,
    create: Option<bool>,
    chunk_rows: Option<ChunkRows>,
    chunk_bytes: Option<ChunkBytes>,
    part_bytes: Option<PartBytes>,
    gzip_level: Option<GzipLevel>,
    lag: Option<Duration>,
    max_hold: Option<Duration>,
    lookback: Option<Duration>,
    null_cursor: Option<NullCursor>,
    cursor_timezone: Option<String>,
    deletes: deletes::Deletes,
    columns: columns::Shared,
}

impl Defaults {
    /// These where they say something, else those below.
    pub(super) fn over(self, below: &Self) -> Self {
        Self {
            mode: self.mode.or(below.mode),
            cursor: self.cursor.or_else(|| below.cursor.clone()),
            create: self.create.or(below.create),
            chunk_rows: self.chunk_rows.or(below.chunk_rows),
            chunk_bytes: self.chunk_bytes.or(below.chunk_bytes),
            part_bytes: self.part_bytes.or(below.part_bytes),
            gzip_level: self.gzip_level.or(below.gzip_level),
            lag: self.lag.or(below.lag),
            max_hold: self.max_hold.or(below.max_hold),
            lookback: self.lookback.or(below.lookback),
            null_cursor: self.null_cursor.or(below.null_cursor),
            cursor_timezone: self.cursor_timezone.or_else(|| below.cursor_timezone.clone()),
            deletes: self.deletes.over(below.deletes),
            columns: self.columns.over(&below.columns),
        }
    }

    /// Reports what a table of that mode cannot have. What it inherits is for the tables that can.
    fn check(&self, map: &Map<'_>, mode: Mode) {
        if mode == Mode::Replace && self.cursor.is_some() {
            map.fault(
                "cursor",
                "`mode: replace` reads the whole table each time and has no cursor; remove one of them",
            );
        }
        if mode != Mode::Merge && self.lookback.is_some_and(|lookback| !lookback.is_zero()) {
            map.fault("lookback", "rows are read again only in `mode: merge`; remove one of them");
        }
        if mode != Mode::Merge && self.null_cursor == Some(NullCursor::Include) {
            map.fault("null_cursor", "`include` syncs such rows on each run, which only `mode: merge` can");
        }
        if mode != Mode::Merge && self.columns.backfills() {
            map.fault("schema", "`backfill_added` reads rows again, which only `mode: merge` can");
        }
        self.deletes.check(map, mode, self.columns.metadata());
    }

    fn limits(&self) -> Limits {
        Limits {
            chunk_rows: self.chunk_rows.unwrap_or_default(),
            chunk_bytes: self.chunk_bytes.unwrap_or_default(),
            part_bytes: self.part_bytes.unwrap_or_default(),
            gzip_level: self.gzip_level.unwrap_or_default(),
        }
    }
}

/// Reads a `defaults` section.
pub(super) fn read_defaults(mut map: Map<'_>) -> Defaults {
    let (defaults, policies) = shared(&mut map);
    if !policies.is_empty() {
        map.fault("unrepresentable", "columns are a table's: only `default` can be inherited");
    }
    map.finish();
    defaults
}

fn shared(map: &mut Map<'_>) -> (Defaults, BTreeMap<String, Policy>) {
    let modes = [("merge", Mode::Merge), ("append", Mode::Append), ("replace", Mode::Replace)];
    let nulls = [("report", NullCursor::Report), ("include", NullCursor::Include)];
    let (columns, policies) = columns::read_shared(map);
    let defaults = Defaults {
        mode: map.optional("mode", |text| scalar::word(text, &modes)),
        cursor: map.optional("cursor", scalar::text),
        create: map.optional("create", scalar::boolean),
        chunk_rows: map.optional("chunk_rows", scalar::limited),
        chunk_bytes: map.optional("chunk_bytes", scalar::limited),
        part_bytes: map.optional("part_bytes", scalar::limited),
        gzip_level: map.optional("gzip_level", scalar::limited),
        lag: map.optional("lag", scalar::duration),
        max_hold: map.optional("max_hold", scalar::duration),
        lookback: map.optional("lookback", scalar::duration),
        null_cursor: map.optional("null_cursor", |text| scalar::word(text, &nulls)),
        cursor_timezone: map.optional("cursor_timezone", scalar::zone),
        deletes: deletes::read(map),
        columns,
    };
    (defaults, policies)
}

/// Reads one table.
pub(super) fn read(
    mut map: Map<'_>,
    key: &Placed<&str>,
    context: Option<&Context<'_>>,
    defaults: &Defaults,
) -> Option<TableSettings> {
    if map.is_broken() {
        return None;
    }
    let (own, policies) = shared(&mut map);
    let mode = own.mode.or(defaults.mode).unwrap_or(Mode::Merge);
    own.check(&map, mode);
    let settings = own.over(defaults);
    let cursor = settings.cursor.clone().filter(|_| mode != Mode::Replace);
    if mode != Mode::Replace && cursor.is_none() && !map.has("cursor") {
        map.fault("", "`cursor` is missing: name the column that grows when a row changes, or say `mode: replace`");
    }
    let deletes = settings.deletes.settings(mode);
    let mut columns = columns::read(&mut map, &settings.columns, policies);
    columns.metadata |= deletes.is_some_and(|deletes| deletes.removal == Removal::Soft);
    let filter = map.optional("where", scalar::text);
    let key_columns = map.texts("key");
    let partitioning = read_partitioning(&mut map);
    let cluster_by = map.texts("cluster_by").unwrap_or_default();
    if cluster_by.len() > CLUSTERING_MAX {
        map.fault("cluster_by", "BigQuery clusters by at most 4 columns");
    }
    let target = map.optional("target", target_name);
    let limits = settings.limits();
    let (name, table) = read_name(&map, key, context.and_then(|context| context.schema.as_deref()))?;
    map.finish();
    let Context { source, place, schema } = context?;
    let (dataset, target) = target.unwrap_or_else(|| (None, default_target(&table, schema.as_deref())));
    let merging = mode == Mode::Merge;
    // who says in which zone civil times are written says it of the cursor too
    let naive_zone = columns.naive_zone.clone();
    Some(TableSettings {
        id: TableId { source: (*source).clone(), table: name },
        table,
        target: BqTable {
            project: place.project.clone(),
            dataset: dataset.unwrap_or_else(|| place.dataset.clone()),
            table: target,
        },
        location: place.location.clone(),
        job_project: place.job_project.clone(),
        mode,
        cursor,
        key: key_columns,
        create: settings.create.unwrap_or(true),
        partitioning,
        cluster_by,
        columns,
        filter,
        max_rejects: settings.columns.max_rejects(),
        schema: settings.columns.schema(merging),
        deletes,
        limits,
        lag: settings.lag.unwrap_or(LAG_DEFAULT),
        max_hold: settings.max_hold.unwrap_or(MAX_HOLD_DEFAULT),
        // inherited ones are for the tables that can have them
        lookback: settings.lookback.filter(|_| merging).unwrap_or_default(),
        null_cursor: settings.null_cursor.filter(|_| merging).unwrap_or_default(),
        cursor_timezone: settings.cursor_timezone.or(naive_zone).unwrap_or_else(|| "UTC".to_owned()),
    })
}

fn read_name(
    map: &Map<'_>,
    key: &Placed<&str>,
    schema: Option<&str>,
) -> Option<(crate::model::TableName, SourceTable)> {
    let fault = |problem: &str| map.fault_at(key.place, "", problem);
    if key.value.contains(['*', '?', '[']) && !key.value.contains('"') {
        fault("patterns are not supported in this version: name each table");
        return None;
    }
    let name = key.value.parse().map_err(|problem| fault(&format!("{problem}"))).ok()?;
    let Some(parts) = split_name(key.value) else {
        fault("is not a table's name: say `table` or `schema.table`; names with a dot stand in double quotes");
        return None;
    };
    let mut parts = parts.into_iter();
    let table = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => SourceTable { schema: schema.map(str::to_owned), name },
        (Some(schema), Some(name), None) => SourceTable { schema: Some(schema), name },
        _ => {
            fault("has more than two parts: say `table` or `schema.table`; names with a dot stand in double quotes");
            return None;
        }
    };
    Some((name, table))
}

/// `a."b.c"` into its parts; `None` if quotes do not match or a part is empty.
fn split_name(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let part = if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"')?;
            rest = &quoted[end + 1..];
            quoted[..end].to_owned()
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let part = rest[..end].to_owned();
            rest = &rest[end..];
            part
        };
        if part.is_empty() || part.contains('"') {
            return None;
        }
        parts.push(part);
        if rest.is_empty() {
            return Some(parts);
        }
        rest = rest.strip_prefix('.')?;
    }
}

/// `[dataset.]table`.
fn target_name(text: &str) -> Result<(Option<String>, String), String> {
    match text.split_once('.') {
        Some((dataset, table)) => Ok((Some(scalar::dataset(dataset)?), scalar::table(table)?)),
        None => Ok((None, scalar::table(text)?)),
    }
}

fn default_target(table: &SourceTable, default_schema: Option<&str>) -> String {
    match &table.schema {
        Some(schema) if Some(schema.as_str()) != default_schema => joined(schema, &table.name),
        _ => plain(&table.name),
    }
}

/// Whether it names a table: `table` or `schema.table`.
pub(super) fn is_name(text: &str) -> bool {
    text.parse::<crate::model::TableName>().is_ok() && split_name(text).is_some_and(|parts| parts.len() <= 2)
}

/// The target of a table that is named with its schema: `schema__table`; `None` if it is not.
pub(super) fn joined_target(name: &str) -> Option<String> {
    match split_name(name)?.as_slice() {
        [schema, table] => Some(joined(schema, table)),
        _ => None,
    }
}

fn joined(schema: &str, table: &str) -> String {
    format!("{}__{}", plain(schema), plain(table))
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

fn read_partitioning(map: &mut Map<'_>) -> Option<WantedPartitioning> {
    if !map.is_map("partition_by") {
        let column = map.optional("partition_by", scalar::text)?;
        return Some(WantedPartitioning::Time { column, unit: TimeUnit::Day });
    }
    let mut section = map.map("partition_by")?;
    let units =
        [("hour", TimeUnit::Hour), ("day", TimeUnit::Day), ("month", TimeUnit::Month), ("year", TimeUnit::Year)];
    let column = section.required("column", scalar::text);
    let unit = section.optional("unit", |text| scalar::word(text, &units));
    let start = section.optional("start", scalar::integer);
    let end = section.optional("end", scalar::integer);
    let interval = section.optional("interval", scalar::integer);
    let result = match (start, end, interval) {
        (None, None, None) => {
            column.map(|column| WantedPartitioning::Time { column, unit: unit.unwrap_or(TimeUnit::Day) })
        }
        (Some(_), Some(_), Some(_)) if unit.is_some() => {
            section.fault("unit", "a range has no unit; remove it or start, end and interval");
            None
        }
        (Some(start), Some(end), Some(interval)) if start < end && interval > 0 => {
            column.map(|column| WantedPartitioning::Range { column, start, end, interval })
        }
        (Some(_), Some(_), Some(_)) => {
            section.fault("", "`start` must be below `end` and `interval` above 0");
            None
        }
        _ => {
            section.fault("", "a range needs `start`, `end` and `interval`");
            None
        }
    };
    section.finish();
    result
}
