//! Pages of tables that are made up: names that nobody should have, states that are rare.

use std::sync::Arc;

use highwater::audit::ColumnAudit;
use highwater::config::{Config, Env};
use highwater::model::{Code, Mode, TableId, TableSettings, Told};
use highwater::page::past::{Past, Run};
use highwater::page::standing::{Condition, Kept, Known, Standing, by_urgency};
use highwater::page::{Asked, Detail, View, data, list, metrics, table};
use highwater::report::record::{RunId, RunRecord};
use highwater::report::{Failure, FailureClass, Outcome, RunReport};
use jiff::{SignedDuration, Timestamp};

use crate::support::{Test, pure};

pub fn tests() -> Vec<Test> {
    vec![
        pure("page::made_up::a_word_for_each_state", a_word_for_each_state),
        pure(
            "page::made_up::a_way_out_is_the_message_s_own_however_long_it_is",
            a_way_out_is_the_message_s_own_however_long_it_is,
        ),
        pure("page::made_up::what_did_not_arrive_is_summed_up", what_did_not_arrive_is_summed_up),
        pure("page::made_up::failures_in_a_row_are_counted", failures_in_a_row_are_counted),
        pure("page::made_up::a_hole_in_what_was_read_is_told", a_hole_in_what_was_read_is_told),
        pure(
            "page::made_up::a_table_without_a_seen_run_is_not_called_fine",
            a_table_without_a_seen_run_is_not_called_fine,
        ),
        pure("page::made_up::no_name_is_markup", no_name_is_markup),
        pure("page::made_up::the_list_is_sorted_and_filtered", the_list_is_sorted_and_filtered),
        pure("page::made_up::what_is_remembered_is_bounded", what_is_remembered_is_bounded),
        pure("page::made_up::metrics_are_openmetrics", metrics_are_openmetrics),
        pure("page::made_up::a_page_of_many_tables_weighs_little", a_page_of_many_tables_weighs_little),
    ]
}

fn now() -> Timestamp {
    "2026-03-01T03:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_mins(minutes)).unwrap()
}

/// Settings of a table that runs every five minutes.
fn settings() -> TableSettings {
    let text = "project: demo\ndataset: d\nlocation: EU\nbucket: a-bucket\nsources:\n  pg:\n    url: postgres://u@h/d\n    tables:\n      \
                t: { cursor: u, schedule: '*/5 * * * *' }\n";
    let config = Config::parse(text, "highwater.yaml", &Env::new([])).unwrap();
    config.tables().next().unwrap().clone()
}

fn record(id: &TableId, at: Timestamp, change: impl FnOnce(&mut RunReport)) -> RunRecord {
    let mut report = RunReport::new(id, "demo.d.t".into(), Mode::Merge);
    report.fresh_as_of = Some(at.to_string());
    change(&mut report);
    RunRecord::new(RunId::new(at, u128::from(fastrand::u64(..))), at, at, &report)
}

fn run(at: Timestamp, change: impl FnOnce(&mut RunReport)) -> Arc<Run> {
    Arc::new(Run::of(&record(&settings().id, at, change)))
}

fn failed(report: &mut RunReport) {
    let (message, class) = ("it broke; mend it".to_owned(), FailureClass::Permanent);
    report.outcome = Outcome::Failed;
    report.fresh_as_of = None;
    report.error = Some(Failure { code: None, message, class });
}

fn judge(kept: Result<Kept, Told>, runs: Vec<Arc<Run>>, under_way: usize) -> Standing {
    Standing::judge(Known { settings: &settings(), kept, runs, under_way, hole: None }, now())
}

fn there() -> Kept {
    Kept { exists: true, written_at: Some(ago(3)), ..Kept::default() }
}

fn unread() -> Told {
    Told::new(Code::StateBroken, "no right to the state; grant it")
}

fn a_word_for_each_state() {
    let fine = || run(ago(3), |_| {});
    let superseded = || run(ago(2), |report| report.outcome = Outcome::Superseded);
    let pending = || Kept { pending_intent: Some("01".into()), pending_rows: Some(7), ..there() };
    let old = Kept { written_at: Some(ago(40)), ..pending() };
    let rebuilding = Kept { rebuilding: Some("demo.d.hw_rebuild_1".into()), ..there() };
    let loading = Kept { loading: true, ..there() };
    let held = run(ago(60), |report| report.held_by = Some("pid 7".into()));
    let unusable = run(ago(3), |report| {
        failed(report);
        report.outcome = Outcome::Unusable;
    });
    for (wanted, standing) in [
        (Condition::Fine, judge(Ok(there()), vec![fine()], 0)),
        (Condition::Fine, judge(Ok(pending()), vec![fine()], 0)),
        (Condition::Running, judge(Ok(pending()), vec![fine()], 1)),
        (Condition::Stuck, judge(Ok(old), vec![fine()], 0)),
        (Condition::Never, judge(Ok(Kept::default()), vec![], 0)),
        (Condition::Unseen, judge(Ok(there()), vec![], 0)),
        (Condition::Unseen, judge(Ok(there()), vec![superseded()], 0)),
        (Condition::Failing, judge(Ok(there()), vec![run(ago(4), failed), superseded()], 0)),
        (Condition::Fine, judge(Ok(there()), vec![run(ago(4), failed), fine(), superseded()], 0)),
        (Condition::Failing, judge(Ok(there()), vec![fine(), run(ago(1), failed)], 0)),
        (Condition::Unreadable, judge(Err(unread()), vec![fine()], 0)),
        (Condition::Behind, judge(Ok(there()), vec![run(ago(60), |_| {})], 0)),
        (Condition::Held, judge(Ok(there()), vec![held], 0)),
        (Condition::Unusable, judge(Ok(Kept::default()), vec![unusable], 0)),
        (Condition::Rebuilding, judge(Ok(rebuilding), vec![fine()], 0)),
        (Condition::Loading, judge(Ok(loading), vec![fine()], 0)),
    ] {
        assert_eq!(standing.condition, wanted, "{standing:?}");
        // who is called has something to go by
        assert!(!wanted.needs_you() || (standing.message().is_some() && standing.way_out().is_some()), "{standing:?}");
    }
    let failing = judge(Ok(there()), vec![run(ago(1), failed)], 0);
    assert_eq!((failing.message().as_deref(), failing.way_out().as_deref()), (Some("it broke"), Some("mend it")));
    let unreadable = judge(Err(unread()), vec![], 0);
    assert_eq!(unreadable.message().as_deref(), Some("no right to the state"));
    assert_eq!((unreadable.way_out().as_deref(), unreadable.code()), (Some("grant it"), Some(Code::StateBroken)));
    // a date cursor lags by a day however often it runs: a run that left nothing unread says what lag is usual
    let by_day = run(ago(3), |report| report.fresh_as_of = Some(ago(60 * 20).to_string()));
    assert_eq!(judge(Ok(there()), vec![by_day], 0).condition, Condition::Fine);
}

fn a_way_out_is_the_message_s_own_however_long_it_is() {
    let told = Told::new(Code::StateBroken, &format!("{}; mend <it>", "x".repeat(5_000)));
    let failing = named(
        "t",
        vec![run(ago(1), |report| {
            failed(report);
            report.error =
                Some(Failure { code: Some(told.code), message: told.message, class: FailureClass::Transient });
        })],
    );
    assert_eq!(failing.way_out().as_deref(), Some("mend <it>"));
    let view = view(vec![failing.clone()]);
    let pages = [list(&view, &Asked::default(), now()), table(&view, &failing, &Detail::default(), now())];
    for page in pages.map(maud::PreEscaped::into_string) {
        assert!(page.contains("Way out: </b>mend &lt;it&gt;"), "{page}");
        assert!(page.contains(&format!("<code>highwater explain {}</code>", Code::StateBroken)), "{page}");
    }
}

fn what_did_not_arrive_is_summed_up() {
    let object = |number: i64| format!("gs://b/rejects/pg/t/{number:02}-00000.ndjson");
    let audit = |column: &str, rejected: u64, replaced: u64| ColumnAudit {
        column: column.into(),
        rejected,
        replaced,
        ..ColumnAudit::default()
    };
    let runs: Vec<_> = (0..8)
        .map(|number| {
            run(ago(9 - number), |report| {
                report.rejects = vec![object(number)];
                report.findings =
                    vec![audit("v", if number == 0 { 6 } else { 1 }, 0), audit("<w>", 0, 250), audit("", 1, 0)];
            })
        })
        .collect();
    let standing = named("t", runs);
    let mut detail = Detail { rejects_left_out: 1_234, ..Detail::default() };
    detail.rejects = (0..8).rev().map(object).collect();
    detail.kept.rejected_total = 21;
    let page = table(&view(vec![standing.clone()]), &standing, &detail, now()).into_string();
    let section = page.split("data-live=\"rejects\"").nth(1).unwrap().split("</section>").next().unwrap();
    for told in [
        "21 rows rejected since the state began.",
        "In the last 8 runs:",
        "column <code>v</code>: 13 rows rejected",
        "column <code>&lt;w&gt;</code>: 2,000 texts without bytes that are no UTF-8",
        "rows too large as a whole: 8 rows rejected",
        "and 1,234 more in the same folder.",
    ] {
        assert_eq!(section.matches(told).count(), 1, "{told}: {section}");
    }
    // the newest object first, with the end of its run
    assert!(section.find(&object(7)).unwrap() < section.find(&object(0)).unwrap(), "{section}");
    assert_eq!(section.matches("<time").count(), 8, "{section}");
    assert_eq!(page.matches("column <code>v</code>: 1 row rejected").count(), 7, "{page}");
}

fn failures_in_a_row_are_counted() {
    let superseded = run(ago(2), |report| report.outcome = Outcome::Superseded);
    let runs = vec![run(ago(9), |_| {}), run(ago(5), failed), superseded, run(ago(1), failed)];
    let failures = judge(Ok(there()), runs, 0).failures;
    assert_eq!((failures.in_a_row, failures.since, failures.at_least), (2, Some(ago(5)), false));
    let failures = judge(Ok(there()), vec![run(ago(5), failed), run(ago(1), failed)], 0).failures;
    assert_eq!((failures.in_a_row, failures.at_least), (2, true));
    assert_eq!(judge(Ok(there()), vec![run(ago(1), |_| {})], 0).failures.since, None);
}

fn a_hole_in_what_was_read_is_told() {
    let runs = || vec![run(ago(30), |_| {}), run(ago(9), failed), run(ago(1), failed)];
    let told = |hole: i64| {
        let known =
            Known { settings: &settings(), kept: Ok(there()), runs: runs(), under_way: 0, hole: Some(ago(hole)) };
        let failures = Standing::judge(known, now()).failures;
        (failures.in_a_row, failures.at_least)
    };
    // none, between the failures, after all, before all
    assert_eq!((told(40), told(5), told(0)), ((2, false), (1, true), (2, true)));
}

fn a_table_without_a_seen_run_is_not_called_fine() {
    let fine = || named("fine", vec![run(ago(1), |_| {})]);
    let heading = |tables: Vec<Standing>| {
        let page = list(&view(tables), &Asked::default(), now()).into_string();
        page.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap().to_owned()
    };
    assert_eq!(heading(vec![fine(), named("t", vec![])]), "No run seen of 1 of 2 tables");
    assert_eq!(heading(vec![fine()]), "The table is fine");
    assert_eq!(heading(vec![named("bad", vec![run(ago(1), failed)]), named("t", vec![])]), "1 of 2 tables needs you");
    let sorted = view(vec![fine(), named("unseen", vec![]), named("bad", vec![run(ago(1), failed)])]);
    let names: Vec<&str> = sorted.tables.iter().map(|table| table.id.table.as_str()).collect();
    assert_eq!(names, ["bad", "unseen", "fine"]);
}

fn view(tables: Vec<Standing>) -> View {
    let mut tables = tables;
    tables.sort_by(by_urgency);
    let (runs, since) = (2, Some(ago(10)));
    View { at: now(), took_ms: 12, project: "demo".into(), tables, left_out: 0, runs, since, notes: Vec::new() }
}

fn named(name: &str, runs: Vec<Arc<Run>>) -> Standing {
    let kept = Kept { rows_total: name.len() as u64, ..there() };
    // the configuration takes fewer names than a pattern finds
    let mut settings = settings();
    settings.id.table = name.parse().unwrap();
    Standing::judge(Known { settings: &settings, kept: Ok(kept), runs, under_way: 0, hole: None }, now())
}

fn no_name_is_markup() {
    const EVIL: &str = "<img src=x onerror=alert(1)>\"'&{}";
    let standing = named(
        EVIL,
        vec![run(ago(1), |report| {
            failed(report);
            report.error = Some(Failure { code: None, message: EVIL.into(), class: FailureClass::Usage });
            report.notes = vec![EVIL.into()];
            report.drift = vec![EVIL.into()];
            report.held_by = Some(EVIL.into());
        })],
    );
    let mut view = view(vec![standing.clone()]);
    view.notes = vec![EVIL.into()];
    view.project = EVIL.into();
    let mut detail = Detail { rejects: vec![EVIL.into()], notes: vec![EVIL.into()], ..Detail::default() };
    detail.kept.watermark = Some(EVIL.into());
    detail.columns = vec![data::Column {
        source: Some(EVIL.into()),
        name: Some(EVIL.into()),
        note: EVIL.into(),
        ..Default::default()
    }];
    let asked = Asked::parse("sort=lag&q=%3Cimg&x=%22%3E%3Cscript%3E");
    let pages = [list(&view, &asked, now()).into_string(), table(&view, &standing, &detail, now()).into_string()];
    for page in pages {
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "{page}");
        assert!(!page.contains("<img") && page.matches("<script").count() == 1, "{page}");
        assert!(!page.contains("onerror=alert(1)>\""), "{page}");
        // what comes from elsewhere would not be loaded, so nothing of it is there
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains(" style="), "{page}");
    }
    assert!(highwater::page::policy().contains("script-src 'sha256-"));
}

fn the_list_is_sorted_and_filtered() {
    let fine = |minutes: i64, rows: u64| vec![run(ago(minutes), |report| report.rows = rows)];
    let view = view(vec![named("bb", fine(2, 5)), named("a", fine(3, 9)), named("ccc", vec![run(ago(1), failed)])]);
    let order = |query: &str| -> Vec<String> {
        let page = list(&view, &Asked::parse(query), now()).into_string();
        let body = page.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap().to_owned();
        body.split("<b>").skip(1).map(|rest| rest.split("</b>").next().unwrap().to_owned()).collect()
    };
    assert_eq!(order(""), ["ccc", "a", "bb"]);
    assert_eq!(order("sort=name"), ["a", "bb", "ccc"]);
    assert_eq!(order("sort=rows"), ["a", "bb", "ccc"]);
    assert_eq!(order("sort=total"), ["ccc", "bb", "a"]);
    assert_eq!(order("sort=last"), ["ccc", "bb", "a"]);
    assert_eq!(order("sort=nonsense&q=B"), ["bb"]);
    let page = list(&view, &Asked::parse("sort=lag&q=b%26b"), now()).into_string();
    assert!(page.contains("aria-sort=\"descending\"") && page.contains("sort=name&amp;q=b%26b"), "{page}");
    assert!(page.contains("1 of 3 tables needs you"), "{page}");
}

fn what_is_remembered_is_bounded() {
    let mut past = Past::default();
    let id = settings().id;
    let records: Vec<RunRecord> = (0..100).map(|minutes| record(&id, ago(minutes), |_| {})).collect();
    for record in records.iter().chain(&records) {
        past.add(record);
    }
    let runs = past.of("pg", "t");
    assert_eq!(runs.len(), highwater::page::past::RUNS_PER_TABLE_MAX);
    assert!(runs.is_sorted_by_key(|run| run.ended_at) && runs.last().unwrap().ended_at == now());
    assert_eq!(past.since(), Some(ago(59)));
    past.keep(|_, _| false);
    assert_eq!((past.count(), past.since()), (0, None));
}

fn metrics_are_openmetrics() {
    let odd = "a\"b\\c";
    let view = view(vec![named(odd, vec![run(ago(1), failed)]), named("t", vec![])]);
    let text = metrics::metrics(&view, &metrics::Process::default(), now());
    let samples = super::parsed(&text);
    let labels = |name: &str| -> Vec<&str> {
        let of = samples.iter().filter(|sample| sample["name"] == name);
        of.map(|sample| sample["labels"]["table"].as_str().unwrap_or_default()).collect()
    };
    assert_eq!(labels("highwater_rows_total"), [odd, "t"]);
    assert_eq!(labels("highwater_last_run_timestamp_seconds"), [odd]);
    let tables = samples.iter().filter(|sample| sample["name"] == "highwater_tables");
    assert_eq!(tables.clone().count(), Condition::ALL.len());
    assert_eq!(tables.map(|sample| sample["value"].as_f64().unwrap()).sum::<f64>(), 2.0);
}

fn a_page_of_many_tables_weighs_little() {
    let page = |count: usize| {
        let tables = (0..count)
            .map(|number| named(&format!("table_{number:03}"), vec![run(ago(2), |report| report.rows = 1_000)]));
        list(&view(tables.collect()), &Asked::default(), now()).into_string().len()
    };
    let (none, forty) = (page(0), page(40));
    assert!(none < 20 << 10, "the shell has {none} bytes");
    assert!(forty < 60 << 10, "a page of 40 tables has {forty} bytes");
}
