//! Windows, buckets and verdicts.

use super::*;

fn extent(rows: u64, least: &str, greatest: &str) -> Checksum {
    Checksum { group: String::new(), rows, sum: 0, least: Some(least.into()), greatest: Some(greatest.into()) }
}

fn row(key: &str, digest: &str, settled: bool) -> Fingerprint {
    Fingerprint { key_digest: key.into(), digest: digest.into(), key: vec![format!("k{key}")], settled }
}

#[test]
fn windows_in_time_are_days_or_coarser() {
    let kind = Some(CursorKind::Instant { digits: 6 });
    let month = extent(9, "2026-01-01T00:00:00.000000", "2026-01-31T23:59:59.000000");
    assert_eq!(label("t", kind, None, Some(&month)), Ok(Label::Prefix(10)));
    assert_eq!(label("t", kind, Some(By::Hour), Some(&month)), Ok(Label::Prefix(13)));
    let decade = extent(9, "2016-01-01T00:00:00.000000", "2026-01-31T23:59:59.000000");
    assert_eq!(label("t", kind, None, Some(&decade)), Ok(Label::Prefix(7)));
    let fault = VerifyError::TooManyWindows { table: "t".into() };
    assert_eq!(label("t", kind, Some(By::Day), Some(&decade)), Err(fault));
    let ages = extent(9, "1001-01-01T00:00:00.000000", "2000-01-31T23:59:59.000000");
    assert_eq!(label("t", kind, None, Some(&ages)), Ok(Label::Prefix(4)));
    assert!(label("t", Some(CursorKind::Date), Some(By::Hour), None).is_err());
    assert!(label("t", Some(CursorKind::Number), Some(By::Day), None).is_err());
    assert_eq!(label("t", None, None, None), Ok(Label::Whole));
}

#[test]
fn windows_of_numbers_have_equal_widths() {
    let kind = Some(CursorKind::Number);
    assert_eq!(label("t", kind, None, Some(&extent(400_000, "1", "400"))), Ok(Label::Ranges(vec![101, 201, 301])));
    assert_eq!(label("t", kind, None, Some(&extent(10, "1", "400"))), Ok(Label::Ranges(vec![])));
    assert_eq!(label("t", kind, None, Some(&extent(300_000, "-1.5", "0.5"))), Ok(Label::Ranges(vec![0])));
    let far = extent(200_000, "-9", &"9".repeat(60));
    assert!(matches!(label("t", kind, None, Some(&far)), Ok(Label::Ranges(bounds)) if bounds.len() == 1));
}

#[test]
fn bounds_are_of_the_cursors_type() {
    let instant = Some(CursorKind::Instant { digits: 6 });
    assert_eq!(bound("t", instant, "2026-01-02").as_deref(), Ok("2026-01-02T00:00:00.000000"));
    assert_eq!(bound("t", instant, "2026-01-02T03:04:05Z").as_deref(), Ok("2026-01-02T03:04:05.000000"));
    assert_eq!(bound("t", Some(CursorKind::Date), "2026-01-02").as_deref(), Ok("2026-01-02"));
    assert_eq!(bound("t", Some(CursorKind::Number), "-7").as_deref(), Ok("-7"));
    assert_eq!(bound("t", instant, "2026-01-02T03:04:05+02:00").as_deref(), Ok("2026-01-02T01:04:05.000000"));
    let civil = Some(CursorKind::Civil { digits: 0 });
    assert!(bound("t", civil, "2026-01-02T03:04:05+02:00").is_err(), "an offset is not passed over");
    assert_eq!(bound("t", civil, "2026-01-02T03:04:05").as_deref(), Ok("2026-01-02T03:04:05.000000"));
    assert!(bound("t", instant, "yesterday").is_err() && bound("t", None, "1").is_err());
}

#[test]
fn buckets_are_as_many_as_one_question_takes() {
    assert_eq!([1, 128, 2_048, 4_000, 1_000_000, u64::MAX].map(digits_wanted), [1, 1, 1, 2, 4, 12]);
    assert_eq!(digits_next(0, 4, 1), 3);
    assert_eq!(digits_next(3, 4, 64), 4);
    assert_eq!(digits_next(3, 9, 64), 4);
    assert_eq!(groups_max(0, 3, 0), 4_096);
}

#[test]
fn groups_stand_side_by_side_in_order() {
    let sum = |group: &str, sum| Checksum { group: group.into(), rows: 1, sum, least: None, greatest: None };
    let windows = side_by_side(vec![sum("10", 1), sum("9", 2)], vec![sum("9", 3), sum("11", 1)]);
    let said: Vec<(&str, bool)> = windows.iter().map(|window| (window.label.as_str(), window.is_equal())).collect();
    assert_eq!(said, [("9", false), ("10", false), ("11", false)]);
    assert!(side_by_side(vec![sum("a", 1)], vec![sum("a", 1)])[0].is_equal());
}

#[test]
fn suspects_are_judged_by_what_is_there_now() {
    let source = [row("1", "a", true), row("2", "a", true), row("3", "a", true), row("4", "a", true)];
    let target = [row("1", "a", true), row("2", "b", true), row("4", "b", true), row("5", "a", true)];
    let found = suspects(&source, &target);
    let keys: Vec<&str> = found.iter().map(|suspect| suspect.key_digest.as_str()).collect();
    assert_eq!(keys, ["2", "3", "4", "5"]);
    let now = [row("2", "c", true), row("3", "a", true), row("4", "c", false)];
    let verdicts = judge(&found, &target, &now);
    assert_eq!(
        verdicts,
        [
            Verdict::Differs(Difference::Changed, vec!["b".into()]),
            Verdict::Differs(Difference::Missing, vec![]),
            Verdict::Moving,
            Verdict::Differs(Difference::Extra, vec!["a".into()]),
        ]
    );
    let synced = judge(&found[..1], &[row("2", "c", true)], &now);
    assert_eq!(synced, [Verdict::Equal]);
    // a key that is not unique has more rows than one
    assert_eq!(suspects(&[row("1", "a", true), row("1", "a", true)], &[row("1", "a", true)]).len(), 1);
}

#[test]
fn cursors_are_compared_by_their_values() {
    let ascending = [
        "-10.5",
        "-9.25",
        "-9.2",
        "-1",
        "0",
        "0.05",
        "0.5",
        "9.5",
        "10",
        "10.05",
        "10.1",
        "123456789012345678901234567890123456789012",
    ];
    for (at, a) in ascending.iter().enumerate() {
        for (other, b) in ascending.iter().enumerate() {
            assert_eq!(in_order(a, b), at.cmp(&other), "{a} {b}");
        }
    }
    assert_eq!(in_order("-0.0", "0"), std::cmp::Ordering::Equal);
    assert_eq!(in_order("2026-01-01", "2026-01-01T00:00:00"), std::cmp::Ordering::Less);
}
