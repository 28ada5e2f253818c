//! Rows that commit late: writers with transactions of 0 to 10 s, while Highwater syncs without pause. Nothing is lost
//! and nothing doubled, where a plain reader (`WHERE cursor > watermark`) in the same rhythm loses rows.
//!
//! What makes it hard: rows of one transaction are stamped with its start, a statement's start, the clock, or anything
//! between, and commit up to 10 s later or not at all; numbers commit out of order; stamps of whole seconds are shared
//! by transactions; some transactions are prepared, and their sessions leave. Each table is synced twice: by a user who
//! sees other sessions, and by one who does not.

mod database;
mod reader;
mod writer;

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use highwater::report::{Outcome, RunReport};
use jiff::Timestamp;

use self::database::{Conn, Kind};
use self::reader::Plain;
use self::writer::{Done, Writer};
use crate::served_tests;
use crate::support::Test;
use crate::support::place::{Place, Rows};
use crate::support::process::Service;

pub fn tests() -> Vec<Test> {
    served_tests![
        postgres_by_processes,
        mariadb_by_pushes,
        transactions_are_seen_while_others_read_the_list_of_them_without_pause,
    ]
}

/// The large ones (`make soak`).
pub fn large() -> Vec<Test> {
    served_tests![a_million_rows_of_postgres, a_million_rows_of_mariadb]
}

/// Writers at the same time.
const WRITERS: u32 = 16;
/// The tables, how each is synced, and its share of the rows in percent.
const TABLES: [Table; 3] = [
    Table { name: "moved", settings: "cursor: u", append: false, share: 50 },
    Table { name: "seconds", settings: "cursor: u", append: false, share: 25 },
    Table { name: "numbers", settings: "mode: append, cursor: id", append: true, share: 25 },
];
/// The user of this source may not see other sessions, and nobody else's transactions hold its ceiling: it is the clock
/// less this, so no transaction may be open for longer, which [`compare`] checks of the writers.
const LAG: Duration = Duration::from_secs(15);
/// The longest transaction that a writer means to have.
const LONGEST: Duration = Duration::from_secs(10);
/// By then after the last commit everything must have come, on a busy machine too.
const SETTLED_WITHIN_US: i64 = 600_000_000;
/// A column without fractions may round a stamp up.
const STAMP_AHEAD_US: i64 = 1_000_000;
/// Rows that are compared at once.
const WINDOW: u64 = 50_000;

/// One table of the scenario.
struct Table {
    name: &'static str,
    settings: &'static str,
    append: bool,
    share: u32,
}

/// How much is written, and how it is synced.
#[derive(Clone, Copy)]
struct Size {
    rows: u32,
    /// The most rows of one statement.
    batch: u32,
    chunk_rows: u32,
    /// Whether a source that sees no other sessions syncs the tables too.
    blind: bool,
}

const SMALL: Size = Size { rows: 20_000, batch: 200, chunk_rows: 1_500, blind: true };
const LARGE: Size = Size { rows: 1_000_000, batch: 600, chunk_rows: 100_000, blind: false };

async fn postgres_by_processes() {
    scenario(Kind::Postgres, SMALL).await;
}

async fn mariadb_by_pushes() {
    scenario(Kind::MariaDb, SMALL).await;
}

async fn a_million_rows_of_postgres() {
    scenario(Kind::Postgres, LARGE).await;
}

async fn a_million_rows_of_mariadb() {
    scenario(Kind::MariaDb, LARGE).await;
}

/// How Highwater is run again and again.
enum Runner {
    Processes,
    Pushes(Box<Service>),
}

impl Runner {
    async fn sync(&self, place: &Place, table: &str) -> RunReport {
        match self {
            Self::Processes => place.sync(&[table]).await.remove(0),
            Self::Pushes(service) => service.push(table).await,
        }
    }
}

/// What a loop of syncs of one table did.
#[derive(Default)]
struct Synced {
    syncs: u32,
    with_rows: u32,
    lost_by_plain: u64,
}

async fn scenario(kind: Kind, size: Size) {
    let place = Place::new().await;
    database::create(kind, &place).await;
    configure(kind, &place, size);
    let runner = match kind {
        Kind::Postgres => Runner::Processes,
        Kind::MariaDb => Runner::Pushes(Box::new(place.serve().await)),
    };
    let begun = Instant::now();
    // the moment after the last commit, in microseconds
    let ended: Cell<Option<i64>> = Cell::new(None);
    let writers = async {
        let all = (0..WRITERS).map(|number| Writer::new(kind, &place, number, size.rows / WRITERS, size.batch).run());
        let done = join_all(all).await;
        ended.set(Some(Timestamp::now().as_microsecond()));
        eprintln!("late: {kind}: {}; written in {:.0?}", Done::sum(&done), begun.elapsed());
        done
    };
    let sources = if size.blind { &["full", "blind"][..] } else { &["full"] };
    let loops = sources.iter().flat_map(|source| TABLES.iter().map(move |table| (*source, table)));
    let syncs = loops.map(|(source, table)| keep_syncing(kind, &place, &runner, source, table, &ended));
    let (done, synced) = join(writers, join_all(syncs)).await;
    let written = Done::sum(&done);
    assert_eq!(written.inserted, u64::from(size.rows));
    if size.blind {
        assert!(written.longest < LAG, "the blind source's premise: no transaction is longer than `lag`: {written}");
    }
    let mut lost = 0;
    for source in sources {
        for table in &TABLES {
            lost += compare(kind, &place, source, table).await;
        }
    }
    let plain: u64 = synced.iter().map(|synced| synced.lost_by_plain).sum();
    let syncs: u32 = synced.iter().map(|synced| synced.syncs).sum();
    let with_rows: u32 = synced.iter().map(|synced| synced.with_rows).sum();
    eprintln!(
        "late: {kind}, {} rows by {WRITERS} writers, {syncs} syncs ({with_rows} with rows): lost by Highwater {lost}, \
         lost by the plain reader {plain} (in {:.0?})",
        size.rows,
        begun.elapsed()
    );
    assert_eq!(lost, 0);
    assert!(plain > 0, "a scenario in which a plain reader loses nothing shows nothing");
    place.assert_clean().await;
}

fn configure(kind: Kind, place: &Place, size: Size) {
    let lines = |source: &str| -> String {
        let line = |table: &Table| {
            format!("      {}: {{ {}, target: {source}_{} }}\n", table.name, table.settings, table.name)
        };
        TABLES.iter().map(line).collect()
    };
    let source = |name: &str, url: &str, lag: &str| {
        format!("  {name}:\n    url: {url}\n    defaults: {{ {lag} }}\n    tables:\n{}", lines(name))
    };
    let blind = format!("lag: {}s", LAG.as_secs());
    place.write_config(&format!(
        "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\ndefaults: {{ chunk_rows: {} }}\nsources:\n{}{}",
        place.name,
        place.bucket(),
        size.chunk_rows,
        source("full", &database::url(kind, place), ""),
        source("blind", &database::blind_url(kind, place), &blind),
    ));
}

/// Syncs one table without pause until all that the writers wrote must have come.
async fn keep_syncing(
    kind: Kind,
    place: &Place,
    runner: &Runner,
    source: &str,
    table: &Table,
    ended: &Cell<Option<i64>>,
) -> Synced {
    let id = format!("{source}/{}", table.name);
    let mut synced = Synced::default();
    let mut plain = Plain::open(kind, place, table).await;
    loop {
        plain.read().await;
        let report = runner.sync(place, &id).await;
        assert!(matches!(report.outcome, Outcome::Synced | Outcome::UpToDate), "{report:?}");
        synced.syncs += 1;
        synced.with_rows += u32::from(report.rows > 0);
        // there may be rows beyond the ceiling until that is beyond all that was written
        if report.outcome == Outcome::UpToDate
            && let Some(end) = ended.get()
            && covers(kind, &mut plain, table, &report, end).await
        {
            break;
        }
        let since = ended.get().map_or(0, |end| Timestamp::now().as_microsecond() - end);
        assert!(since < SETTLED_WITHIN_US, "{id} is not up to date for long: {report:?}");
    }
    plain.read().await;
    // both sources' loops have a reader; one of them is told of
    synced.lost_by_plain = if source == "full" { plain.lost().await } else { 0 };
    synced
}

/// Whether the run read up to a ceiling that is beyond all that was written until `end`.
async fn covers(kind: Kind, plain: &mut Plain, table: &Table, report: &RunReport, end: i64) -> bool {
    let Some(ceiling) = &report.ceiling else { return false };
    if table.append {
        return plain.greatest().await <= ceiling.parse::<u64>().unwrap();
    }
    let at: Timestamp = match kind {
        Kind::Postgres => ceiling.parse().unwrap(),
        Kind::MariaDb => format!("{ceiling}Z").parse().unwrap(),
    };
    at.as_microsecond() > end + STAMP_AHEAD_US
}

/// Rows that are not in the target as they are at the source, and rows of the target that are not at the source, or
/// not that often.
async fn compare(kind: Kind, place: &Place, source: &str, table: &Table) -> u64 {
    let mut conn = Conn::open(kind, place).await;
    let most: u64 = conn.one(&format!("SELECT {} FROM {}", kind.text("max(id)"), table.name)).await.parse().unwrap();
    let (mut wrong, mut rows) = (0, 0);
    for from in (0..=most).step_by(usize::try_from(WINDOW).unwrap()) {
        let window = format!("id >= {from} AND id < {} ORDER BY id", from + WINDOW);
        let there = conn.rows(&database::all_columns(kind, table.name, &window)).await;
        let target = format!(
            "SELECT CAST(id AS STRING), CAST(w AS STRING), CAST(v AS STRING), t, CAST(UNIX_MICROS(TIMESTAMP(u)) AS STRING) \
             FROM {{d}}.{source}_{} WHERE {window}",
            table.name
        );
        let here = place.bq(&target).await;
        rows += there.len();
        wrong += differences(&there, &here);
    }
    let count: usize = place
        .bq_one(&format!("SELECT CAST(COUNT(*) AS STRING) FROM {{d}}.{source}_{}", table.name))
        .await
        .parse()
        .unwrap();
    if wrong > 0 || count != rows {
        eprintln!(
            "late: {kind}: {source}/{}: {wrong} rows are wrong; {count} in the target, {rows} at the source",
            table.name
        );
    }
    wrong + count.abs_diff(rows) as u64
}

/// Two lists that are sorted by their first column, a number.
fn differences(there: &Rows, here: &Rows) -> u64 {
    let (mut a, mut b) = (there.iter().peekable(), here.iter().peekable());
    let number = |row: &[Option<String>]| row[0].as_ref().unwrap().parse::<u64>().unwrap();
    let mut wrong = 0;
    loop {
        match (a.peek(), b.peek()) {
            (None, None) => return wrong,
            (Some(one), Some(other)) if one == other => {
                a.next();
                b.next();
                continue;
            }
            (Some(one), Some(other)) if number(one) == number(other) => {
                a.next();
                b.next();
            }
            (Some(one), Some(other)) if number(one) > number(other) => drop(b.next()),
            (Some(_), _) => drop(a.next()),
            (None, Some(_)) => drop(b.next()),
        }
        wrong += 1;
    }
}

/// InnoDB keeps one list of open transactions for all who ask, and makes it anew only when nobody has asked for 0.1 s.
async fn transactions_are_seen_while_others_read_the_list_of_them_without_pause() {
    let place = Place::new().await;
    place.my("CREATE TABLE t (id bigint PRIMARY KEY AUTO_INCREMENT, v text)").await;
    place.configure(&[], &["t: { mode: append, cursor: id }"], "server: { run_budget: 8s }");
    let stop = Cell::new(false);
    let monitor = async {
        let mut conn = Conn::open(Kind::MariaDb, &place).await;
        while !stop.get() {
            conn.run("SELECT count(*) FROM information_schema.innodb_trx").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let work = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut late = Conn::open(Kind::MariaDb, &place).await;
        late.run("START TRANSACTION").await;
        late.run("INSERT INTO t (v) VALUES ('late')").await;
        place.my("INSERT INTO t (v) VALUES ('early')").await;
        let ran = place.run(&["sync", "t", "--json"]).await;
        // it cannot be known that the first has not committed: nothing is read, and said why
        assert_eq!((ran.code, ran.report().rows), (75, 0), "{ran:?}");
        assert!(ran.stderr.contains("innodb_trx is out of date"), "{}", ran.stderr);
        stop.set(true);
        place.configure(&[], &["t: { mode: append, cursor: id }"], "");
        let held = place.sync(&["t"]).await.remove(0);
        assert_eq!(held.rows, 0, "{held:?}");
        late.run("COMMIT").await;
    };
    join(monitor, work).await;
    // other tests' transactions on the same server hold the ceiling too
    let mut rows = 0;
    for _look in 0..60 {
        rows += place.sync(&["t"]).await[0].rows;
        if rows > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(rows, 2);
    assert_eq!(
        place.bq("SELECT v FROM {d}.t ORDER BY id").await,
        vec![vec![Some("late".to_owned())], vec![Some("early".to_owned())]]
    );
}
