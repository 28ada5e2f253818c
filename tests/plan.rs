//! `highwater plan` and `sync --dry-run`: what they tell is what a run then does, and they write nothing anywhere.

use highwater::report::{Outcome, RunReport};
use serde_json::Value;

use crate::drift::leave_pending;
use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};

pub fn tests() -> Vec<Test> {
    served_tests![
        postgres_is_told_which_index_to_make,
        mariadb_is_told_which_index_to_make,
        an_index_on_a_partitioned_table_is_advised_as_the_server_takes_it,
        columns_and_changes_are_those_of_the_run,
        a_difference_that_stops_a_run_is_told_as_by_the_run,
        a_pending_intent_is_told_and_left,
        a_dry_run_counts_what_a_run_of_postgres_counts,
        a_dry_run_counts_what_a_run_of_mariadb_counts,
        cost_quota_and_past_runs,
    ]
}

/// All that could be written.
#[derive(Debug, PartialEq)]
struct Everything {
    objects: Vec<(String, Option<String>)>,
    tables: Vec<(String, Value)>,
    datasets: String,
    pg: Rows,
    my: Rows,
}

impl Everything {
    async fn of(place: &Place) -> Self {
        let mut objects = Vec::new();
        for name in place.objects("").await {
            let text = place.text(&name).await;
            objects.push((name, text));
        }
        let mut tables = Vec::new();
        for name in place.tables().await {
            let table = place.table(&name).await;
            tables.push((name, table));
        }
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/bigquery/v2/projects/demo/datasets/{}", place.gate.url, place.name);
        let datasets = client.get(url).send().await.unwrap().text().await.unwrap();
        let pg = "SELECT relname::text, (n_tup_ins + n_tup_upd + n_tup_del)::text FROM pg_stat_user_tables ORDER BY 1";
        let my = "SELECT TABLE_NAME, CAST(UPDATE_TIME AS CHAR) FROM information_schema.tables WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1";
        Self { objects, tables, datasets, pg: place.pg_rows(pg).await, my: place.my_rows(my).await }
    }
}

/// Runs a command that must write nothing; what it printed as JSON, a line each.
async fn dry(place: &Place, code: i32, args: &[&str]) -> Vec<Value> {
    let before = Everything::of(place).await;
    let asked = place.gate.seen().len();
    let ran = place.run(args).await;
    assert_eq!(ran.code, code, "{}\n{}", ran.stdout, ran.stderr);
    let writes =
        |seen: &&crate::support::gate::Seen| seen.method != "GET" && seen.body["configuration"]["dryRun"] != true;
    let seen = place.gate.seen();
    let writes: Vec<_> = seen[asked..].iter().filter(writes).map(|seen| (&seen.method, &seen.path)).collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert_eq!(Everything::of(place).await, before);
    ran.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn plan(place: &Place, code: i32, table: &str) -> Value {
    dry(place, code, &["plan", "--json", table]).await.remove(0)
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

async fn postgres_is_told_which_index_to_make() {
    let place = Place::new().await;
    place
        .pg("CREATE SCHEMA \"Odd s\"; CREATE TABLE \"Odd s\".\"big t\" (id bigint PRIMARY KEY, \"changed At\" timestamptz NOT NULL, v text);
             INSERT INTO \"Odd s\".\"big t\" SELECT i, '2024-01-01'::timestamptz + i * interval '1 s', 'v' FROM generate_series(1, 60000) i;
             ANALYZE \"Odd s\".\"big t\";
             CREATE TABLE small (id int PRIMARY KEY, u timestamptz NOT NULL); CREATE INDEX ON small (u, id);
             INSERT INTO small VALUES (1, '2024-01-01'), (2, '2024-01-02'); ANALYZE small;
             CREATE TABLE bare (id int PRIMARY KEY, u timestamptz NOT NULL); INSERT INTO bare VALUES (1, '2024-01-01')")
        .await;
    place.configure(
        &[
            "'Odd s.big t': { cursor: changed At, target: big, chunk_rows: 1000 }",
            "small: { cursor: u }",
            "bare: { cursor: u }",
        ],
        &[],
        "",
    );
    let told = plan(&place, 0, "pg/Odd s.big t").await;
    assert_eq!((&told["scan"]["served"], &told["next"]["kind"]), (&"unserved".into(), &"first_run".into()), "{told}");
    let sql = told["scan"]["create_index"].as_str().unwrap().to_owned();
    assert_eq!(sql, "CREATE INDEX CONCURRENTLY ON \"Odd s\".\"big t\" (\"changed At\", \"id\");");
    assert!(texts(&told["warnings"])[0].contains("no index serves the order (changed At, id)"), "{told}");
    let rows = told["amount"]["rows_estimate"].as_u64().unwrap();
    assert!((50_000..=70_000).contains(&rows), "{rows}");
    let human = place.run(&["plan", "pg/Odd s.big t"]).await;
    assert!(human.stdout.contains(&sql), "{}", human.stdout);
    for line in human.stdout.lines().filter(|line| !line.contains('`') && !line.contains("CREATE")) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    // what is printed is executed, and there is nothing more to say
    place.pg(&sql).await;
    place.pg("ANALYZE \"Odd s\".\"big t\"").await;
    let told = plan(&place, 0, "pg/Odd s.big t").await;
    assert_eq!((&told["scan"]["served"], texts(&told["warnings"])), (&"index".into(), vec![]), "{told}");
    assert!(told["scan"]["index"].as_str().unwrap().contains("idx"), "{told}");
    // of a small table the planner reads all rows, and an index fits
    let told = plan(&place, 0, "pg/small").await;
    assert_eq!((&told["scan"]["served"], texts(&told["warnings"])), (&"small".into(), vec![]), "{told}");
    let counted = dry(&place, 0, &["plan", "--json", "--count", "pg/small"]).await.remove(0);
    assert_eq!(counted["amount"]["rows_counted"], 2);
    // one that has none will grow
    let told = plan(&place, 0, "pg/bare").await;
    assert_eq!(told["scan"]["create_index"], "CREATE INDEX CONCURRENTLY ON \"public\".\"bare\" (\"u\", \"id\");");
}

async fn mariadb_is_told_which_index_to_make() {
    let place = Place::new().await;
    place
        .my("CREATE TABLE `big ``t` (id bigint PRIMARY KEY, u datetime(6) NOT NULL, v text);
             INSERT INTO `big ``t` SELECT seq, '2024-01-01' + INTERVAL seq SECOND, 'v' FROM seq_1_to_60000;
             ANALYZE TABLE `big ``t`;
             CREATE TABLE small (id int PRIMARY KEY, u datetime(6) NOT NULL, KEY (u)); INSERT INTO small VALUES (1, '2024-01-01'), (2, '2024-01-02');
             CREATE TABLE wordy (k text NOT NULL, u datetime(6) NOT NULL, UNIQUE (k(100))); INSERT INTO wordy VALUES ('a', '2024-01-01')")
        .await;
    place.configure(
        &[],
        &[
            "'big `t': { cursor: u, target: big, chunk_rows: 1000 }",
            "small: { cursor: u }",
            "wordy: { cursor: u, key: [k] }",
        ],
        "",
    );
    let told = plan(&place, 0, "my/big `t").await;
    assert_eq!(told["scan"]["served"], "unserved", "{told}");
    let sql = told["scan"]["create_index"].as_str().unwrap().to_owned();
    assert_eq!(sql, format!("CREATE INDEX highwater_cursor ON `{}`.`big ``t` (`u`, `id`);", place.name));
    let rows = told["amount"]["rows_estimate"].as_u64().unwrap();
    assert!((40_000..=80_000).contains(&rows), "{rows}");
    place.my(&sql).await;
    place.my("ANALYZE TABLE `big ``t`").await;
    let told = plan(&place, 0, "my/big `t").await;
    assert_eq!(
        (&told["scan"]["served"], &told["scan"]["index"]),
        (&"index".into(), &"highwater_cursor".into()),
        "{told}"
    );
    assert_eq!(texts(&told["warnings"]), Vec::<&str>::new());
    // InnoDB's index on u ends with the primary key
    let told = plan(&place, 0, "my/small").await;
    assert_eq!(texts(&told["warnings"]), Vec::<&str>::new(), "{told}");
    assert!(["small", "index"].contains(&told["scan"]["served"].as_str().unwrap()), "{told}");
    let counted = dry(&place, 0, &["plan", "--json", "--count", "my/small"]).await.remove(0);
    assert_eq!(counted["amount"]["rows_counted"], 2);
    // text has no whole value in an index: the statement names what it can, and the server takes it
    let told = plan(&place, 0, "my/wordy").await;
    let sql = told["scan"]["create_index"].as_str().unwrap();
    assert_eq!(sql, format!("CREATE INDEX highwater_cursor ON `{}`.`wordy` (`u`);", place.name));
    place.my(sql).await;
}

async fn an_index_on_a_partitioned_table_is_advised_as_the_server_takes_it() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE parts (id int, u timestamptz NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
             CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000000);
             INSERT INTO parts SELECT i, '2024-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 60000) i; ANALYZE parts;
             CREATE VIEW seen AS SELECT * FROM parts")
        .await;
    place.configure(&["parts: { cursor: u, chunk_rows: 1000 }", "seen: { cursor: u, key: [id] }"], &[], "");
    let told = plan(&place, 0, "pg/parts").await;
    let sql = told["scan"]["create_index"].as_str().unwrap();
    assert_eq!(sql, "CREATE INDEX ON \"public\".\"parts\" (\"u\", \"id\");");
    assert!(texts(&told["warnings"])[0].contains("nobody writes meanwhile"), "{told}");
    place.pg(sql).await;
    let told = plan(&place, 0, "pg/parts").await;
    assert_eq!((&told["scan"]["served"], texts(&told["warnings"])), (&"index".into(), vec![]), "{told}");
    let told = plan(&place, 0, "pg/seen").await;
    assert!(
        told["scan"]["create_index"].is_null() && texts(&told["warnings"])[0].contains("none can be made"),
        "{told}"
    );
}

async fn columns_and_changes_are_those_of_the_run() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL, \"two words\" text, n numeric, wide numeric(80, 2), secret text, mail text, tags text[]);
             COMMENT ON COLUMN t.id IS 'the key''s'; CREATE INDEX ON t (u, id);
             INSERT INTO t VALUES (1, '2024-01-01', 'x', 1.5, 7, 's', 'm', '{a}')")
        .await;
    let config = "t: { cursor: u, exclude_columns: [secret], hash: [mail], partition_by: u, cluster_by: [id] }";
    place.configure(&[config], &[], "defaults: { hash_salt: pepper }");
    let told = plan(&place, 0, "pg/t").await;
    let column = |name: &str| {
        let columns = told["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("{name}: {told}")).clone()
    };
    assert_eq!(texts(&told["left_out"]), ["secret"]);
    assert_eq!(column("two words")["target_name"], "two_words");
    assert!(texts(&column("two words")["changed"])[0].starts_with("the name becomes two_words"));
    assert_eq!(
        (&column("n")["target_type"], &column("n")["policy"], &column("n")["lossy"]),
        (&"BIGNUMERIC".into(), &"null".into(), &true.into())
    );
    assert!(texts(&column("n")["changed"])[0].ends_with("become NULL"), "{told}");
    assert_eq!((&column("wide")["target_type"], &column("wide")["lossy"]), (&"STRING".into(), &false.into()));
    assert!(texts(&column("mail")["changed"])[0].contains("SHA-256"), "{told}");
    assert_eq!((&column("id")["target_mode"], &column("id")["changed"]), (&"REQUIRED".into(), &Value::Null));
    assert!(texts(&column("tags")["changed"])[0].contains("JSON"), "{told}");
    let by: Vec<&str> =
        told["changes"].as_array().unwrap().iter().map(|change| change["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["datasets.insert", "tables.insert"]);
    let sql = told["changes"][1]["sql"].as_str().unwrap();
    for part in [
        "`id` INT64 NOT NULL OPTIONS(description='the key\\'s')",
        "PARTITION BY TIMESTAMP_TRUNC(`u`, DAY)",
        "CLUSTER BY `id`",
    ] {
        assert!(sql.contains(part), "{part}: {sql}");
    }
    place.sync(&["t"]).await;
    // the table that the run made has the columns that were told
    let made = place.table("t").await;
    let made: Vec<(&str, &str)> = made["schema"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["name"].as_str().unwrap(), field["type"].as_str().unwrap()))
        .collect();
    let short = |name: &str| if name == "INT64" { "INTEGER".to_owned() } else { name.to_owned() };
    let planned: Vec<(String, String)> = told["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| {
            (column["target_name"].as_str().unwrap().to_owned(), short(column["target_type"].as_str().unwrap()))
        })
        .collect();
    let made: Vec<(String, String)> = made.iter().map(|(name, ty)| ((*name).to_owned(), short(ty))).collect();
    assert_eq!(planned, made);
    let told = plan(&place, 0, "pg/t").await;
    assert_eq!((&told["changes"], &told["next"]["kind"]), (&Value::Array(vec![]), &"goes_on".into()), "{told}");
    // added, relaxed and widened
    place.pg("ALTER TABLE t ADD COLUMN extra date, ALTER COLUMN id TYPE numeric(20, 2)").await;
    let told = dry(&place, 0, &["plan", "--json", "--accept", "pg/t"]).await.remove(0);
    let sql: Vec<&str> =
        told["changes"].as_array().unwrap().iter().map(|change| change["sql"].as_str().unwrap()).collect();
    let table = format!("`demo`.`{}`.`t`", place.name);
    let wanted = [
        format!("ALTER TABLE {table} ADD COLUMN `extra` DATE"),
        format!("ALTER TABLE {table} ALTER COLUMN `id` DROP NOT NULL"),
        format!("ALTER TABLE {table} ALTER COLUMN `id` SET DATA TYPE NUMERIC"),
    ];
    assert_eq!(sql, wanted, "{told}");
}

async fn a_difference_that_stops_a_run_is_told_as_by_the_run() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL, v int); CREATE INDEX ON t (u, id); INSERT INTO t VALUES (1, '2024-01-01', 5);
             CREATE TABLE keyless (u timestamptz NOT NULL)")
        .await;
    place.my("CREATE TABLE fine (id int PRIMARY KEY, u datetime NOT NULL, KEY (u)); INSERT INTO fine VALUES (1, '2024-01-01')").await;
    place.configure(&["t: { cursor: u }", "keyless: { cursor: u }"], &["fine: { cursor: u }"], "");
    place.sync(&["pg/t"]).await;
    place.pg("ALTER TABLE t ALTER COLUMN v TYPE text USING v::text").await;
    let told = dry(&place, 1, &["plan", "--json", "--all"]).await;
    assert_eq!(told.len(), 3);
    let of = |table: &str| told.iter().find(|plan| plan["table"] == table).unwrap();
    assert!(of("fine")["error"].is_null() && of("fine")["scan"].is_object());
    let (drift, keyless) =
        (place.run(&["sync", "--json", "t"]).await.report(), place.run(&["sync", "--json", "keyless"]).await.report());
    for (table, report) in [("t", drift), ("keyless", keyless)] {
        let said = report.error.unwrap().message;
        assert_eq!(of(table)["error"]["message"], said.as_str());
    }
    // what can be told is told all the same
    assert_eq!(of("t")["columns"].as_array().unwrap().len(), 3);
    // a table that is built anew is told as that
    place.configure(&["t: { cursor: u, schema: { incompatible: rebuild } }"], &[], "");
    let told = plan(&place, 0, "pg/t").await;
    assert_eq!((&told["next"]["kind"], &told["next"]["from"]), (&"rebuilds".into(), &Value::Null), "{told}");
    let dry_run = dry(&place, 0, &["sync", "--json", "--dry-run", "pg/t"]).await.remove(0);
    let run = place.sync(&["pg/t"]).await.remove(0);
    assert_eq!((dry_run["rows"].as_u64(), &dry_run["outcome"]), (Some(run.rows), &"would_sync".into()));
}

async fn a_pending_intent_is_told_and_left() {
    let place = Place::new().await;
    place
        .my("CREATE TABLE t (id int PRIMARY KEY, u datetime NOT NULL, KEY (u)); INSERT INTO t VALUES (1, '2024-01-01')")
        .await;
    place.configure(&[], &["t: { cursor: u }"], "");
    place.sync(&["t"]).await;
    place.my("INSERT INTO t VALUES (2, '2024-01-02'), (3, '2024-01-03')").await;
    leave_pending(&place, "t").await;
    place.my("INSERT INTO t VALUES (4, '2024-01-04')").await;
    let told = plan(&place, 0, "t").await;
    let first = &told["next"]["finishes_first"];
    assert_eq!((&first["rows"], &first["lane"]), (&2.into(), &"live".into()), "{told}");
    // then it reads on from where the intent ends
    assert_eq!(told["next"]["from"], "2024-01-03T00:00:00", "{told}");
    let counted = dry(&place, 0, &["plan", "--json", "--count", "t"]).await.remove(0);
    assert_eq!(counted["amount"]["rows_counted"], 1);
    let dry_run = dry_report(&place, &["t"]).await;
    assert!(dry_run.notes.iter().any(|note| note.contains("1 pending intent")), "{:?}", dry_run.notes);
    let run = place.sync(&["t"]).await.remove(0);
    assert_same(&dry_run, &run);
    assert_eq!((run.recovered, run.rows), (1, 3));
    place.assert_clean().await;
}

async fn dry_report(place: &Place, args: &[&str]) -> RunReport {
    let printed = dry(place, 0, &[&["sync", "--json", "--dry-run"], args].concat()).await.remove(0);
    assert_eq!(printed["dry_run"], true);
    serde_json::from_value(printed).unwrap()
}

/// The dry run counted what the run then did.
fn assert_same(dry: &RunReport, run: &RunReport) {
    assert_eq!((dry.outcome, run.outcome), (Outcome::WouldSync, Outcome::Synced), "{dry:?}\n{run:?}");
    let counts = |report: &RunReport| {
        let moved = (report.rows, report.bytes, report.parts, report.chunks, report.recovered, report.rejected);
        (moved, report.findings.clone(), report.watermark_before.clone(), report.watermark_after.clone())
    };
    assert_eq!(counts(dry), counts(run));
    assert!(dry.jobs.is_empty() && dry.run_id.is_none() && dry.rejects.is_empty() && dry.fresh_as_of.is_none());
    assert!(!run.dry_run && run.staged_bytes.is_none());
}

async fn a_dry_run_counts_what_a_run_of_postgres_counts() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz, d date, n numeric); CREATE INDEX ON t (u, id);
             INSERT INTO t SELECT i, '2024-01-01'::timestamptz + i * interval '1 s', CASE WHEN i % 100 = 0 THEN 'infinity' ELSE '2024-01-01' END::date,
                           CASE WHEN i % 150 = 0 THEN 'NaN' ELSE '1.5' END::numeric FROM generate_series(1, 1000) i;
             INSERT INTO t VALUES (5000, NULL, NULL, 1)")
        .await;
    let config = "t: { cursor: u, chunk_rows: 300, null_cursor: include, lookback: 10s, unrepresentable: { columns: { n: reject } } }";
    place.configure(&[config], &[], "");
    let dry_run = dry_report(&place, &["pg/t", "--until-caught-up"]).await;
    // gzipped, and more than nothing
    let staged = dry_run.staged_bytes.unwrap();
    assert!(staged > 100 && staged < dry_run.bytes, "{staged} of {}", dry_run.bytes);
    let run = place.sync(&["pg/t", "--until-caught-up"]).await.remove(0);
    assert_same(&dry_run, &run);
    assert_eq!((run.rows, run.rejected, run.findings.len()), (995, 6, 2), "{run:?}");
    // nothing is new but what is read again
    let dry_run = dry_report(&place, &["pg/t"]).await;
    let run = place.sync(&["pg/t"]).await.remove(0);
    assert_same(&dry_run, &run);
    let human = place.run(&["sync", "--dry-run", "pg/t"]).await;
    assert!(human.stdout.contains("would_sync") && human.stdout.contains("nothing was written"), "{}", human.stdout);
}

async fn a_dry_run_counts_what_a_run_of_mariadb_counts() {
    let place = Place::new().await;
    place
        .my("CREATE TABLE t (id int PRIMARY KEY, u datetime(6) NOT NULL, b tinyint(1), KEY (u));
             INSERT INTO t SELECT seq, '2024-01-01' + INTERVAL seq SECOND, IF(seq % 10 = 0, 7, 1) FROM seq_1_to_700;
             CREATE TABLE whole (k varchar(9), n int); INSERT INTO whole VALUES ('a', 1), ('a', 1)")
        .await;
    place.configure(&[], &["t: { cursor: u, chunk_rows: 300 }", "whole: { mode: replace }"], "");
    for table in ["my/t", "my/whole"] {
        let dry_run = dry_report(&place, &[table]).await;
        let run = place.sync(&[table]).await.remove(0);
        assert_same(&dry_run, &run);
    }
    // up to date is up to date
    let dry_run = dry(&place, 0, &["sync", "--json", "--dry-run", "my/t"]).await.remove(0);
    assert_eq!((&dry_run["outcome"], &dry_run["rows"]), (&"up_to_date".into(), &0.into()));
    // tasks of a job write down which of them has what
    let mut env = place.env();
    env.extend([
        ("CLOUD_RUN_TASK_INDEX".to_owned(), "0".to_owned()),
        ("CLOUD_RUN_TASK_COUNT".to_owned(), "2".to_owned()),
    ]);
    let ran = crate::support::process::run(place.folder.path(), &env, &["sync", "--all", "--dry-run"]).await;
    assert!(ran.code == 2 && ran.stderr.contains("CLOUD_RUN_TASK_COUNT"), "{ran:?}");
}

async fn cost_quota_and_past_runs() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE t (id int PRIMARY KEY, u timestamptz NOT NULL, made date NOT NULL); CREATE INDEX ON t (u, id);
             INSERT INTO t SELECT i, '2024-01-01'::timestamptz + i * interval '1 s', '2024-01-01' FROM generate_series(1, 500) i;
             CREATE TABLE log (id int PRIMARY KEY)")
        .await;
    let tables = [
        "t: { cursor: u, partition_by: made, schedule: '*/10 * * * * *', chunk_rows: 100 }",
        "log: { cursor: id, mode: append }",
    ];
    place.configure(&tables, &[], "");
    let told = plan(&place, 0, "pg/t").await;
    assert!(told["cost"].is_null() && told["jobs"]["seconds_estimate"].is_null(), "{told}");
    let jobs = |told: &Value| {
        (told["jobs"]["chunks"].as_u64(), told["jobs"]["load_jobs"].as_u64(), told["jobs"]["merge_jobs"].as_u64())
    };
    let counted = dry(&place, 0, &["plan", "--json", "--count", "pg/t"]).await.remove(0);
    assert_eq!(
        (&counted["amount"]["rows_counted"], jobs(&counted)),
        (&500.into(), (Some(5), Some(5), Some(5))),
        "{counted}"
    );
    let quota = &told["quota"];
    assert_eq!((&quota["runs_per_day"], &quota["load_jobs_per_day"]), (&8640.into(), &8640.into()), "{quota}");
    assert_eq!(
        (&quota["project_limit_per_day"], &quota["load_jobs_into_target_per_day"]),
        (&100_000.into(), &0.into())
    );
    let run = place.sync(&["pg/t"]).await.remove(0);
    assert_eq!(run.chunks, 5);
    place.pg("INSERT INTO t SELECT i, '2024-02-01'::timestamptz + i * interval '1 s', '2024-01-01' FROM generate_series(501, 700) i").await;
    let told = dry(&place, 0, &["plan", "--json", "--count", "pg/t"]).await.remove(0);
    assert_eq!(
        (&told["amount"]["bytes_from"], &told["jobs"]["past_runs"], jobs(&told).0),
        (&"past_runs".into(), &1.into(), Some(2)),
        "{told}"
    );
    assert_eq!(told["amount"]["bytes_estimate"], run.bytes * 200 / run.rows);
    assert!(told["jobs"]["seconds_estimate"].as_f64().unwrap() > 0.0, "{told}");
    // the emulator's dry run tells no bytes, so the target's size is said to be the most
    let size: u64 = place.table("t").await["numBytes"].as_str().unwrap().parse().unwrap();
    let cost = &told["cost"];
    assert_eq!(
        (&cost["merge_bytes"], &cost["from"], &cost["at_most"]),
        (&size.into(), &"table_size".into(), &true.into()),
        "{cost}"
    );
    assert!(
        size > 0 && cost["merge_dollars"].as_f64().unwrap() > 0.0 && cost["advice"].as_str().unwrap().contains("made"),
        "{cost}"
    );
    // the MERGE was asked about, and where it looks at partitions alone, both ways
    let asked = |place: &Place| {
        let seen = place.gate.seen().into_iter().filter(|seen| seen.body["configuration"]["dryRun"] == true);
        let query = |seen: crate::support::gate::Seen| {
            seen.body["configuration"]["query"]["query"].as_str().unwrap_or_default().to_owned()
        };
        seen.map(query).collect::<Vec<_>>()
    };
    let merge = asked(&place).pop().unwrap();
    assert!(merge.starts_with("MERGE INTO") && !merge.contains("hw_staging") && !merge.contains("DATE '"), "{merge}");
    let promised = tables[0].replace("partition_by: made", "partition_by: made, partition_immutable: true");
    place.configure(&[&promised, tables[1]], &[], "");
    let told = plan(&place, 0, "pg/t").await;
    assert!(told["cost"]["advice"].is_null(), "{told}");
    let merges = asked(&place);
    let [.., whole, pruned] = merges.as_slice() else { panic!("{merges:?}") };
    assert!(!whole.contains("'2024-01-01'") && pruned.contains("'2024-01-01'"), "{whole}\n{pruned}");
    let told = plan(&place, 0, "pg/log").await;
    assert!(texts(&told["notes"]).iter().any(|note| note.contains("appended by INSERT")), "{told}");
}
