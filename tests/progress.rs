//! What a person sees: the real binary on a terminal, beside one, and told to be quiet.

use serde_json::Value;

use crate::served_tests;
use crate::support::Test;
use crate::support::place::Place;
use crate::support::process;

pub fn tests() -> Vec<Test> {
    served_tests![
        runs_go_on_where_nobody_reads,
        bars_rise_and_a_table_sums_up,
        nothing_but_errors,
        a_source_that_is_gone_is_tried_again_in_sight
    ]
}

async fn runs_go_on_where_nobody_reads() {
    let place = Place::new().await;
    place
        .pg("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
             CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)")
        .await;
    place.configure(&["a: { cursor: id }", "b: { cursor: id }"], &[], "");
    let folder = place.folder.path();
    let env = env(&place, &[]);
    // neither what is printed nor what is logged has a reader from the first byte on
    let code = process::run_unread(folder, &env, &["sync", "--all", "--json"]).await;
    assert_eq!(code, 0);
    for table in ["a", "b"] {
        let state = place.object(&format!("state/pg/{table}.json")).await.unwrap();
        assert!(state["intent"].is_null() && state["watermark"].is_object(), "{state}");
    }
    // what cannot be written though somebody wants it
    let (code, stderr) = process::run_into_full(folder, &env, &["status"]).await;
    assert!(code == 1 && stderr.contains("standard output cannot be written"), "{code}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

const ROWS: u64 = 300_000;
/// Lets every row pass, one in a thousand after 8 ms: reading takes longer than bars are drawn apart, on any machine.
const HELD_BACK: &str = "id % 1000 > 0 OR pg_sleep(0.008)::text = ''";

/// The environment without a log filter, so that the terminal says which.
fn env(place: &Place, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = place.env().into_iter().filter(|(name, _)| name != "HIGHWATER_LOG");
    own.chain(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect()
}

/// The text without escape sequences; of what only moves the cursor, a line feed is left.
fn bare(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut bare, part| {
        let end = part.find(|letter: char| letter.is_ascii_alphabetic()).expect("an escape sequence has an end");
        bare.push_str(if part.as_bytes()[end] == b'm' { "" } else { "\n" });
        bare.push_str(&part[end + 1..]);
        bare
    })
}

/// The counts of rows that the table's bar showed, in their order.
fn counts(text: &str, table: &str) -> Vec<f64> {
    let shown = text.lines().flat_map(|line| line.split('\r')).filter(|line| line.contains(table));
    let count = |line: &str| {
        let before: Vec<&str> = line.split(" rows").next()?.split_whitespace().collect();
        let number = before.last()?.replace(',', "");
        let (number, unit) = number.strip_suffix('k').map_or((number.as_str(), 1.0), |number| (number, 1000.0));
        Some(number.parse::<f64>().ok()? * unit)
    };
    shown.filter(|line| line.contains(" rows")).filter_map(count).collect()
}

async fn bars_rise_and_a_table_sums_up() {
    let place = Place::new().await;
    place
        .pg(&format!(
            "CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT i, repeat('x', 40) FROM generate_series(1, {ROWS}) i; ANALYZE big"
        ))
        .await;
    place.my("CREATE TABLE small (id int PRIMARY KEY, v text); INSERT INTO small VALUES (1, 'a'), (2, 'b')").await;
    place.configure(
        &[&format!("big: {{ cursor: id, mode: append, where: \"{HELD_BACK}\" }}")],
        &["small: { cursor: id }"],
        "",
    );
    let folder = place.folder.path();
    let (code, raw) = process::run_on_terminal(folder, &env(&place, &[]), 120, None, &["sync", "--all"]).await;
    let seen = bare(&raw);
    assert_eq!(code, 0, "{seen}");
    let counts = counts(&seen, "pg/big ");
    assert!(counts.iter().any(|rows| *rows > 0.0 && *rows < 290_000.0), "{counts:?}\n{seen}");
    assert!(counts.is_sorted() && counts.contains(&300_000.0), "{counts:?}");
    for part in ["reading", "loading", "━", "%", "/s", "MiB", "of 2 done", "WATERMARK", "300,000", "2 tables"] {
        assert!(seen.contains(part), "{part} is not in {seen}");
    }
    // information is what the bars are for
    assert!(!seen.contains("INFO") && raw.contains("\u{1b}[32msynced\u{1b}[0m"), "{seen}");
    let summary = &seen[seen.rfind("TABLE ").unwrap()..];
    assert!(!summary.contains('━') && !summary.contains(turning), "no bar is left: {summary}");

    // a narrow one, without colours
    let narrow = env(&place, &[("NO_COLOR", "1")]);
    let (code, raw) = process::run_on_terminal(folder, &narrow, 80, None, &["sync", "--all"]).await;
    assert_eq!(code, 0, "{raw}");
    let colours = raw
        .split('\u{1b}')
        .skip(1)
        .filter(|part| part.trim_start_matches(['[', ';', '0', '1', '2', '3']).starts_with('m'));
    assert_eq!(colours.count(), 0, "{raw:?}");
    let seen = bare(&raw);
    assert!(seen.contains("up_to_date") && seen.contains("pg/big"), "{seen}");
    // each line of bars is padded to the terminal's last column: three of them, and no more for one that was too long
    let bars: Vec<usize> = seen
        .lines()
        .filter(|line| line.contains("of 2 done"))
        .map(|line| line.trim_start_matches('\r').chars().count())
        .collect();
    assert!(!bars.is_empty() && bars.iter().all(|width| [160, 240].contains(width)), "{bars:?}: {seen}");
    let summary = &seen[seen.rfind("TABLE ").unwrap()..];
    assert!(summary.lines().all(|line| line.trim_end().chars().count() <= 80), "{summary}");
    // an empty value asks for nothing
    let (_, raw) =
        process::run_on_terminal(folder, &env(&place, &[("NO_COLOR", "")]), 80, None, &["sync", "big"]).await;
    assert!(raw.contains("\u{1b}[2mup_to_date\u{1b}[0m"), "{raw}");

    // one that can only write lines
    let dumb = env(&place, &[("TERM", "dumb")]);
    let (code, raw) = process::run_on_terminal(folder, &dumb, 80, None, &["sync", "--all"]).await;
    assert!(code == 0 && !raw.contains('\u{1b}') && raw.contains("up_to_date"), "{raw}");

    // with JSON on stdout stderr has the log, and nobody draws
    let out = folder.join("out.json");
    let (code, raw) =
        process::run_on_terminal(folder, &env(&place, &[]), 80, Some(&out), &["sync", "--all", "--json"]).await;
    assert!(code == 0 && raw.contains("INFO") && !raw.contains(turning), "{raw}");
    let text = std::fs::read_to_string(&out).unwrap();
    let reports: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 2, "{text}");

    // the table alone on stdout, the bars on stderr: what is piped is plain
    let (code, raw) = process::run_on_terminal(folder, &env(&place, &[]), 80, Some(&out), &["sync", "--all"]).await;
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(code == 0 && text.contains("up_to_date") && !text.contains('\u{1b}'), "{text}");
    assert!(raw.contains(turning) && !raw.contains("WATERMARK"), "{raw}");

    // beside a terminal
    let ran = process::run(folder, &env(&place, &[]), &["sync", "--all"]).await;
    assert!(ran.code == 0 && !ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{ran:?}");
    assert!(ran.stdout.contains("WATERMARK") && ran.stderr.lines().all(|line| line.starts_with('{')), "{ran:?}");
}

/// Whether it is one of the signs in front of a bar; which of them is the first to be drawn depends on the clock.
fn turning(sign: char) -> bool {
    ('\u{2800}'..='\u{28ff}').contains(&sign)
}

async fn nothing_but_errors() {
    let place = Place::new().await;
    place.pg("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')").await;
    place.configure(&["t: { cursor: id }", "gone: { cursor: id }"], &[], "");
    let (folder, env) = (place.folder.path(), env(&place, &[("HIGHWATER_LOG", "debug")]));
    for args in [["sync", "t", "--quiet"], ["--quiet", "sync", "t"], ["-q", "verify", "t"], ["-q", "status", "t"]] {
        let ran = process::run(folder, &env, &args).await;
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""), "{args:?}");
    }
    assert_eq!(process::run_on_terminal(folder, &env, 80, None, &["sync", "t", "-q"]).await, (0, String::new()));
    let ran = process::run(folder, &env, &["sync", "--all", "--quiet"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    // cause, way out, where there is more
    assert!(ran.stderr.starts_with("highwater: HW-SOURCE-NO-TABLE: pg/gone: "), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 3, "{}", ran.stderr);
    let ran = process::run(folder, &env, &["sync", "t", "--quiet", "--json"]).await;
    assert!(ran.code == 2 && ran.stdout.is_empty() && ran.stderr.contains("--json and --quiet"), "{ran:?}");
}

async fn a_source_that_is_gone_is_tried_again_in_sight() {
    let place = Place::new().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    place.write_config(&format!(
        "project: demo\ndataset: {}\nlocation: EU\nbucket: {}\nsources:\n  pg:\n    url: postgres://u:p@127.0.0.1:{port}/d\n    tables:\n      t: {{ cursor: id }}\n",
        place.name,
        place.bucket()
    ));
    let (code, raw) = process::run_on_terminal(place.folder.path(), &env(&place, &[]), 80, None, &["sync", "t"]).await;
    let seen = bare(&raw);
    assert_eq!(code, 75, "{seen}");
    assert!(seen.contains("connecting again (2)") && seen.contains("connecting again (3)"), "{seen}");
    // warnings stand above the bars, whole
    assert!(
        seen.lines().any(|line| line.contains("WARN") && line.contains("the source failed, connecting again")),
        "{seen}"
    );
    let message = &seen[seen.rfind("highwater: HW-SOURCE-").unwrap()..];
    assert!(message.lines().all(|line| line.chars().count() <= 80), "{message}");
}
