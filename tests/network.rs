//! Bad networks: a wire between Highwater and each of its peers breaks in every way that wires do. A run either comes
//! through exactly, or ends within its budget as worth trying again and says what it tried, how often and how long; the
//! run after the wire is mended comes through exactly.

mod tenth;
mod tokens;

use std::time::{Duration, Instant};

use crate::served_tests;
use crate::support::Test;
use crate::support::calls::{Call, Calls, Fault};
use crate::support::place::{Place, Rows};
use crate::support::process::{self, Ran};
use crate::support::wire::{Break, Fate, From, Wire};

pub fn tests() -> Vec<Test> {
    let mut tests = served_tests![
        postgres_breaks_before_a_word,
        postgres_breaks_amid_rows,
        mariadb_breaks_before_a_word,
        mariadb_breaks_amid_rows,
        cloud_storage_connections_break,
        cloud_storage_answers_are_not_its_own,
        cloud_storage_is_busy,
        bigquery_connections_break,
        bigquery_answers_are_not_its_own,
        bigquery_is_busy,
        retry_after_is_heeded_within_bounds,
    ];
    tests.extend(tokens::tests());
    tests.extend(tenth::tests());
    tests
}

/// Seconds of a run's time where the wire stays broken.
const BUDGET_BROKEN: u64 = 8;
/// Where one silence may cost half of it. On a busy machine the rest may not do for all that is left.
const BUDGET_SILENT: u64 = 16;
/// Where the wire is good, or bad now and then: emulators on a busy machine need their time.
const BUDGET_GOOD: u64 = 60;
/// The most calls of a run that is answered never: the state and the leftovers are asked for at once, each ten times.
const CALLS_MAX: u64 = 20;
/// What a process needs besides its run's time: to start, and to end.
const SLACK: Duration = Duration::from_secs(5);

/// A place whose peers are all behind wires.
struct Net {
    place: Place,
    pg: Wire,
    my: Wire,
    storage: Calls,
    bigquery: Calls,
    /// The configuration, but for the run's time.
    config: String,
}

impl Net {
    async fn new() -> Self {
        let place = Place::new().await;
        let (pg, my) = (Wire::open(place.stack.postgres.port).await, Wire::open(place.stack.mysql.port).await);
        let (storage, bigquery) = (Calls::open(&place.valve.url).await, Calls::open(&place.gate.url).await);
        Self { place, pg, my, storage, bigquery, config: String::new() }
    }

    /// As [`Place::configure`], through the wires.
    fn configure(&mut self, pg: &[String], my: &[String]) {
        let (pg, my): (Vec<&str>, Vec<&str>) =
            (pg.iter().map(String::as_str).collect(), my.iter().map(String::as_str).collect());
        let path = self.place.configure(&pg, &my, "server: { run_budget: BUDGETs }");
        let text = std::fs::read_to_string(&path).unwrap();
        let (direct_pg, direct_my) = (self.place.stack.postgres.port, self.place.stack.mysql.port);
        let text = text.replace(&format!("127.0.0.1:{direct_pg}/"), &format!("127.0.0.1:{}/", self.pg.port));
        self.config = text.replace(&format!("127.0.0.1:{direct_my}/"), &format!("127.0.0.1:{}/", self.my.port));
    }

    fn env(&self) -> Vec<(String, String)> {
        vec![
            ("STORAGE_EMULATOR_HOST".into(), self.storage.url.clone()),
            ("BIGQUERY_EMULATOR_HOST".into(), self.bigquery.url.clone()),
            ("HIGHWATER_LOG".into(), "highwater=info".into()),
        ]
    }

    /// One run within so many seconds, and how long the process took.
    async fn run(&self, args: &[&str], budget: u64) -> (Ran, Duration) {
        self.place.write_config(&self.config.replace("BUDGET", &budget.to_string()));
        let begun = Instant::now();
        let args = [&["sync", "--json"], args].concat();
        let ran = process::run(self.place.folder.path(), &self.env(), &args).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(budget) + SLACK, "a run of {budget} s took {took:.1?}: {ran:?}");
        (ran, took)
    }

    fn heal(&self) {
        self.pg.heal();
        self.my.heal();
        self.storage.heal();
        self.bigquery.heal();
    }

    /// A run over a broken wire. It may come through; if not, it has ended in time, as worth trying again, and says why
    /// in one line.
    async fn broken(&self, table: &str, budget: u64, what: &str) -> String {
        let (ran, _) = self.run(&[table], budget).await;
        if ran.code == 0 {
            return "came through".to_owned();
        }
        assert_eq!(ran.code, 75, "{what}: {ran:?}");
        let report = ran.report();
        let Some(error) = report.error else {
            // its time is up, with part of the work done
            return format!("{:?}, {} rows", report.outcome, report.rows);
        };
        assert!(error.message.contains(" attempt") && error.message.contains(" in "), "{what}: {}", error.message);
        assert!(!error.message.contains('\n'), "{what}: {}", error.message);
        error.message
    }

    /// A run over a good wire comes through.
    async fn healed(&self, table: &str, what: &str) {
        self.heal();
        let (ran, _) = self.run(&[table], BUDGET_GOOD).await;
        assert_eq!(ran.code, 0, "{what}, and mended: {ran:?}");
    }

    /// No intent is pending. Parts may be left where the time did not do for deleting them: they expire by themselves.
    async fn assert_settled(&self) {
        for name in self.place.objects("state/").await {
            let state = self.place.object(&name).await.unwrap();
            assert!(state["intent"].is_null(), "{name}: {state}");
        }
    }

    /// Source and target are the same, row by row.
    async fn assert_exact(&self, table: &str, what: &str) {
        let (source, name) = table.split_once('/').unwrap();
        let rows: Rows = match source {
            "pg" => self.place.pg_rows(&format!("SELECT id::text AS n, v FROM {name} ORDER BY id")).await,
            _ => self.place.my_rows(&format!("SELECT CAST(id AS CHAR), v FROM {name} ORDER BY id")).await,
        };
        let found = self.place.bq(&format!("SELECT CAST(id AS STRING), v FROM {{d}}.{name} ORDER BY id")).await;
        assert_eq!(found.len(), rows.len(), "{what}: {table}");
        assert!(found == rows, "{what}: {table} differs");
    }
}

/// Makes a table of so many rows in that source.
async fn make(place: &Place, source: &str, table: &str, rows: u32, width: u32) {
    let columns = "id bigint PRIMARY KEY, v varchar(2000) NOT NULL";
    match source {
        "pg" => {
            let fill = format!("SELECT i, repeat(md5(i::text), {width}) FROM generate_series(1, {rows}) i");
            place.pg(&format!("CREATE TABLE {table} ({columns}); INSERT INTO {table} {fill}")).await;
        }
        _ => {
            let fill = format!("SELECT seq, repeat(md5(seq), {width}) FROM seq_1_to_{rows}");
            place.my(&format!("CREATE TABLE {table} ({columns}); INSERT INTO {table} {fill}")).await;
        }
    }
}

fn append(table: &str, chunk_rows: u32) -> String {
    format!("{table}: {{ mode: append, cursor: id, chunk_rows: {chunk_rows} }}")
}

/// Ways of a database's connection to break once `after_bytes` came from the server: for good, then once.
async fn database_breaks(source: &'static str, after_bytes: u64) {
    let mut net = Net::new().await;
    let early = after_bytes == 0;
    let hows = [Break::Reset, Break::Close, Break::Stall, Break::HalfOpen, Break::Drip];
    // so large that the break is amid rows
    let (rows, width) = if early { (30, 1) } else { (2000, 8) };
    let mut tables: Vec<String> = Vec::new();
    for how in hows {
        for kind in ["always", "once"] {
            let table = format!("{how:?}_{kind}").to_lowercase();
            make(&net.place, source, &table, rows, width).await;
            tables.push(format!("{table}: {{ mode: append, cursor: id, chunk_rows: {} }}", rows - 10));
        }
    }
    if source == "pg" {
        net.configure(&tables, &[])
    } else {
        net.configure(&[], &tables)
    }
    for how in hows {
        let fate = Fate { how, from: From::Server, after_bytes };
        for always in [true, false] {
            let kind = if always { "always" } else { "once" };
            let table = format!("{source}/{}", format!("{how:?}_{kind}").to_lowercase());
            let what = format!("{source} {how:?} after {after_bytes} bytes, {kind}");
            let wire = if source == "pg" { &net.pg } else { &net.my };
            wire.decide(move |number| (always || number == 0).then_some(fate));
            let budget = if always { BUDGET_BROKEN } else { BUDGET_SILENT };
            let told = net.broken(&table, budget, &what).await;
            let wire = if source == "pg" { &net.pg } else { &net.my };
            let connections = wire.tally();
            assert!(connections.faulty() > 0, "{what}: no connection broke");
            eprintln!("{what}: {told} [{} connections]", connections.all);
            // a connection that drips goes on; every other is opened again, and the second is good
            assert!(
                always || how == Break::Drip || told == "came through" || told.starts_with("Partial"),
                "{what}: {told}"
            );
            net.healed(&table, &what).await;
            net.assert_exact(&table, &what).await;
        }
    }
    if early {
        let refusing = if source == "pg" { &mut net.pg } else { &mut net.my };
        refusing.refuse().await;
        let table = tables[0].split(':').next().unwrap();
        let told = net.broken(&format!("{source}/{table}"), BUDGET_BROKEN, "refused").await;
        assert!(told.contains("cannot connect to 127.0.0.1:") && told.contains("given up after"), "{told}");
        let mended = if source == "pg" { &mut net.pg } else { &mut net.my };
        mended.listen().await;
        net.healed(&format!("{source}/{table}"), "refused").await;
    }
    net.assert_settled().await;
}

/// Bytes from the server after which rows are under way: connecting and the catalog take some 20 KB.
const AMID_ROWS: u64 = 150_000;

async fn postgres_breaks_before_a_word() {
    database_breaks("pg", 0).await;
}

async fn postgres_breaks_amid_rows() {
    database_breaks("pg", AMID_ROWS).await;
}

async fn mariadb_breaks_before_a_word() {
    database_breaks("my", 0).await;
}

async fn mariadb_breaks_amid_rows() {
    database_breaks("my", AMID_ROWS).await;
}

/// One service, these faults: on every call, then on some.
async fn service_breaks(service: &'static str, faults: &[Fault]) {
    let mut net = Net::new().await;
    let mut tables = Vec::new();
    for number in 0..faults.len() {
        for kind in ["always", "some"] {
            make(&net.place, "pg", &format!("t{number}_{kind}"), 30, 1).await;
            let chunk_rows = if kind == "always" { 30 } else { 20 };
            tables.push(append(&format!("t{number}_{kind}"), chunk_rows));
        }
    }
    net.configure(&tables, &[]);
    let wire = if service == "storage" { &net.storage } else { &net.bigquery };
    for (number, &fault) in faults.iter().enumerate() {
        let (table, what) = (format!("pg/t{number}_always"), format!("{service} {fault:?}, always"));
        wire.decide(move |_| Some(fault));
        let told = net.broken(&table, BUDGET_BROKEN, &what).await;
        let calls = wire.tally();
        assert!(told != "came through" && !told.starts_with("Partial"), "{what}: {told}");
        assert!((1..=CALLS_MAX).contains(&calls.all), "{what}: {} calls", calls.all);
        eprintln!("{what}: {told} [{} calls]", calls.all);
        net.healed(&table, &what).await;
        net.assert_exact(&table, &what).await;

        let (table, what) = (format!("pg/t{number}_some"), format!("{service} {fault:?}, some"));
        // a silence costs half of the time that is left
        wire.decide(move |call: &Call| {
            let hit = if fault.is_silent() { call.number == 5 } else { call.number % 4 == 1 };
            hit.then_some(fault)
        });
        let budget = if fault.is_silent() { BUDGET_SILENT } else { BUDGET_GOOD };
        let told = net.broken(&table, budget, &what).await;
        assert!(wire.tally().faulty() > 0, "{what}: no call was broken");
        // the run went on after it
        assert!(told == "came through" || fault.is_silent() && wire.tally().all > 6, "{what}: {told}");
        if told != "came through" {
            net.healed(&table, &what).await;
        }
        net.assert_exact(&table, &what).await;
    }
    assert_eq!(net.storage.trapped(), Vec::<String>::new(), "a redirect was followed");
    assert_eq!(net.bigquery.trapped(), Vec::<String>::new(), "a redirect was followed");
    net.assert_settled().await;
}

const CONNECTIONS: [Fault; 7] = [
    Fault::Reset,
    Fault::HalfOpen,
    Fault::Stall,
    Fault::StalledAnswer,
    Fault::LostAnswer,
    Fault::CutAnswer,
    Fault::DrippingAnswer,
];
const FOREIGN: [Fault; 9] = [
    Fault::Redirect(301),
    Fault::Redirect(302),
    Fault::Redirect(307),
    Fault::Page,
    Fault::HalfJson,
    Fault::OtherJson,
    Fault::Empty,
    Fault::WrongLength,
    Fault::Large,
];
const BUSY: [Fault; 5] =
    [Fault::Status(429), Fault::Status(500), Fault::Status(502), Fault::Status(503), Fault::TooMany("soon")];

async fn cloud_storage_connections_break() {
    service_breaks("storage", &CONNECTIONS).await;
}

async fn cloud_storage_answers_are_not_its_own() {
    service_breaks("storage", &FOREIGN).await;
}

async fn cloud_storage_is_busy() {
    service_breaks("storage", &BUSY).await;
}

async fn bigquery_connections_break() {
    service_breaks("bigquery", &CONNECTIONS).await;
}

async fn bigquery_answers_are_not_its_own() {
    service_breaks("bigquery", &FOREIGN).await;
}

async fn bigquery_is_busy() {
    service_breaks("bigquery", &BUSY).await;
}

async fn retry_after_is_heeded_within_bounds() {
    let mut net = Net::new().await;
    make(&net.place, "pg", "t", 30, 1).await;
    net.configure(&[append("t", 100)], &[]);
    for service in ["storage", "bigquery"] {
        let wire = if service == "storage" { &net.storage } else { &net.bigquery };
        let write = move |call: &Call| call.method == "POST" && (service == "storage" || call.path.ends_with("/jobs"));
        for (after, waited) in [("3", 3), ("+3", 3)] {
            net.place.pg(&format!("INSERT INTO t SELECT max(id) + 1, '{service} {after}' FROM t")).await;
            let mut told = false;
            wire.decide(move |call| {
                (write(call) && !std::mem::replace(&mut told, true)).then_some(Fault::TooMany(after))
            });
            let (ran, took) = net.run(&["pg/t"], BUDGET_GOOD).await;
            assert_eq!(ran.code, 0, "{service} {after}: {ran:?}");
            assert_eq!(wire.tally().faulty(), 1, "{service} {after}");
            assert!(took >= Duration::from_secs(waited), "{service} {after}: it did not wait: {took:.1?}");
        }
        // beyond the run's time: nothing is tried before it is asked for, and nobody waits for nothing
        for after in ["3600", "99999999999999"] {
            net.place.pg(&format!("INSERT INTO t SELECT max(id) + 1, '{service} {after}' FROM t")).await;
            wire.decide(move |call| write(call).then_some(Fault::TooMany(after)));
            let (ran, took) = net.run(&["pg/t"], 20).await;
            // the chunk's part once, and once the run's report, which is told the same
            let writes = if service == "storage" { 2 } else { 1 };
            assert_eq!((ran.code, wire.tally().faulty()), (75, writes), "{service} {after}: {ran:?}");
            assert!(took < Duration::from_secs(8), "{service} {after}: {took:.1?}");
            net.healed("pg/t", "busy for long").await;
        }
        net.assert_exact("pg/t", service).await;
    }
}
