//! Index advice, columns, jobs, cost and quota.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::index::{Input, judge};
use super::*;
use crate::encode::postgres::PgCodec;
use crate::mapping::{Column, Read, postgres};
use crate::model::{BqType, Explained, Hints, Indexing, Policy, Sort, SourceTable};
use crate::plan::draft::Dialect;
use crate::report::plan::Served;

fn column(name: &str, source_type: &str) -> Column {
    let read = postgres::Read {
        select: postgres::Wrap::default(),
        codec: PgCodec::Int8,
        position: None,
        cast: String::new(),
        operators: None,
        elements: None,
    };
    Column {
        name: name.into(),
        source_type: source_type.into(),
        ty: BqType::Int64,
        repeated: false,
        nullable: false,
        fallible: false,
        comment: None,
        cursor: None,
        read: Read::Postgres(read),
        cast: None,
        known: true,
        exact: false,
        policy: Policy::Null,
    }
}

fn judged(
    dialect: Dialect,
    indexing: Indexing,
    types: [&str; 2],
    indexes: &[&[&str]],
    explained: &Explained,
    rows: u64,
) -> (Served, Option<String>, Option<String>) {
    let table = SourceTable { schema: Some("s".into()), name: "a \"t`".into() };
    let (cursor, key) = (column("u", types[0]), column("id", types[1]));
    let indexes = indexes.iter().map(|index| index.iter().map(|&name| name.to_owned()).collect()).collect();
    let hints = Hints { indexes, ..Hints::default() };
    let primary_key = ["id".to_owned()];
    let order = [&cursor, &key];
    let (scan, warning) = judge(Input {
        table: &table,
        order: &order,
        primary_key: &primary_key,
        hints: &hints,
        indexing,
        dialect,
        explained,
        rows: Some(rows),
        chunk_rows: 1_000,
        whole: false,
    });
    (scan.served, scan.create_index, warning)
}

const LARGE: u64 = 1_000_000;
const TIMES: [&str; 2] = ["timestamp", "bigint"];

fn sorting() -> Explained {
    Explained { sort: Sort::Everything, whole: true, ..Explained::default() }
}

#[test]
fn the_catalog_is_asked_before_the_planner() {
    use Dialect::{MySql, Postgres};
    let (by_index, sorts, beside) = (Explained::default(), sorting(), Indexing::Beside);
    let served = |dialect, indexes: &[&[&str]], explained: &Explained, rows| {
        let (served, create, warning) = judged(dialect, beside, TIMES, indexes, explained, rows);
        assert!(create.is_none() || warning.is_some());
        (served, warning.is_some())
    };
    assert_eq!(served(Postgres, &[&["u", "id"]], &by_index, LARGE), (Served::Index, false));
    assert_eq!(served(Postgres, &[&["u", "id", "v"]], &by_index, LARGE), (Served::Index, false));
    // small, and the index fits: nothing to say
    assert_eq!(served(Postgres, &[&["u", "id"]], &sorts, 10), (Served::Small, false));
    // large, and the planner does not take it
    assert_eq!(served(Postgres, &[&["u", "id"]], &sorts, LARGE), (Served::Unserved, true));
    assert_eq!(served(Postgres, &[&["id"]], &sorts, 10), (Served::Unserved, true));
    assert_eq!(served(Postgres, &[&["id", "u"]], &sorts, LARGE), (Served::Unserved, true));
    // ties of the cursor are sorted
    let ties = Explained { sort: Sort::Ties, ..Explained::default() };
    assert_eq!(served(Postgres, &[&["u"]], &ties, LARGE), (Served::Partly, false));
    assert_eq!(served(Postgres, &[&["u"]], &sorts, LARGE), (Served::Unserved, true));
    // InnoDB's indexes end with the primary key
    assert_eq!(served(MySql, &[&["u"]], &by_index, LARGE), (Served::Index, false));
    assert_eq!(served(MySql, &[&["u", "v"]], &sorts, LARGE), (Served::Unserved, true));
}

#[test]
fn the_statement_is_the_databases_own() {
    let of = |dialect, indexing, types| judged(dialect, indexing, types, &[], &sorting(), LARGE).1;
    let pg = |indexing, types| of(Dialect::Postgres, indexing, types);
    let on = "ON \"s\".\"a \"\"t`\" (\"u\", \"id\");";
    assert_eq!(pg(Indexing::Beside, TIMES), Some(format!("CREATE INDEX CONCURRENTLY {on}")));
    assert_eq!(pg(Indexing::Locking, TIMES), Some(format!("CREATE INDEX {on}")));
    assert_eq!(pg(Indexing::Never, TIMES), None);
    let my = |types| of(Dialect::MySql, Indexing::Beside, types);
    assert_eq!(my(TIMES).unwrap(), "CREATE INDEX highwater_cursor ON `s`.`a \"t``` (`u`, `id`);");
    // what is too long for an index is left out
    assert_eq!(my(["datetime", "text"]).unwrap(), "CREATE INDEX highwater_cursor ON `s`.`a \"t``` (`u`);");
    assert!(my(["datetime", "varchar(600)"]).unwrap().ends_with("(`u`, `id`);"));
    assert!(my(["datetime", "varchar(700)"]).unwrap().ends_with("(`u`);"));
    assert_eq!(my(["longtext", "int"]), None);
}

#[test]
fn jobs_are_by_rows_and_by_bytes() {
    let past = Past { runs: 2, rows: 1_000, bytes: 50_000, ms: 4_000 };
    let limits = ChunkLimits { rows: Some(100), bytes: 1 << 20 };
    let of = |rows, limits, past| jobs(&amount(Some(rows), None, Some(9), past), limits, 1, past).unwrap();
    let told = of(1_001, limits, past);
    assert_eq!((told.chunks, told.load_jobs, told.merge_jobs, told.other_jobs), (11, 11, 11, 1));
    assert_eq!((told.past_rows_per_second, told.seconds_estimate), (Some(250.0), Some(4.0)));
    assert_eq!(of(1_001, ChunkLimits { bytes: 1_000, ..limits }, past).chunks, 51);
    assert_eq!(of(0, limits, past).chunks, 0);
    // a replace is one chunk, of no rows too
    assert_eq!(of(0, ChunkLimits { rows: None, ..limits }, past).chunks, 1);
    let told = of(5, limits, Past::default());
    assert_eq!((told.seconds_estimate, told.past_rows_per_second, told.past_runs), (None, None, 0));
    assert!(jobs(&amount(None, None, None, past), limits, 0, past).is_none());
    let counted = amount(Some(10), Some(20), Some(9), past);
    assert_eq!(
        (counted.rows(), counted.bytes_estimate, counted.bytes_from),
        (Some(20), Some(1_000), Some("past_runs"))
    );
    let statistics = amount(Some(10), None, Some(9), Past::default());
    assert_eq!((statistics.bytes_estimate, statistics.bytes_from), (Some(90), Some("statistics")));
    assert_eq!(amount(Some(u64::MAX), None, Some(9), Past::default()).bytes_estimate, Some(u64::MAX));
}

#[test]
fn a_merge_costs_what_it_reads() {
    let told = cost(MergeBytes { dry_run: Some(1 << 40), pruned: None, rows_sampled: 7, table: 1 << 41 }, Some("made"));
    assert_eq!(
        (told.merge_bytes, told.merge_dollars, told.from, told.at_most),
        (1 << 40, DOLLARS_PER_TIB, "dry_run", false)
    );
    assert!(told.advice.unwrap().contains("made"));
    let told = cost(MergeBytes { dry_run: Some(0), pruned: Some(0), rows_sampled: 7, table: 1 << 40 }, None);
    assert_eq!((told.from, told.at_most, told.pruned_bytes, told.advice), ("table_size", true, None, None));
    let told = cost(
        MergeBytes { dry_run: Some(1 << 40), pruned: Some(1 << 30), rows_sampled: 7, table: 1 << 40 },
        Some("made"),
    );
    assert_eq!((told.pruned_bytes, told.pruned_rows_sampled, told.advice), (Some(1 << 30), Some(7), None));
    // the least that is billed
    let told = cost(MergeBytes { dry_run: Some(0), pruned: None, rows_sampled: 7, table: 0 }, None);
    assert_eq!((told.merge_bytes, told.from, told.merge_dollars), (0, "dry_run", dollars(BILLED_BYTES_MIN)));
}

#[test]
fn runs_of_a_day_are_counted() {
    let of = |text| quota(&Schedule::parse(text, "UTC").unwrap(), 1).load_jobs_per_day;
    assert_eq!([of("*/5 * * * *"), of("0 6 * * 1"), of("* * * * * *"), of("0,30 8-17 * * *")], [288, 1, 86_400, 20]);
    assert_eq!(quota(&Schedule::parse("* * * * *", "UTC").unwrap(), 3).load_jobs_per_day, 4_320);
}
