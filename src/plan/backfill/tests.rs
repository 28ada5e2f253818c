//! Windows, what is remembered of them, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
use super::*;
use crate::model::IntentId;

fn ask(by: WindowUnit, from: &str, to: &str) -> Ask {
    let (from, to) = (Some(from.to_owned()), Some(to.to_owned()));
    Ask { id: IntentId::new(0, 1), by, from, to, bounds: Vec::new(), within: None }
}

fn names(ask: &Ask) -> Vec<String> {
    windows("s/t", ask).unwrap().into_iter().map(|window| window.name).collect()
}

const JAN: &str = "2026-01-01T00:00:00.000000";

#[test]
fn windows_are_those_of_the_calendar_cut_at_the_ends() {
    let hours = ask(WindowUnit::Hour, "2026-01-01T22:30:00.000000", "2026-01-02T01:00:00.000000");
    assert_eq!(
        names(&hours),
        ["2026-01-01T22:30..2026-01-01T23:00", "2026-01-01T23:00..2026-01-02", "2026-01-02..2026-01-02T01:00"]
    );
    let months = ask(WindowUnit::Month, "2025-12-01", "2026-02-15");
    assert_eq!(names(&months), ["2025-12-01..2026-01-01", "2026-01-01..2026-02-01", "2026-02-01..2026-02-15"]);
    let one = ask(WindowUnit::Day, JAN, "2026-01-01T00:00:01.500000");
    assert_eq!(names(&one), ["2026-01-01..2026-01-01T00:00:01.500000"]);
    let many = ask(WindowUnit::Hour, "1900-01-01T00:00:00.000000", JAN);
    assert!(matches!(windows("s/t", &many), Err(BackfillError::TooManyWindows { .. })));
}

#[test]
fn windows_have_no_hole_and_no_row_twice() {
    for by in [WindowUnit::Hour, WindowUnit::Day, WindowUnit::Month] {
        let all = windows("s/t", &ask(by, "2025-10-25T23:59:59.999999", "2026-03-02T00:00:00.000001")).unwrap();
        let ends: Vec<_> = all.iter().map(|window| (window.from().unwrap(), window.to().unwrap())).collect();
        assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0), "{by:?}");
        assert!(ends.iter().all(|(from, to)| from < to), "{by:?}");
        assert_eq!(ends[0].0, "2025-10-25T23:59:59.999999");
        assert_eq!(ends.last().unwrap().1, "2026-03-02T00:00:00.000001");
    }
    let numbers = Ask { bounds: vec![vec!["10".into()], vec!["25".into()]], ..ask(WindowUnit::Number, "-5", "31") };
    assert_eq!(names(&numbers), ["-5..10", "10..25", "25..31"]);
    let within = Some(Bound { value: "9".into(), inclusive: true });
    let bounds = vec![vec!["a".into(), "1".into()], vec!["b".into(), "2".into()]];
    let keys = Ask { from: None, to: None, bounds, within, ..ask(WindowUnit::Key, "", "") };
    let all = windows("s/t", &keys).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!((all[0].after(), all[0].until(), all[2].until()), (None, all[1].after(), None));
}

#[test]
fn what_may_still_move_is_not_safe() {
    let bound = |value: &str, inclusive| Bound { value: value.into(), inclusive };
    let instant = CursorKind::Instant { digits: 6 };
    assert_eq!(safe_end(instant, &bound("2026-01-01T00:00:00.500000Z", false)), "2026-01-01T00:00:00.500000");
    assert_eq!(safe_end(CursorKind::Number, &bound("41", true)), "42");
    assert_eq!(safe_end(CursorKind::Number, &bound("41.5", true)), "41");
    assert_eq!(safe_end(CursorKind::Number, &bound("-0.5", true)), "-1");
    assert_eq!(just_above(CursorKind::Number, &bound("-0.5", true)).as_deref(), Some("0"));
}

#[test]
fn labels_become_windows() {
    let end = "2026-03-02T10:00:00.000000";
    let name = |label: &str| labelled(label, end, end).map(|window| window.name);
    assert_eq!(name("2026-02").as_deref(), Some("2026-02-01..2026-03-01"));
    assert_eq!(name("2026-03-02").as_deref(), Some("2026-03-02..2026-03-02T10:00"));
    assert_eq!(name("2026-03-02T09").as_deref(), Some("2026-03-02T09:00..2026-03-02T10:00"));
    assert_eq!(name("2025").as_deref(), Some("2025-01-01..2026-01-01"));
    assert_eq!((name("2026-03-03"), name("x")), (None, None));
}

fn merge<'a>() -> Known<'a> {
    Known { table: "s/t", append: false, began: None }
}

#[test]
fn what_goes_on_is_remembered_as_one() {
    let day = |from: &str, to: &str| ask(WindowUnit::Day, from, to);
    let first = remember(&Asks::none(), &day("2026-01-01", "2026-01-03"), merge()).unwrap().unwrap();
    assert_eq!(remember(&first, &day("2026-01-02", "2026-01-03"), merge()), Ok(None));
    let longer = remember(&first, &day("2026-01-03", "2026-01-09"), merge()).unwrap().unwrap();
    assert_eq!((longer.asks.len(), longer.asks[0].to.as_deref()), (1, Some("2026-01-09")));
    let apart = remember(&longer, &day("2026-02-01", "2026-02-02"), merge()).unwrap().unwrap();
    assert_eq!(apart.asks.len(), 2);
    // an end within a day is a window of its own
    let half = day("2026-01-09", "2026-01-09T12:00:00.000000");
    assert_eq!(remember(&longer, &half, merge()).unwrap().unwrap().asks.len(), 2);
    let full = Asks { asks: vec![half; Asks::MAX], ..Asks::none() };
    assert!(matches!(
        remember(&full, &day("2026-02-01", "2026-02-02"), merge()),
        Err(BackfillError::TooManyAsks { .. })
    ));
}

#[test]
fn append_brings_no_row_twice() {
    let began = "2026-01-05T12:00:00.000000";
    let known = Known { append: true, began: Some(began), ..merge() };
    let day = |from: &str, to: &str| ask(WindowUnit::Day, from, to);
    let refused = |asks: &Asks, ask: &Ask, known| match remember(asks, ask, known) {
        Err(BackfillError::Append { why, .. }) => why,
        other => format!("{other:?}"),
    };
    let none = Asks::none();
    assert!(refused(&none, &day(JAN, began), Known { began: None, ..known }).contains("`backfill_start`"));
    assert!(refused(&none, &day(JAN, "2026-01-06T00:00:00.000000"), known).contains("--to 2026-01-05T12"));
    assert!(refused(&none, &day("2026-01-01T05:00:00.000000", began), known).contains("whole days"));
    let some = remember(&none, &day(JAN, began), known).unwrap().unwrap();
    assert_eq!(remember(&some, &day(JAN, "2026-01-02T00:00:00.000000"), known), Ok(None));
    assert!(refused(&some, &ask(WindowUnit::Hour, JAN, began), known).contains("by day before"));
    let number = |from: &str, to: &str, id| Ask { id: IntentId::new(0, id), ..ask(WindowUnit::Number, from, to) };
    let known = Known { began: Some("100"), ..known };
    let some = remember(&none, &number("0", "50", 1), known).unwrap().unwrap();
    assert!(refused(&some, &number("40", "60", 2), known).contains("overlap"));
    assert!(remember(&some, &number("50", "100", 3), known).unwrap().is_some());
}

#[test]
fn windows_of_keys_are_remembered_under_their_own_names() {
    let asked = |number, value: &str| Ask {
        id: IntentId::new(0, number),
        from: None,
        to: None,
        bounds: vec![vec!["7".into()]],
        within: Some(Bound { value: value.into(), inclusive: true }),
        ..ask(WindowUnit::Key, "", "")
    };
    let one = remember(&Asks::none(), &asked(1, "9"), merge()).unwrap().unwrap();
    assert_eq!(remember(&one, &asked(1, "9"), merge()), Ok(None));
    // else a load could be begun under an id that nobody finds
    assert_eq!(remember(&one, &asked(2, "9"), merge()).unwrap().unwrap().asks.len(), 2);
    assert!(is_same(&one.asks[0], &asked(2, "9")) && !is_same(&one.asks[0], &asked(2, "10")));
}
