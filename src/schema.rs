//! The JSON Schema of the configuration, for editors: generated from the types below, which say which keys there are,
//! what they mean and what they hold. Pure.
//!
//! The reader (`config`) decides what a file means; it takes more than a schema can tell, such as `${NAME}` in place of
//! every value. Tests hold its keys and defaults and these together. `default` is a value of the key's, `x-default` says
//! in words what has no value; `scripts/reference.py` makes docs/configuration.md of both.

#![expect(dead_code, reason = "nothing reads the fields: only their schema is used")]

mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use self::values::{
    Bool, BqTypeName, Duration, Events, Fraction, Incompatible, Login, Mode, NaiveKind, NullCursor, Number, NumericAs,
    Policy, Removal, Scalar, Size, Texts, TlsMode, Unit,
};
use crate::model::{ChunkBytes, ChunkRows, GzipLevel, MaxRejects, Parallel, PartBytes};

/// The schema, draft 7, which every editor knows.
pub fn schema() -> Value {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Configuration>();
    schema.to_value()
}

/// The schema as it is printed, and as `docs/highwater.schema.json` has it.
pub fn text() -> String {
    format!("{:#}\n", schema())
}

/// The configuration of Highwater: `highwater.yaml`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "highwater.yaml")]
struct Configuration {
    /// Google Cloud project of the targets.
    #[schemars(example = &"${GCP_PROJECT_ID}")]
    project: Scalar,
    /// Project that the BigQuery jobs run in; `project` by default.
    #[schemars(example = &"acme-jobs", extend("x-default" = "`project`"))]
    job_project: Option<Scalar>,
    /// Dataset of the targets; created when missing.
    #[schemars(example = &"analytics")]
    dataset: Scalar,
    /// BigQuery location of dataset and jobs; `US` by default.
    #[schemars(example = &"EU", extend("default" = "US"))]
    location: Option<Scalar>,
    /// Bucket for state and parts.
    #[schemars(example = &"acme-highwater")]
    bucket: Scalar,
    /// Where the state lies: `gs://bucket/path`, or a folder such as `./state`, for a machine of one's own (on Cloud Run a
    /// folder is refused); in `bucket` by default.
    #[schemars(example = &"gs://acme-highwater-state/sync", example = &"./state", extend("x-default" = "in `bucket`"))]
    state: Option<Scalar>,
    /// Path in the bucket below which everything lies; the whole bucket without it.
    #[schemars(example = &"highwater")]
    prefix: Option<Scalar>,
    /// Tables that `sync` runs side by side; 4 by default.
    #[schemars(extend("default" = 4))]
    parallel: Option<Size<{ Parallel::MIN }, { Parallel::MAX }>>,
    /// The service.
    #[schemars(example = json!({"run_budget": "9m", "max_concurrent_runs": 16}))]
    server: Option<Server>,
    /// Who may call the service; without it everybody who reaches it.
    auth: Option<Auth>,
    /// What is kept of runs.
    #[schemars(example = json!({"dataset": "_highwater", "days": 365}))]
    reports: Option<Reports>,
    /// Who is told of troubles.
    #[schemars(example = json!([{"webhook": "${SLACK_URL}"}]))]
    notify: Option<Notify>,
    /// Who is told which tables became which, in the form of OpenLineage.
    lineage: Option<Lineage>,
    /// Settings of every table that does not say otherwise.
    #[schemars(example = json!({"schedule": "*/5 * * * *"}))]
    defaults: Option<Shared>,
    /// The databases, by names of one's own.
    #[schemars(extend("minProperties" = 1))]
    sources: BTreeMap<String, Source>,
}

/// Settings of the service.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Server {
    /// Where `serve` listens; the variable `PORT` wins. 8080 by default.
    #[schemars(extend("default" = 8080))]
    listen_port: Option<Number<1, 65_535>>,
    /// The most time of one run, 1s to 168h; 9m by default.
    #[schemars(extend("default" = "9m"))]
    run_budget: Option<Duration>,
    /// The most runs at once; beyond it requests are answered with 429. 16 by default.
    #[schemars(extend("default" = 16))]
    max_concurrent_runs: Option<Number<1, 1_000>>,
}

/// Who may call the service: the accounts whose identity tokens it takes.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Auth {
    /// What tokens are made for, one or several: mostly the service's address.
    #[schemars(example = &"https://highwater-abc-ew.a.run.app")]
    audience: Texts,
    /// The accounts that may call.
    #[schemars(example = &"highwater-invoker@acme.iam.gserviceaccount.com")]
    invokers: Texts,
    /// Where the keys are that tokens are signed with, as a JSON Web Key Set, by https, or http on loopback; Google's by
    /// default.
    #[schemars(extend("default" = "https://www.googleapis.com/oauth2/v3/certs"))]
    keys_url: Option<Scalar>,
}

/// What is kept of runs, besides their reports on the bucket.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Reports {
    /// Whether runs become rows of a table in BigQuery; true by default.
    #[schemars(extend("default" = true))]
    bigquery: Option<Bool>,
    /// The dataset of that table; created when missing. `_highwater` by default.
    #[schemars(extend("default" = "_highwater"))]
    dataset: Option<Scalar>,
    /// How often, at the most, runs are loaded, 1m to 24h; 10m by default.
    #[schemars(extend("default" = "10m"))]
    every: Option<Duration>,
    /// For how many days a row is kept; 90 by default.
    #[schemars(extend("default" = 90))]
    days: Option<Number<1, 3_650>>,
}

/// Where events of OpenLineage go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Lineage {
    /// The address that takes events, path included.
    #[schemars(example = &"https://marquez.example.com/api/v1/lineage")]
    url: Scalar,
    /// The namespace of the jobs; `highwater` by default.
    #[schemars(extend("default" = "highwater"))]
    job_namespace: Option<Scalar>,
    /// A token or API key that is sent along, as `Authorization: Bearer`.
    #[schemars(example = &"${OPENLINEAGE_API_KEY}")]
    token: Option<Scalar>,
    /// The most time for one event, 1s to 30s; 5s by default.
    #[schemars(extend("default" = "5s"))]
    timeout: Option<Duration>,
}

/// Who is told of troubles: hooks, or hooks with how patient they are.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Notify {
    /// Who is told.
    Hooks(Vec<Hook>),
    /// Who is told, and when.
    Told(Told),
}

/// Who is told, and when.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Told {
    /// Who is told.
    #[schemars(example = json!([{"webhook": "${SLACK_URL}"}, {"pubsub": "projects/acme/topics/highwater"}]))]
    hooks: Option<Vec<Hook>>,
    /// How long a failure that can pass must last before it is told; 15m by default.
    #[schemars(extend("default" = "15m"))]
    patience: Option<Duration>,
    /// How often a failure that lasts is told again; 24h by default.
    #[schemars(extend("default" = "24h"))]
    remind: Option<Duration>,
}

/// One who is told: an address, and of what.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{"required": ["webhook"]}, {"required": ["pubsub"]}]))]
struct Hook {
    /// A url that a JSON object is posted to.
    #[schemars(example = &"${SLACK_URL}")]
    webhook: Option<Scalar>,
    /// A Pub/Sub topic.
    #[schemars(example = &"projects/acme/topics/highwater-troubles")]
    pubsub: Option<Scalar>,
    /// Of what; of everything by default.
    #[schemars(example = json!(["failure", "drift"]), extend("x-default" = "all three"))]
    on: Option<Events>,
}

/// A database and its tables.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Source {
    /// Where it is: `postgres://user:password@host:5432/database` or `mysql://…`; `?host=/cloudsql/…` (PostgreSQL) or
    /// `?socket=/path` (MySQL) for Unix sockets.
    #[schemars(example = &"postgres://reader:${FINANCE_PASSWORD}@10.0.0.5:5432/finance")]
    url: Scalar,
    /// How it is logged in: `password`, or `iam` by a token of the Google identity. `password` by default.
    #[schemars(extend("default" = "password"))]
    login: Option<Login>,
    /// The password; it wins over the url's.
    #[schemars(example = &"${FINANCE_PASSWORD}")]
    password: Option<Scalar>,
    /// How the connection is encrypted; `verify-full` by default, `disable` for loopback addresses and Unix sockets.
    #[schemars(example = json!({"mode": "verify-ca", "ca": "/secrets/finance-ca.pem"}), extend("x-default" = "see `tls.mode`"))]
    tls: Option<Tls>,
    /// Dataset of this source's targets.
    #[schemars(example = &"finance_raw", extend("x-default" = "the `dataset` at the top"))]
    dataset: Option<Scalar>,
    /// PostgreSQL schema of tables named without one; `public` by default.
    #[schemars(example = &"sales", extend("default" = "public"))]
    schema: Option<Scalar>,
    /// Settings of every table of this source that does not say otherwise.
    defaults: Option<Shared>,
    /// Patterns of which one must mean a table that a pattern of `tables` means.
    #[schemars(example = &"sales.*", extend("x-default" = "all"))]
    include: Option<Texts>,
    /// Patterns of which none may mean a table that a pattern of `tables` means.
    #[schemars(example = json!(["tmp_*", "sales.secret_*"]), extend("x-default" = "none"))]
    exclude: Option<Texts>,
    /// Whether patterns match views; a pattern's own `views` wins. False by default.
    #[schemars(extend("default" = false))]
    views: Option<Bool>,
    /// The tables, as `table` or `schema.table`, or patterns of them; a part with a dot, or that is no pattern, stands in
    /// double quotes.
    #[schemars(extend("minProperties" = 1), example = json!({"invoices": {"cursor": "updated_at"}, "audit_*": {"mode": "append", "cursor": "id"}}))]
    tables: BTreeMap<String, Option<Table>>,
}

/// How a connection is encrypted.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tls {
    /// What is verified.
    #[schemars(extend("x-default" = "`verify-full`; `disable` for loopback addresses and Unix sockets"))]
    mode: Option<TlsMode>,
    /// A file of certificate authorities that are trusted beside the system's, PEM.
    #[schemars(example = &"/secrets/finance-ca.pem", extend("x-default" = "the system's"))]
    ca: Option<Scalar>,
    /// A client's certificate, PEM.
    #[schemars(example = &"/secrets/client.pem")]
    cert: Option<Scalar>,
    /// Its key, PEM.
    #[schemars(example = &"/secrets/client-key.pem")]
    key: Option<Scalar>,
}

/// Settings that tables share.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Shared {
    #[schemars(flatten)]
    inherited: Inherited,
}

/// A table's settings, or those of the tables that a pattern means.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Table {
    #[schemars(flatten)]
    inherited: Inherited,
    /// The column or columns that identify a row; the primary key by default.
    #[schemars(example = json!(["tenant", "id"]), extend("x-default" = "the primary key"))]
    key: Option<Texts>,
    /// `[dataset.]table` in BigQuery; the table's name by default, `schema__table` where it is named with its schema. For a
    /// pattern a template with `{table}` and `{schema}`.
    #[schemars(example = &"finance.invoices", extend("x-default" = "the table's name"))]
    target: Option<Scalar>,
    /// Whether the pattern matches views.
    #[schemars(extend("x-default" = "the source's `views`"))]
    views: Option<Bool>,
    /// A date or time column, or how it is divided.
    #[schemars(example = &"created_at", example = json!({"column": "created_at", "unit": "month"}), example = json!({"column": "id", "start": 0, "end": 1_000_000, "interval": 10_000}), extend("x-default" = "not divided"))]
    partition_by: Option<PartitionBy>,
    /// Up to 4 columns that the target is clustered by.
    #[schemars(example = json!(["customer_id"]), extend("x-default" = "not clustered"))]
    cluster_by: Option<Texts>,
    /// The only columns that are synced.
    #[schemars(example = json!(["id", "total", "updated_at"]), extend("x-default" = "all"))]
    columns: Option<Texts>,
    /// Columns that are not synced.
    #[schemars(example = json!(["notes"]), extend("x-default" = "none"))]
    exclude_columns: Option<Texts>,
    /// What columns become instead of their own type.
    #[schemars(example = json!({"total": "FLOAT64", "tags": "ARRAY<STRING>"}), extend("x-default" = "[as types.md says](types.md)"))]
    types: Option<BTreeMap<String, BqTypeName>>,
    /// Columns of which only `SHA256(CONCAT(salt, value))`, in hexadecimal, is synced.
    #[schemars(example = json!(["email"]), extend("x-default" = "none"))]
    hash: Option<Texts>,
    /// A condition in the source's SQL that rows must meet; checked by EXPLAIN before rows are read.
    #[schemars(example = &"tenant <> 'test'", extend("x-default" = "all rows"))]
    r#where: Option<Scalar>,
}

/// What a table may inherit.
#[derive(JsonSchema)]
struct Inherited {
    /// How chunks reach the target: `merge` by key, `append`, or `replace` the whole. `merge` by default.
    #[schemars(extend("default" = "merge"))]
    mode: Option<Mode>,
    /// The column whose value grows when a row changes; for a pattern perhaps a list to choose from. Not in `replace`.
    #[schemars(example = &"updated_at")]
    cursor: Option<Texts>,
    /// `false` creates no target: a run whose target does not exist stops and says so. True by default.
    #[schemars(extend("default" = true))]
    create: Option<Bool>,
    /// A promise: the value of the column of `partition_by` never changes in a row, not even if the row is deleted and inserted
    /// again. Then a merge looks at the partitions of its rows alone, which is all that BigQuery bills (`merge`); false by
    /// default. Checked by the catalog, and by a sample once a day.
    #[schemars(extend("default" = false))]
    partition_immutable: Option<Bool>,
    /// The most rows of a chunk; 250000 by default.
    #[schemars(extend("default" = 250_000))]
    chunk_rows: Option<Size<{ ChunkRows::MIN }, { ChunkRows::MAX }>>,
    /// The most NDJSON bytes of a chunk; 1 GiB by default.
    #[schemars(extend("default" = "1 GiB"))]
    chunk_bytes: Option<Size<{ ChunkBytes::MIN }, { ChunkBytes::MAX }>>,
    /// The most compressed bytes of a part; 8 MiB by default.
    #[schemars(extend("default" = "8 MiB"))]
    part_bytes: Option<Size<{ PartBytes::MIN }, { PartBytes::MAX }>>,
    /// How hard parts are compressed; 0 sends plain parts, 1 is the default.
    #[schemars(extend("default" = 1))]
    gzip_level: Option<Size<{ GzipLevel::MIN }, { GzipLevel::MAX }>>,
    /// How far behind the clock it is safe to read where other sessions cannot be seen; 60s by default.
    #[schemars(extend("default" = "60s"))]
    lag: Option<Duration>,
    /// How long an open transaction may hold the ceiling; beyond it `merge` goes past and reads its interval again later. 1h by
    /// default.
    #[schemars(extend("default" = "1h"))]
    max_hold: Option<Duration>,
    /// Each run reads this much below the watermark again (`merge`); 0s by default.
    #[schemars(example = &"10m", extend("default" = "0s"))]
    lookback: Option<Duration>,
    /// Rows with a NULL cursor: `report` counts them, `include` syncs them on each run (`merge`).
    #[schemars(extend("default" = "report"))]
    null_cursor: Option<NullCursor>,
    /// Zone in which cursors without a zone are written; that of `naive_timestamps` by default, else `UTC`.
    #[schemars(example = &"Europe/Berlin", extend("x-default" = "that of `naive_timestamps`, else `UTC`"))]
    cursor_timezone: Option<Scalar>,
    /// The first run of the table begins with this cursor value: a date, a time or a number; `none` takes an inherited one away
    /// (`merge`, `append`).
    #[schemars(example = &"2024-01-01", extend("x-default" = "the first row"))]
    backfill_start: Option<Scalar>,
    /// When `highwater schedule`, or Cloud Scheduler by Terraform, runs it: a cron expression; `none` takes an inherited one
    /// away.
    #[schemars(example = &"*/5 * * * *")]
    schedule: Option<Scalar>,
    /// Zone that `schedule` is read in; `UTC` by default.
    #[schemars(example = &"Europe/Berlin", extend("default" = "UTC"))]
    schedule_timezone: Option<Scalar>,
    /// What is done with values that the type cannot hold, for all columns or per column; `null` by default.
    #[schemars(example = &"reject", example = json!({"default": "null", "columns": {"total": "fail"}}), extend("x-default" = "`null`"))]
    unrepresentable: Option<Unrepresentable>,
    /// The most rows of a run that may be rejected; one more fails the run. 1000 by default.
    #[schemars(extend("default" = 1000))]
    max_rejects: Option<Size<{ MaxRejects::MIN }, { MaxRejects::MAX }>>,
    /// What timestamps without a zone become; `datetime` by default.
    #[schemars(example = json!({"as": "timestamp", "timezone": "Europe/Berlin"}), extend("default" = "datetime"))]
    naive_timestamps: Option<NaiveTimestamps>,
    /// What a PostgreSQL `numeric` without precision becomes; `bignumeric` by default.
    #[schemars(extend("default" = "bignumeric"))]
    numeric: Option<NumericAs>,
    /// What PostgreSQL's arrays become; `json` by default.
    #[schemars(extend("default" = "json"))]
    arrays: Option<values::ArraysAs>,
    /// Adds `_synced_at`, when a row was last written, and `_deleted_at`; false by default.
    #[schemars(extend("default" = false))]
    metadata_columns: Option<Bool>,
    /// The salt of `hash`.
    #[schemars(example = &"${HASH_SALT}")]
    hash_salt: Option<Scalar>,
    /// What becomes of rows that are gone at the source (`merge`); `none` by default.
    #[schemars(example = &"soft", example = json!({"mode": "hard", "every": "6h"}), extend("default" = "none"))]
    deletes: Option<Deletes>,
    /// The greatest part of the target's rows that may go at once; 0.2 by default.
    #[schemars(extend("default" = 0.2))]
    max_delete_fraction: Option<Fraction>,
    /// What is done when the source's columns change.
    #[schemars(example = json!({"backfill_added": true, "incompatible": "rebuild"}))]
    schema: Option<SchemaChanges>,
}

/// A policy for all columns, or one per column.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Unrepresentable {
    /// For all columns.
    All(Policy),
    /// Per column.
    PerColumn(Policies),
}

/// Policies per column.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Policies {
    /// For columns that are not named.
    #[schemars(extend("x-default" = "`null`"))]
    default: Option<Policy>,
    /// For those that are.
    #[schemars(example = json!({"total": "fail"}))]
    columns: Option<BTreeMap<String, Option<Policy>>>,
}

/// What timestamps without a zone become.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum NaiveTimestamps {
    /// A type.
    Kind(NaiveKind),
    /// A type and the zone that they are written in.
    Zoned(Zoned),
}

/// A type and a zone.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Zoned {
    /// The type.
    r#as: NaiveKind,
    /// The zone that the values are written in; `timestamp` needs it.
    #[schemars(example = &"Europe/Berlin")]
    timezone: Option<Scalar>,
}

/// What becomes of rows that are gone at the source.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Deletes {
    /// What.
    Removal(Removal),
    /// What, and how often is looked.
    Every(DeletesEvery),
}

/// What becomes of rows that are gone, and how often is looked.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct DeletesEvery {
    /// What becomes of them.
    mode: Removal,
    /// How often is looked; `0s` looks in each run, 24h is the default.
    #[schemars(extend("default" = "24h"))]
    every: Option<Duration>,
}

/// What is done when the source's columns change.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SchemaChanges {
    /// Whether new columns are added; true by default.
    #[schemars(extend("default" = true))]
    add: Option<Bool>,
    /// Whether rows are read again where columns were added (`merge`); false by default.
    #[schemars(extend("default" = false))]
    backfill_added: Option<Bool>,
    /// What a change does that the target cannot follow; `fail` by default.
    #[schemars(extend("default" = "fail"))]
    incompatible: Option<Incompatible>,
}

/// A column, or a column and how it is divided.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum PartitionBy {
    /// A date or time column, by day.
    Column(Scalar),
    /// How it is divided.
    Divided(Divided),
}

/// How a target is divided: by time, or by ranges of a whole number.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Divided {
    /// The column.
    #[schemars(example = &"created_at")]
    column: Scalar,
    /// By which time; `day` by default.
    #[schemars(extend("default" = "day"))]
    unit: Option<Unit>,
    /// The least number.
    start: Option<values::Integer>,
    /// The number above the greatest.
    end: Option<values::Integer>,
    /// How many numbers a partition has.
    interval: Option<values::Integer>,
}

#[cfg(test)]
mod tests;
