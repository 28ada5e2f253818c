//! One table's settings, and the defaults below them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pattern::{self, Scope, TablePattern, TargetRule};
use super::reader::{Map, Placed};
use super::source::Place;
use super::{columns, deletes, scalar};
use crate::model::{
    BqTable, ChunkBytes, ChunkRows, Code, ColumnSettings, DeletesSettings, GzipLevel, Limits, Matched, Mode,
    NamePattern, NullCursor, PartBytes, Policy, Removal, Schedule, SourceTable, TableId, TableName, TableSettings,
    TimeUnit, WantedPartitioning,
};

const LAG_DEFAULT: Duration = Duration::from_secs(60);
const MAX_HOLD_DEFAULT: Duration = Duration::from_secs(3600);
const CLUSTERING_MAX: usize = 4;
const ONE_CURSOR: &str = "a list of columns to choose from is for patterns; name the one column";

/// Where a table stands.
pub(super) struct Context<'a> {
    pub(super) place: &'a Place,
    pub(super) scope: Scope,
    /// Whether patterns that do not say it mean views.
    pub(super) views: bool,
}

/// One entry of `tables`.
#[derive(Debug)]
pub(super) enum Entry {
    /// A table that is named.
    Table(Box<TableSettings>),
    /// A pattern.
    Pattern(Box<TablePattern>),
}

/// What an entry's key says.
enum Name {
    Table(TableName, SourceTable),
    Pattern(TableName, NamePattern),
}

/// Settings that a table may inherit.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    mode: Option<Mode>,
    cursor: Option<String>,
    create: Option<bool>,
    partition_immutable: Option<bool>,
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
    /// A cursor value, or none where `none` takes an inherited one away.
    backfill_start: Option<Option<String>>,
    /// An expression, or none where `none` takes an inherited one away.
    schedule: Option<Option<String>>,
    schedule_timezone: Option<String>,
    columns: columns::Shared,
}

/// What may stand beside inherited settings, but is a table's own.
struct Own {
    policies: BTreeMap<String, Policy>,
    /// More than one column for the cursor.
    cursors: Vec<String>,
}

impl Defaults {
    /// These where they say something, else those below.
    pub(super) fn over(self, below: &Self) -> Self {
        Self {
            mode: self.mode.or(below.mode),
            cursor: self.cursor.or_else(|| below.cursor.clone()),
            create: self.create.or(below.create),
            partition_immutable: self.partition_immutable.or(below.partition_immutable),
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
            backfill_start: self.backfill_start.or_else(|| below.backfill_start.clone()),
            schedule: self.schedule.or_else(|| below.schedule.clone()),
            schedule_timezone: self.schedule_timezone.or_else(|| below.schedule_timezone.clone()),
            columns: self.columns.over(&below.columns),
        }
    }

    /// When the table runs. The expression was read before, where it stands.
    fn schedule(&self) -> Option<Schedule> {
        let zone = self.schedule_timezone.as_deref().unwrap_or("UTC");
        Schedule::parse(self.schedule.as_ref()?.as_deref()?, zone).ok()
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
    let (defaults, own) = shared(&mut map);
    if !own.policies.is_empty() {
        map.fault(Code::ConfigValue, "unrepresentable", "columns are a table's; only `default` can be inherited");
    }
    if !own.cursors.is_empty() {
        map.fault(Code::ConfigConflict, "cursor", ONE_CURSOR);
    }
    map.finish();
    defaults
}

fn shared(map: &mut Map<'_>) -> (Defaults, Own) {
    let modes = [("merge", Mode::Merge), ("append", Mode::Append), ("replace", Mode::Replace)];
    let nulls = [("report", NullCursor::Report), ("include", NullCursor::Include)];
    let (columns, policies) = columns::read_shared(map);
    let mut cursors = map.texts("cursor").unwrap_or_default();
    let cursor = if cursors.len() == 1 { cursors.pop() } else { None };
    let defaults = Defaults {
        mode: map.optional("mode", |text| scalar::word(text, &modes)),
        cursor,
        create: map.optional("create", scalar::boolean),
        partition_immutable: map.optional("partition_immutable", scalar::boolean),
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
        backfill_start: map.optional("backfill_start", start),
        schedule: map.optional("schedule", schedule),
        schedule_timezone: map.optional("schedule_timezone", scalar::zone),
        columns,
    };
    (defaults, Own { policies, cursors })
}

/// A time or a number, or `none`. Whether it is one of the cursor's type is told by the table.
pub(super) fn start(text: &str) -> Result<Option<String>, String> {
    let time = text.trim_end_matches('Z').parse::<jiff::civil::DateTime>().is_ok();
    match text {
        "none" => Ok(None),
        _ if time || text.parse::<i128>().is_ok() => Ok(Some(text.to_owned())),
        _ => Err(format!(
            "{text:?} is no value of a cursor; say a date, a time such as 2026-01-31T12:00:00, or a number"
        )),
    }
}

/// A cron expression, or `none`.
fn schedule(text: &str) -> Result<Option<String>, String> {
    match text {
        "none" => Ok(None),
        _ => Schedule::parse(text, "UTC").map(|_fine| Some(text.to_owned())).map_err(|fault| fault.to_string()),
    }
}

/// Reads one entry.
pub(super) fn read(
    mut map: Map<'_>,
    key: &Placed<&str>,
    context: Option<&Context<'_>>,
    defaults: &Defaults,
) -> Option<Entry> {
    if map.is_broken() {
        return None;
    }
    let name = read_name(&map, key, context.and_then(|context| context.scope.schema.as_deref()));
    let many = pattern::is_pattern(key.value);
    let (own, Own { policies, cursors }) = shared(&mut map);
    if !many && !cursors.is_empty() {
        map.fault(Code::ConfigConflict, "cursor", ONE_CURSOR);
    }
    let own_promise = own.partition_immutable;
    let own_cursor = own.cursor.is_some() || !cursors.is_empty();
    let inherited = if cursors.is_empty() { defaults.clone() } else { Defaults { cursor: None, ..defaults.clone() } };
    refuse_misfits(&map, &own, own_cursor, own.mode.or(inherited.mode).unwrap_or(Mode::Merge));
    let settings = own.over(&inherited);
    let mode = settings.mode.unwrap_or(Mode::Merge);
    let cursor = settings.cursor.clone().filter(|_| mode != Mode::Replace);
    if mode != Mode::Replace && cursor.is_none() && !map.has("cursor") {
        map.fault(
            Code::ConfigMissing,
            "",
            "`cursor` is missing; name the column that grows when a row changes, or say `mode: replace`",
        );
    }
    let matched = many.then(|| Matched {
        pattern: key.value.to_owned(),
        views: map.optional("views", scalar::boolean).or(context.map(|context| context.views)).unwrap_or(false),
        cursors: if mode == Mode::Replace { Vec::new() } else { cursors },
    });
    let target = read_target(&mut map, many);
    let rest = read_rest(&mut map, &settings, mode, policies);
    let rest = Rest { partition_immutable: promised(&map, own_promise, &rest, &settings, mode), ..rest };
    map.finish();
    let (Context { place, scope, .. }, (dataset, target)) = (context?, target.unwrap_or((None, TargetRule::Default)));
    let (id, table, pattern) = match name? {
        Name::Table(id, table) => (id, table, None),
        Name::Pattern(id, pattern) => (id, SourceTable { schema: None, name: key.value.to_owned() }, Some(pattern)),
    };
    let target_table = match &target {
        TargetRule::Template(text) => text.clone(),
        TargetRule::Default => table.target_name(scope.schema.as_deref()),
    };
    let head = Head {
        id: TableId { source: scope.source.clone(), table: id },
        table,
        matched,
        target: BqTable {
            project: place.project.clone(),
            dataset: dataset.unwrap_or_else(|| place.dataset.clone()),
            table: target_table,
        },
        mode,
        cursor,
    };
    let template = whole(head, rest, place, settings);
    Some(match pattern {
        None => Entry::Table(Box::new(template)),
        Some(pattern) => Entry::Pattern(Box::new(TablePattern { pattern, template, target })),
    })
}

/// What an entry is about.
struct Head {
    id: TableId,
    table: SourceTable,
    matched: Option<Matched>,
    target: BqTable,
    mode: Mode,
    cursor: Option<String>,
}

/// What only a table says.
struct Rest {
    key: Option<Vec<String>>,
    partitioning: Option<WantedPartitioning>,
    cluster_by: Vec<String>,
    columns: ColumnSettings,
    filter: Option<String>,
    deletes: Option<DeletesSettings>,
    partition_immutable: bool,
}

fn read_rest(map: &mut Map<'_>, settings: &Defaults, mode: Mode, policies: BTreeMap<String, Policy>) -> Rest {
    let deletes = settings.deletes.settings(mode);
    let mut columns = columns::read(map, &settings.columns, policies);
    columns.metadata |= deletes.is_some_and(|deletes| deletes.removal == Removal::Soft);
    let cluster_by = map.texts("cluster_by").unwrap_or_default();
    if cluster_by.len() > CLUSTERING_MAX {
        map.fault(Code::ConfigValue, "cluster_by", "BigQuery clusters by at most 4 columns");
    }
    Rest {
        key: map.texts("key"),
        partitioning: read_partitioning(map),
        cluster_by,
        columns,
        filter: map.optional("where", scalar::text),
        deletes,
        partition_immutable: false,
    }
}

fn whole(head: Head, rest: Rest, place: &Place, settings: Defaults) -> TableSettings {
    let merging = head.mode == Mode::Merge;
    // who says in which zone civil times are written says it of the cursor too
    let naive_zone = rest.columns.naive_zone.clone();
    TableSettings {
        id: head.id,
        table: head.table,
        matched: head.matched,
        target: head.target,
        location: place.location.clone(),
        job_project: place.job_project.clone(),
        mode: head.mode,
        cursor: head.cursor,
        key: rest.key,
        create: settings.create.unwrap_or(true),
        partitioning: rest.partitioning,
        partition_immutable: rest.partition_immutable,
        cluster_by: rest.cluster_by,
        columns: rest.columns,
        filter: rest.filter,
        max_rejects: settings.columns.max_rejects(),
        schema: settings.columns.schema(merging),
        deletes: rest.deletes,
        limits: settings.limits(),
        lag: settings.lag.unwrap_or(LAG_DEFAULT),
        max_hold: settings.max_hold.unwrap_or(MAX_HOLD_DEFAULT),
        // inherited ones are for the tables that can have them
        lookback: settings.lookback.filter(|_| merging).unwrap_or_default(),
        null_cursor: settings.null_cursor.filter(|_| merging).unwrap_or_default(),
        schedule: settings.schedule(),
        backfill_start: settings.backfill_start.flatten().filter(|_| head.mode != Mode::Replace),
        cursor_timezone: settings.cursor_timezone.or(naive_zone).unwrap_or_else(|| "UTC".to_owned()),
    }
}

/// Settings that the entry itself says and that its mode has no use for; inherited ones are for the tables that have.
fn refuse_misfits(map: &Map<'_>, own: &Defaults, own_cursor: bool, mode: Mode) {
    let (own_lookback, own_nulls, own_backfills) = (own.lookback, own.null_cursor, own.columns.backfills());
    if mode == Mode::Replace && own_cursor {
        map.fault(
            Code::ConfigConflict,
            "cursor",
            "`mode: replace` reads the whole table each time and has no cursor; remove one of them",
        );
    }
    if mode == Mode::Replace && own.backfill_start.as_ref().is_some_and(Option::is_some) {
        map.fault(
            Code::ConfigConflict,
            "backfill_start",
            "`mode: replace` reads the whole table each time; remove one of them",
        );
    }
    if mode != Mode::Merge && own_lookback.is_some_and(|lookback| !lookback.is_zero()) {
        map.fault(Code::ConfigConflict, "lookback", "rows are read again only in `mode: merge`; remove one of them");
    }
    if mode != Mode::Merge && own_nulls == Some(NullCursor::Include) {
        map.fault(
            Code::ConfigConflict,
            "null_cursor",
            "`include` syncs such rows on each run, which only `mode: merge` can; remove one of them",
        );
    }
    if mode != Mode::Merge && own_backfills {
        map.fault(
            Code::ConfigConflict,
            "schema",
            "`backfill_added` reads rows again, which only `mode: merge` can; remove one of them",
        );
    }
    own.deletes.check(map, mode, own.columns.metadata());
}

/// Whether the partition column is promised never to change. What is inherited is for the tables that can have it.
fn promised(map: &Map<'_>, own: Option<bool>, rest: &Rest, settings: &Defaults, mode: Mode) -> bool {
    let column = rest.partitioning.as_ref().map(WantedPartitioning::column);
    match own {
        Some(true) if mode != Mode::Merge => {
            let code = Code::ConfigConflict;
            map.fault(
                code,
                "partition_immutable",
                "only `mode: merge` looks for rows in the target; remove one of them",
            );
        }
        Some(true) if column.is_none() && !map.has("partition_by") => {
            let missing = "it is about the column of `partition_by`, which is missing; add that, or remove this";
            map.fault(Code::ConfigConflict, "partition_immutable", missing);
        }
        Some(_) => {}
        None if column == settings.cursor.as_deref() => return false,
        None => {}
    }
    settings.partition_immutable.unwrap_or(false) && mode == Mode::Merge && column.is_some()
}

/// `target`: a name, or for a pattern a template.
fn read_target(map: &mut Map<'_>, many: bool) -> Option<(Option<String>, TargetRule)> {
    map.optional("target", |text| {
        let (dataset, table) = match text.split_once('.') {
            Some((dataset, table)) => (Some(scalar::dataset(dataset)?), table),
            None => (None, text),
        };
        let rule = if many { TargetRule::parse(table)? } else { TargetRule::Template(scalar::table(table)?) };
        Ok((dataset, rule))
    })
}

fn read_name(map: &Map<'_>, key: &Placed<&str>, schema: Option<&str>) -> Option<Name> {
    let fault = |problem: &str| map.fault_at(Code::ConfigValue, key.place, "", problem);
    let name = key.value.parse().map_err(|problem| fault(&format!("{problem}"))).ok()?;
    if pattern::is_pattern(key.value) {
        return pattern::name_pattern(key.value)
            .map_err(|problem| fault(&problem))
            .ok()
            .map(|read| Name::Pattern(name, read));
    }
    source_table(key.value, schema).map_err(fault).ok().map(|table| Name::Table(name, table))
}

/// The table that a name means; `schema` is that of names without one.
pub(super) fn source_table(name: &str, schema: Option<&str>) -> Result<SourceTable, &'static str> {
    let parts = split_name(name)
        .ok_or("is not a table's name; say `table` or `schema.table`, names with a dot in double quotes")?;
    let mut parts = parts.into_iter().map(|(part, _quoted)| part);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => Ok(SourceTable { schema: schema.map(str::to_owned), name }),
        (Some(schema), Some(name), None) => Ok(SourceTable { schema: Some(schema), name }),
        _ => Err("has more than two parts; say `table` or `schema.table`, names with a dot in double quotes"),
    }
}

/// `a."b.c"` into its parts, each with whether it was quoted; `None` if quotes do not match or a part is empty.
pub(super) fn split_name(text: &str) -> Option<Vec<(String, bool)>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, quoted) = if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"')?;
            rest = &quoted[end + 1..];
            (quoted[..end].to_owned(), true)
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let part = rest[..end].to_owned();
            rest = &rest[end..];
            (part, false)
        };
        if part.is_empty() || part.contains('"') {
            return None;
        }
        parts.push((part, quoted));
        if rest.is_empty() {
            return Some(parts);
        }
        rest = rest.strip_prefix('.')?;
    }
}

/// Whether it names a table: `table` or `schema.table`.
pub(super) fn is_name(text: &str) -> bool {
    text.parse::<crate::model::TableName>().is_ok() && split_name(text).is_some_and(|parts| parts.len() <= 2)
}

/// The target of a table that is named with its schema: `schema__table`; `None` if it is not.
pub(super) fn joined_target(name: &str) -> Option<String> {
    match split_name(name)?.as_slice() {
        [(schema, _), (table, _)] => {
            let (schema, name) = (Some(schema.clone()), table.clone());
            Some(SourceTable { schema, name }.target_name(None))
        }
        _ => None,
    }
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
            section.fault(Code::ConfigConflict, "unit", "a range has no unit; remove it or start, end and interval");
            None
        }
        (Some(start), Some(end), Some(interval)) if start < end && interval > 0 => {
            column.map(|column| WantedPartitioning::Range { column, start, end, interval })
        }
        (Some(_), Some(_), Some(_)) => {
            section.fault(Code::ConfigValue, "", "`start` must be below `end` and `interval` above 0");
            None
        }
        _ => {
            section.fault(Code::ConfigMissing, "", "a range needs `start`, `end` and `interval`; say all three");
            None
        }
    };
    section.finish();
    result
}
