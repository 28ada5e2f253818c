//! Which merges are pruned, which promises cannot hold, how a sample is drawn.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;

use super::*;
use crate::mapping::mysql::{CatalogColumn, Dialect, column};
use crate::model::{
    ColumnSettings, Limits, MaxRejects, NullCursor, PartitionType, Policy, SchemaSettings, SourceTable, TableId,
    TimeUnit,
};
use crate::plan::table::{self, Catalog};

fn columns() -> Vec<Column> {
    let made = |(name, ty): (&str, &str)| {
        column(
            &CatalogColumn {
                name: name.to_owned(),
                data_type: ty.split('(').next().unwrap().to_owned(),
                column_type: ty.to_owned(),
                nullable: name != "id",
                precision: 0,
                scale: 0,
                digits: 6,
                comment: None,
                checked_json: false,
            },
            Dialect::MariaDb,
        )
    };
    [("id", "bigint(20)"), ("u", "datetime(6)"), ("p", "date"), ("n", "bigint(20)"), ("f", "double")]
        .into_iter()
        .map(made)
        .collect()
}

fn settings(partition_by: Option<&str>, key: &[&str], promised: bool) -> TableSettings {
    TableSettings {
        id: TableId { source: "s".parse().unwrap(), table: "t".parse().unwrap() },
        table: SourceTable { schema: None, name: "t".to_owned() },
        matched: None,
        target: BqTable { project: "p".into(), dataset: "d".into(), table: "t".into() },
        location: "EU".into(),
        job_project: "p".into(),
        mode: Mode::Merge,
        cursor: Some("u".into()),
        key: Some(key.iter().map(|name| (*name).to_owned()).collect()),
        create: true,
        partitioning: partition_by
            .map(|column| WantedPartitioning::Time { column: column.to_owned(), unit: TimeUnit::Day }),
        partition_immutable: promised,
        cluster_by: Vec::new(),
        columns: ColumnSettings::default(),
        filter: None,
        max_rejects: MaxRejects::default(),
        schema: SchemaSettings::default(),
        deletes: None,
        limits: Limits::default(),
        backfill_start: None,
        lag: std::time::Duration::ZERO,
        max_hold: std::time::Duration::ZERO,
        lookback: std::time::Duration::ZERO,
        null_cursor: NullCursor::Report,
        cursor_timezone: "UTC".into(),
        schedule: None,
    }
}

fn plan(settings: &TableSettings) -> TablePlan {
    let (columns, primary) = (columns(), ["id".to_owned()]);
    let catalog = Catalog { columns: &columns, hidden: &[], primary_key: &primary, unique_keys: &[], comment: None };
    table::decide(catalog, settings, None).unwrap()
}

fn decided(settings: &TableSettings, partitioning: Option<&Partitioning>, written: Option<&PartitionBasis>) -> Pruning {
    let plan = plan(settings);
    decide(settings, &plan, Target { schema: &plan.target.schema, partitioning, written })
}

fn by_day(field: &str) -> Partitioning {
    Partitioning::Time { field: field.to_owned(), unit: TimeUnit::Day }
}

#[test]
fn a_promise_prunes_and_nothing_else_does() {
    let promised = settings(Some("p"), &["id"], true);
    let clean = note("p", DATE, None);
    let by = decided(&promised, Some(&by_day("p")), Some(&clean));
    assert_eq!(by.probe().map(|probe| probe.written.as_str()), Some(DATE));
    assert_eq!(by.probe().map(|probe| probe.plan.names.clone()), Some(vec!["id".to_owned(), "p".to_owned()]));
    for (lane, pruned) in [
        (Lane::Live, true),
        (Lane::Window, true),
        (Lane::Reread, true),
        (Lane::Nulls, true),
        (Lane::Repair, false),
        (Lane::Whole, false),
        (Lane::Swap, false),
        (Lane::Deletes, false),
    ] {
        assert_eq!(by.of_lane(lane).map(|(at, grid)| (at, grid.column())), pruned.then_some((2, "p")), "{lane:?}");
    }
    let not = settings(Some("p"), &["id"], false);
    assert!(matches!(decided(&not, Some(&by_day("p")), None), Pruning::Off(Off::NotAsked)));
    let append = TableSettings { mode: Mode::Append, ..promised.clone() };
    assert!(matches!(decided(&append, Some(&by_day("p")), None), Pruning::Off(Off::NotAsked)));
    let reason = |pruning: Pruning| pruning.refusal().map(ToString::to_string);
    assert_eq!(reason(decided(&promised, None, None)).unwrap(), "the target is not partitioned by `p`");
    let other = reason(decided(&promised, Some(&by_day("u")), None)).unwrap();
    assert_eq!(other, "the target is partitioned by `u`, not by `p`");
    let floats = settings(Some("p"), &["f", "id"], true);
    assert!(reason(decided(&floats, Some(&by_day("p")), Some(&clean))).unwrap().starts_with(
        "whether rows stay in their partitions cannot be checked: column \"f\": databases print and round floats"
    ));
}

#[test]
fn the_key_needs_no_promise() {
    for promised in [false, true] {
        let keyed = settings(Some("p"), &["id", "p"], promised);
        let by = decided(&keyed, Some(&by_day("p")), None);
        assert!(by.of_lane(Lane::Live).is_some() && by.probe().is_none());
        assert_eq!(check_promise(&keyed, &plan(&keyed), &[], &[]), Ok(Vec::new()));
    }
}

fn made(column: &str, how: Derivation) -> Derived {
    Derived { column: column.to_owned(), how }
}

fn expression(text: &str) -> Derivation {
    Derivation::Expression(text.to_owned())
}

#[test]
fn promises_that_the_catalog_contradicts() {
    let refused =
        |settings: &TableSettings, derived: &[Derived]| match check_promise(settings, &plan(settings), &[], derived) {
            Err(PlanError::Promise(bad)) => Some(bad.why),
            Err(_) | Ok(_) => None,
        };
    let promised = settings(Some("p"), &["id"], true);
    assert_eq!(refused(&promised, &[]), None);
    assert_eq!(refused(&settings(Some("u"), &["id"], true), &[]), Some(Moves::Cursor));
    assert_eq!(refused(&settings(Some("p"), &["n"], true), &[]), Some(Moves::KeyNotUnique));
    assert_eq!(refused(&promised, &[made("p", Derivation::OnUpdate)]), Some(Moves::OnUpdate));
    assert_eq!(refused(&promised, &[made("n", Derivation::OnUpdate)]), None);
    let of = |text: &str| refused(&promised, &[made("p", expression(text)), made("n", Derivation::OnUpdate)]);
    assert_eq!(of("cast(`U` as date)"), Some(Moves::Generated("u".into())));
    assert_eq!(of("from_days(n)"), Some(Moves::Generated("n".into())));
    assert_eq!(of("cast(`created_u` as date) + u2"), None);
    // a column that is not synced; one that is generated from one that is generated
    let hidden = [made("p", expression("cast(`h` as date)")), made("h", Derivation::OnUpdate)];
    assert_eq!(refused(&promised, &hidden), Some(Moves::Generated("h".into())));
    let chain = [made("p", expression("`g` + 1")), made("g", expression("`h`")), made("h", expression("`u` + 1"))];
    assert_eq!(refused(&promised, &chain), Some(Moves::Generated("g".into())));
    // a circle ends
    assert_eq!(refused(&promised, &[made("p", expression("`g`")), made("g", expression("`p`"))]), None);
    // nobody promises anything
    assert_eq!(refused(&settings(Some("u"), &["id"], false), &[]), None);
}

#[test]
fn columns_that_a_promise_is_about_too() {
    let present: Vec<String> = ["id", "u", "p", "n", "g", "h"].map(ToOwned::to_owned).to_vec();
    let of = |derived: &[Derived]| {
        let promised = settings(Some("p"), &["id"], true);
        check_promise(&promised, &plan(&promised), &present, derived).unwrap()
    };
    assert!(of(&[]).is_empty());
    assert!(of(&[made("p", expression("from_days(id)"))]).is_empty(), "the key is what it is");
    assert_eq!(of(&[made("p", expression("from_days(n + id)"))]), ["n"]);
    let chain = [made("p", expression("g + id")), made("g", expression("h + id")), made("n", expression("h"))];
    assert_eq!(of(&chain), ["h"]);
}

fn note(column: &str, written: &str, before: Option<&str>) -> PartitionBasis {
    PartitionBasis { column: column.into(), written: written.into(), before: before.map(Into::into) }
}

const DATE: &str = "from date as DATE (`unrepresentable: null`)";
const CLAMPED: &str = "from date as DATE (`unrepresentable: clamp`)";

/// A basis of this target, with that note.
fn noted(partition: Option<PartitionBasis>) -> Basis {
    Basis {
        target: settings(None, &["id"], false).target,
        mode: Mode::Merge,
        cursor: Some("u".into()),
        key: vec!["id".into()],
        filter: None,
        columns: Vec::new(),
        gone: Vec::new(),
        left_out: Vec::new(),
        hashed: Vec::new(),
        salt: None,
        naive_zone: None,
        partition: partition.map(Box::new),
        reset: false,
    }
}

/// The note of a target that has rows, after that basis.
fn then(by: Option<&str>, columns: &[Column], was: Option<&Basis>) -> Option<PartitionBasis> {
    basis(&settings(by, &["id"], true), columns, was, false).map(|note| *note)
}

fn clamped() -> Vec<Column> {
    let mut columns = columns();
    columns[2].policy = Policy::Clamp;
    columns
}

fn without_p() -> Vec<Column> {
    columns().into_iter().filter(|column| column.name != "p").collect()
}

fn is_pruned(written: Option<&PartitionBasis>) -> bool {
    let promised = settings(Some("p"), &["id"], true);
    matches!(decided(&promised, Some(&by_day("p")), written), Pruning::By(_))
}

#[test]
fn an_empty_target_has_a_clean_history_whatever_was() {
    let promised = settings(Some("p"), &["id"], true);
    let clean = note("p", DATE, None);
    let (spoiled, other) = (noted(Some(note("p", DATE, Some("as NULL")))), noted(Some(note("q", "x", None))));
    for was in [None, Some(&noted(None)), Some(&spoiled), Some(&other)] {
        assert_eq!(basis(&promised, &columns(), was, true).as_deref(), Some(&clean));
    }
    assert!(is_pruned(Some(&clean)));
    // nothing to note
    assert_eq!(basis(&settings(None, &["id"], false), &columns(), Some(&spoiled), true), None);
    assert_eq!(basis(&promised, &without_p(), Some(&spoiled), true), None);
}

#[test]
fn rows_of_which_nothing_was_noted_turn_it_off() {
    let reason = "in a way that was not noted";
    let elsewhere = BqTable { table: "other".into(), ..noted(None).target };
    let moved = Basis { target: elsewhere, ..noted(Some(note("p", DATE, None))) };
    for was in [None, Some(&noted(None)), Some(&noted(Some(note("u", "x", None)))), Some(&moved)] {
        let now = then(Some("p"), &columns(), was);
        assert_eq!(now, Some(note("p", DATE, Some(reason))), "{was:?}");
        assert!(!is_pruned(now.as_ref()));
        // and that stays so
        assert_eq!(then(Some("p"), &columns(), Some(&noted(now.clone()))), now);
    }
    assert_eq!(then(None, &columns(), Some(&moved)), None, "another target's note is nobody's");
    // no note at all, or one of another way, prunes nothing either
    assert!(
        !is_pruned(None) && !is_pruned(Some(&note("p", CLAMPED, None))) && !is_pruned(Some(&note("u", DATE, None)))
    );
    let Pruning::Off(off) = decided(&settings(Some("p"), &["id"], true), Some(&by_day("p")), None) else {
        unreachable!("it is off");
    };
    let told = "`p` was written in a way that was not noted and is written from date as DATE (`unrepresentable: null`), so rows \
                may be in other partitions than they would be now; the way out is a new target: drop it, and `highwater reset` \
                the table";
    assert_eq!(off.to_string(), told);
}

#[test]
fn what_was_written_otherwise_is_known_until_the_target_is_empty() {
    let clean = noted(Some(note("p", DATE, None)));
    assert_eq!(then(Some("p"), &columns(), Some(&clean)), Some(note("p", DATE, None)));
    let second = then(Some("p"), &clamped(), Some(&clean)).unwrap();
    assert_eq!(second, note("p", CLAMPED, Some(DATE)));
    assert!(!is_pruned(Some(&second)));
    // and back: rows of both kinds are there
    let back = then(Some("p"), &columns(), Some(&noted(Some(second)))).unwrap();
    assert_eq!(back, note("p", DATE, Some(DATE)));
    assert!(!is_pruned(Some(&back)));
    // what an operator sets changes no row
    let reset = Basis { reset: true, ..noted(Some(back.clone())) };
    assert_eq!(then(Some("p"), &columns(), Some(&reset)), Some(back));
    // a time without it
    let away = then(Some("p"), &without_p(), Some(&clean)).unwrap();
    assert_eq!(away, note("p", DATE, Some("as NULL")));
    assert!(!is_pruned(then(Some("p"), &columns(), Some(&noted(Some(away)))).as_ref()));
}

#[test]
fn a_setting_that_is_away_ends_no_note() {
    let clean = noted(Some(note("p", DATE, None)));
    // nothing happened meanwhile
    let away = then(None, &columns(), Some(&clean));
    assert_eq!(away, Some(note("p", DATE, None)));
    assert!(is_pruned(then(Some("p"), &columns(), Some(&noted(away))).as_ref()));
    // something did, and went back
    for meanwhile in [clamped(), without_p()] {
        let away = then(None, &meanwhile, Some(&clean));
        assert!(away.as_ref().is_some_and(|away| away.before.is_some()));
        let still = then(None, &columns(), Some(&noted(away)));
        assert!(!is_pruned(then(Some("p"), &columns(), Some(&noted(still))).as_ref()));
    }
    // p, u, p: what became of p meanwhile is not known
    let other = then(Some("u"), &columns(), Some(&clean));
    assert_eq!(other.as_ref().map(|other| (other.column.as_str(), other.before.is_some())), Some(("u", true)));
    assert!(!is_pruned(then(Some("p"), &columns(), Some(&noted(other))).as_ref()));
    // target A, B, A
    let elsewhere = TableSettings {
        target: BqTable { table: "other".into(), ..noted(None).target },
        ..settings(Some("p"), &["id"], true)
    };
    for empty in [false, true] {
        let there = basis(&elsewhere, &columns(), Some(&clean), empty);
        let there = Basis { target: elsewhere.target.clone(), partition: there, ..noted(None) };
        assert!(!is_pruned(then(Some("p"), &columns(), Some(&there)).as_ref()));
    }
}

#[test]
fn a_window_writes_as_the_live_sync_has_noted() {
    let (clean, spoiled) = (note("p", DATE, None), note("p", DATE, Some("as NULL")));
    assert!(is_noted(None, None) && is_noted(None, Some(&clean)) && is_noted(Some(&clean), Some(&clean)));
    assert!(is_noted(Some(&spoiled), Some(&note("p", CLAMPED, Some("as NULL")))), "no merge rests on it");
    assert!(!is_noted(Some(&clean), Some(&spoiled)) && !is_noted(Some(&clean), Some(&note("p", CLAMPED, None))));
    assert!(!is_noted(Some(&clean), None));
}

#[test]
fn a_look_is_good_for_a_day_and_for_what_was_looked_at() {
    let table = BqTable { project: "p".into(), dataset: "d".into(), table: "t".into() };
    let check =
        PartitionCheck { table: table.clone(), column: "p".into(), written: DATE.into(), at_us: 1_000, rows: 7 };
    let looked = Looked { table: &table, column: "p", written: DATE };
    let due = |looked: Looked<'_>, now_us| is_due(&[None, Some(&check)], looked, now_us);
    assert!(is_due(&[None, None], looked, 1_000));
    assert!(!due(looked, 1_000) && !due(looked, 999 + CHECK_EVERY_MICROS));
    assert!(due(looked, 1_000 + CHECK_EVERY_MICROS));
    // a clock that was set back says nothing
    assert!(due(looked, 999));
    let other = BqTable { table: "u".into(), ..table.clone() };
    assert!(due(Looked { column: "q", ..looked }, 1_000) && due(Looked { table: &other, ..looked }, 1_000));
    assert!(due(Looked { written: CLAMPED, ..looked }, 1_000));
}

#[test]
fn a_small_table_is_compared_whole() {
    assert_eq!(draw(0, 7), Draw { percent: None, buckets: vec![] });
    assert_eq!(draw(SAMPLE_ROWS_MAX, 7), Draw { percent: None, buckets: vec![] });
    assert_eq!(draw(SAMPLE_ROWS_MAX + 1, 7).buckets.len(), 15);
    assert_eq!(draw(10_000_000_000, 0x12345).percent, Some(1));
}

proptest! {
    /// What is drawn has about the sample's rows, and never many more, if digests are spread evenly.
    #[test]
    fn a_draw_is_of_a_sample(rows in 1..100_000_000_000_u64, random in any::<u128>()) {
        let Draw { percent, buckets } = draw(rows, random);
        let read = rows * u64::from(percent.unwrap_or(100)) / 100;
        let digits = u32::try_from(buckets.first().map_or(0, String::len)).unwrap();
        prop_assert!(buckets.iter().all(|bucket| bucket.len() == digits as usize && u64::from_str_radix(bucket, 16).is_ok()));
        let different: std::collections::BTreeSet<&String> = buckets.iter().collect();
        prop_assert_eq!(different.len(), buckets.len());
        let drawn = read * (buckets.len().max(1) as u64) / 16_u64.pow(digits);
        prop_assert!(drawn <= SAMPLE_ROWS_MAX, "{} of {}", drawn, rows);
        prop_assert!(read < SAMPLE_ROWS_MAX || drawn >= SAMPLE_ROWS_MAX / 3, "{} of {}", drawn, rows);
    }

    /// A grid of each type tells what it is given, whatever is in it.
    #[test]
    fn any_token_is_told_or_nothing_is(token in prop::collection::vec(any::<u8>(), 0..40)) {
        for (partitioning, ty) in [
            (by_day("p"), BqType::Date),
            (by_day("p"), BqType::Timestamp),
            (Partitioning::Range { field: "p".into(), start: 0, end: 100, interval: 7 }, BqType::Int64),
        ] {
            let mut touched = crate::encode::partitions::Touched::new(Grid::new(&partitioning, ty).unwrap());
            touched.value(&token);
            if let Some(pruned) = touched.finish() {
                prop_assert_eq!(pruned.ranges().len(), 1);
                prop_assert!(ty != BqType::Int64 || pruned.ty() == PartitionType::Int64);
            }
        }
    }
}
