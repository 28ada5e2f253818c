//! Values of MariaDB's types, as texts that the type takes. Pure.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::strategies;
use super::super::strategies::{Texts, clock, day_micros, day_text, days, edges, exponents, finite_doubles, texts_of};

/// Text of any characters, NUL among them.
pub fn texts(most: usize) -> Texts {
    let half = most / 2;
    let with_nul =
        (strategies::texts(half - 1), strategies::texts(half)).prop_map(|(one, other)| format!("{one}\0{other}"));
    prop_oneof![5 => strategies::texts(most), 1 => with_nul].boxed()
}

/// Characters of latin1, which is Windows' code page 1252.
pub fn latin(most: usize) -> Texts {
    let special: Vec<char> = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\u{81}\u{8d}\u{8f}\u{90}\u{9d}".chars().collect();
    let chars = prop_oneof![prop::char::range('\0', '\u{7f}'), prop::char::range('\u{a0}', 'ÿ'), select(special),];
    texts_of(chars.boxed(), most)
}

/// Dates of the calendar, and those that only MariaDB has.
pub fn dates() -> Texts {
    const ODD: [&str; 9] = [
        "0000-00-00",
        "2024-00-00",
        "2024-05-00",
        "2024-02-31",
        "1900-02-29",
        "0000-01-01",
        "0000-12-31",
        "0001-01-01",
        "9999-12-31",
    ];
    let loose = (0..=9999_u32, 0..=12_u32, 0..=31_u32).prop_map(day_text);
    edges(&ODD, prop_oneof![3 => days(1..=9999).prop_map(day_text), 1 => loose])
}

pub fn datetimes(digits: u32) -> Texts {
    let made = (dates(), day_micros(digits)).prop_map(|(day, micros)| format!("{day} {}", clock(micros)));
    edges(&["0000-00-00 00:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "0000-00-00 10:11:12"], made)
}

/// Milliseconds since 1970 with a point before the last three, or the zero of all timestamps.
pub fn instants() -> Texts {
    const LAST: i64 = 2_147_483_647_999;
    let random = (1000..=LAST).prop_map(|millis| format!("{}.{:03}", millis / 1000, millis % 1000));
    let edge = [
        "0000-00-00 00:00:00",
        "1.000",
        "1.001",
        "2147483647.999",
        "951782400.000",
        "1711848600.500",
        "1709164800.999",
    ];
    edges(&edge, random)
}

/// The literal of a value of [`instants`].
pub fn instant(value: &str) -> String {
    if value.starts_with("0000") { format!("'{value}'") } else { format!("FROM_UNIXTIME({value})") }
}

pub fn times(digits: u32) -> Texts {
    const MOST: i64 = 3_020_399_000_000;
    let unit = 10_i64.pow(6 - digits);
    let show = |micros: i64| {
        let (sign, size) = (if micros < 0 { "-" } else { "" }, micros.abs());
        let seconds = size / 1_000_000;
        format!("{sign}{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, size % 1_000_000)
    };
    let far = (-MOST..=MOST).prop_map(move |micros| micros / unit * unit);
    let edge = ["00:00:00", "23:59:59", "24:00:00", "838:59:59", "-838:59:59", "-00:00:01", "00:00:01"];
    edges(&edge, prop_oneof![2 => day_micros(digits), 1 => far].prop_map(show))
}

pub fn labels() -> Texts {
    let labels = ["a", "it's \"ok\"", "", "x,y", "back\\slash", "ä🦀", "NULL", "line\nend", "{}"];
    select(labels.to_vec()).prop_map(str::to_owned).boxed()
}

pub fn label_sets() -> Texts {
    let labels = vec!["a", "it's \"ok\"", "b c", "back\\slash", "ä🦀", "NULL", "{}"];
    subsequence(labels, 0..=7).prop_map(|labels| labels.join(",")).boxed()
}

/// JSON, and what MariaDB takes for it.
pub fn documents() -> Texts {
    const NEARLY: [&str; 8] =
        ["1.", "\"\\x\"", "[1.,2]", "{\"a\":\"\\q\"}", "1.e5", " 1 ", "{\"a\":1,\"a\":2}", "\"\u{7f}\u{2028}\""];
    prop_oneof![1 => select(&NEARLY[..]).prop_map(str::to_owned), 9 => strategies::documents(true)].boxed()
}

fn coordinates() -> Texts {
    (exponents(finite_doubles()), exponents(finite_doubles())).prop_map(|(x, y)| format!("{x} {y}")).boxed()
}

pub fn points() -> Texts {
    coordinates().prop_map(|point| format!("POINT({point})")).boxed()
}

/// Rings that end where they begin.
pub fn polygons() -> Texts {
    let ring = vec(coordinates(), 3..6).prop_map(|mut points| {
        points.push(points[0].clone());
        format!("({})", points.join(","))
    });
    vec(ring, 1..3).prop_map(|rings| format!("POLYGON({})", rings.join(","))).boxed()
}
