//! Values of PostgreSQL's types, as texts that the type takes. Pure.

use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::canon;
use super::super::strategies::{
    Texts, chars, clock, day_micros, day_text, days, decimals, edges, exponents, finite_doubles, hex_bytes, integers,
    shown, texts, texts_of, v4, v6,
};

pub fn just(text: &str) -> Texts {
    Just(text.to_owned()).boxed()
}

pub fn floats(finite: Texts) -> Texts {
    prop_oneof![1 => select(vec!["NaN", "Infinity", "-Infinity", "-0", "0"]).prop_map(str::to_owned), 6 => finite]
        .boxed()
}

pub fn or_nan(numbers: Texts) -> Texts {
    prop_oneof![1 => Just("NaN".to_owned()), 15 => numbers].boxed()
}

/// Numbers for a scale greater than the precision: below a hundredth.
pub fn thousandths() -> Texts {
    (-999..=999_i32).prop_map(|units| format!("{units}e-5")).boxed()
}

/// `numeric` of any size, about both ends of BIGNUMERIC most of all.
pub fn numerics() -> Texts {
    const ENDS: [&str; 14] = [
        "578960446186580977117854925043439539266.34992332820282019728792003956564819967",
        "578960446186580977117854925043439539266.34992332820282019728792003956564819968",
        "-578960446186580977117854925043439539266.34992332820282019728792003956564819968",
        "-578960446186580977117854925043439539266.34992332820282019728792003956564819969",
        "578960446186580977117854925043439539267",
        "100000000000000000000000000000000000000",
        "1e-38",
        "1e-39",
        "-1e-16383",
        "1e5000",
        "1.500",
        "0.00000",
        "Infinity",
        "-Infinity",
    ];
    let random = prop_oneof![
        3 => decimals(20, 10),
        2 => decimals(39, 39),
        1 => decimals(200, 100),
        1 => (decimals(5, 5), -45..45_i32).prop_map(|(decimal, exponent)| format!("{decimal}e{exponent}")),
    ];
    or_nan(edges(&ENDS, random))
}

pub fn money() -> Texts {
    let cents = integers(i64::MIN.into()..=i64::MAX.into()).prop_map(|text| {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
        let digits = format!("{digits:0>3}");
        let (whole, fraction) = digits.split_at(digits.len() - 2);
        format!("{sign}{whole}.{fraction}")
    });
    cents.boxed()
}

/// Bytes of text, some of which are no UTF-8; NUL is not among them.
pub fn nearly_utf8() -> Texts {
    const BROKEN: [&[u8]; 9] = [
        b"\xff",
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf0\x9f\xa6",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
        b"\x80\x80",
        b"\xf8\x88\x80\x80\x80",
    ];
    let piece = prop_oneof![
        6 => texts(10).prop_map(String::into_bytes),
        1 => select(&BROKEN[..]).prop_map(<[u8]>::to_vec),
    ];
    vec(piece, 0..4).prop_map(|pieces| canon::hex(&pieces.concat())).boxed()
}

/// Days of BigQuery's years, some before Christ, some after the year 9999.
fn far_days() -> Texts {
    let before = days(1..=4713).prop_map(|(year, month, day)| day_text((year, month, day.min(28))) + " BC");
    prop_oneof![6 => days(1..=9999).prop_map(day_text), 1 => before, 1 => days(10_000..=294_275).prop_map(day_text)]
        .boxed()
}

pub fn dates() -> Texts {
    let ends = [
        "infinity",
        "-infinity",
        "4714-11-24 BC",
        "0001-12-31 BC",
        "0001-01-01",
        "9999-12-31",
        "10000-01-01",
        "5874897-12-31",
        "2024-02-29",
        "0004-02-29",
        "1582-10-10",
    ];
    edges(&ends, far_days())
}

pub fn times() -> Texts {
    let ends = ["24:00:00", "00:00:00", "23:59:59.999999", "23:59:60", "23:59:59.9999995", "00:00:00.000001"];
    edges(&ends, day_micros(6).prop_map(clock))
}

pub fn zoned_times() -> Texts {
    let zone = (any::<bool>(), 0..16_u32, 0..60_u32, prop_oneof![Just(0), 0..60_u32]);
    let zone = zone.prop_map(|(west, hours, minutes, seconds)| {
        format!("{}{hours:02}:{minutes:02}:{seconds:02}", if west { '-' } else { '+' })
    });
    let zone =
        prop_oneof![zone, select(vec!["+00", "+15:59:59", "-15:59:59", "+05:30", "-00:00:01"]).prop_map(str::to_owned)];
    (times(), zone).prop_map(|(time, zone)| time + &zone).boxed()
}

/// A day, which may end in `BC`, with a time of day.
fn moment(day: &str, time: &str, zone: &str) -> String {
    match day.strip_suffix(" BC") {
        Some(day) => format!("{day} {time}{zone} BC"),
        None => format!("{day} {time}{zone}"),
    }
}

pub fn timestamps(digits: u32) -> Texts {
    let ends = [
        "infinity",
        "-infinity",
        "4714-11-24 00:00:00 BC",
        "0001-12-31 23:59:59.999999 BC",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59.999999",
        "9999-12-31 23:59:59.9999995",
        "9999-12-31 23:59:59.4",
        "10000-01-01 00:00:00",
        "294276-12-31 23:59:58",
        "1999-12-31 24:00:00",
        "1969-12-31 23:59:59.999999",
        "2000-01-01 00:00:00.000001",
    ];
    edges(&ends, (far_days(), day_micros(digits)).prop_map(|(day, micros)| moment(&day, &clock(micros), "")))
}

pub fn instants() -> Texts {
    let ends = [
        "infinity",
        "-infinity",
        "4714-11-24 00:00:00+00 BC",
        "0001-01-01 00:00:00+00",
        "0001-01-01 00:00:00+01",
        "9999-12-31 23:59:59.999999+00",
        "9999-12-31 23:00:00-02",
        "0001-12-31 23:00:00-02 BC",
        "294276-12-31 23:59:58+00",
        "2024-03-31 02:30:00 Europe/Berlin",
        "2024-10-27 02:30:00 Europe/Berlin",
        "2024-03-10 02:30:00 America/New_York",
        "1883-11-18 12:03:57 America/New_York",
        "2011-12-30 00:00:00 Pacific/Apia",
        "1900-01-01 00:00:00 Africa/Monrovia",
    ];
    let zone = select(vec!["+00", "+05:30", "-12", "+14", "-00:44:30", " Asia/Kathmandu", " Australia/Lord_Howe", "Z"]);
    edges(&ends, (far_days(), day_micros(6), zone).prop_map(|(day, micros, zone)| moment(&day, &clock(micros), zone)))
}

pub fn intervals() -> Texts {
    let ends = [
        "0",
        "178000000 years",
        "-178000000 years",
        "2147483647 mons -2147483648 days 2562047788:00:54.775807",
        "1 mon -1 day +00:00:00.000001",
        "-00:00:00.000001",
        "-1 year +1 mon",
        "-1 days +02:03:00",
        "11 mons",
        "-23:59:59.999999",
        "1 year -1 mon",
    ];
    let signed = |most: i64| prop_oneof![1 => Just(0), 1 => -15..=15_i64, 1 => -most..=most];
    let micros = prop_oneof![1 => Just(0), 1 => -86_400_000_000..=86_400_000_000_i64, 1 => -(1_i64 << 62)..=1 << 62];
    let random = (signed(i32::MAX.into()), signed(i32::MAX.into()), micros).prop_map(|(months, days, micros)| {
        let (sign, size) = (if micros < 0 { "-" } else { "" }, micros.abs());
        let (seconds, fraction) = (size / 1_000_000, size % 1_000_000);
        let time = format!("{sign}{}:{:02}:{:02}.{fraction:06}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{months} mons {days} days {time}")
    });
    edges(&ends, random)
}

/// In quotes, with a backslash where one is needed.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

pub fn hstores() -> Texts {
    let value =
        weighted(0.8, texts(20)).prop_map(|value| value.map_or_else(|| "NULL".to_owned(), |text| quoted(&text)));
    let pair = (texts(20), value).prop_map(|(key, value)| format!("{}=>{value}", quoted(&key)));
    vec(pair, 0..5).prop_map(|pairs| pairs.join(",")).boxed()
}

/// Of one to three dimensions, with NULLs, sometimes counted from elsewhere than 1, sometimes empty.
pub fn arrays(items: Texts) -> Texts {
    let item = weighted(0.8, items).prop_map(|item| item.map_or_else(|| "NULL".to_owned(), |text| quoted(&text)));
    let shape = (vec(1..4_usize, 1..=3), prop_oneof![4 => Just(1), 1 => -2..3_i64]);
    let made = shape.prop_flat_map(move |(sizes, first)| {
        vec(item.clone(), sizes.iter().product::<usize>()).prop_map(move |mut items| {
            let mut bounds = String::new();
            for &size in sizes.iter().rev() {
                items = items.chunks(size).map(|chunk| format!("{{{}}}", chunk.join(","))).collect();
                bounds.insert_str(0, &format!("[{first}:{}]", first + i64::try_from(size).unwrap() - 1));
            }
            let items = items.concat();
            if first == 1 { items } else { format!("{bounds}={items}") }
        })
    });
    prop_oneof![1 => Just("{}".to_owned()), 9 => made].boxed()
}

pub fn addresses() -> Texts {
    let parts = (
        weighted(0.8, texts(20)),
        weighted(0.8, integers(i32::MIN.into()..=i32::MAX.into())),
        weighted(0.8, or_nan(decimals(20, 20))),
    );
    parts
        .prop_map(|(street, zip, note)| {
            let fields = [street, zip, note].map(|field| field.map(|text| quoted(&text)).unwrap_or_default());
            format!("({})", fields.join(","))
        })
        .boxed()
}

pub fn moods() -> Texts {
    select(vec!["sad", "it's \"ok\"", "a,b", "", " ", "back\\slash", "ä🦀", "NULL", "{}"])
        .prop_map(str::to_owned)
        .boxed()
}

/// The bounds that a range may have.
fn brackets() -> impl Strategy<Value = (&'static str, &'static str)> {
    (select(vec!["[", "("]), select(vec!["]", ")"]))
}

pub fn int_ranges() -> Texts {
    let bound = || weighted(0.85, prop_oneof![-5..5_i32, any::<i32>()]);
    let made = (bound(), bound(), brackets()).prop_map(|(one, other, (open, close))| {
        let (low, high) = match (one, other) {
            (Some(one), Some(other)) => (Some(one.min(other)), Some(one.max(other))),
            bounds => bounds,
        };
        // the last number has none after it, and a canonical range ends before a number
        let show = |bound: Option<i32>| bound.map(|value| value.min(i32::MAX - 1).to_string()).unwrap_or_default();
        format!("{open}{},{}{close}", show(low), show(high))
    });
    prop_oneof![1 => just("empty"), 9 => made].boxed()
}

pub fn int_multiranges() -> Texts {
    vec(int_ranges(), 0..5).prop_map(|ranges| format!("{{{}}}", ranges.join(","))).boxed()
}

pub fn instant_ranges() -> Texts {
    let bound = || weighted(0.85, (days(1..=20_000), day_micros(6)));
    let made = (bound(), bound(), brackets()).prop_map(|(one, other, (open, close))| {
        let (low, high) = match (one, other) {
            (Some(one), Some(other)) => (Some(one.min(other)), Some(one.max(other))),
            bounds => bounds,
        };
        let show = |bound: Option<((u32, u32, u32), i64)>| {
            bound.map(|(day, micros)| format!("\"{} {}+00\"", day_text(day), clock(micros))).unwrap_or_default()
        };
        format!("{open}{},{}{close}", show(low), show(high))
    });
    edges(&["empty", "(,)", "[-infinity,infinity]", "[-infinity,infinity)", "[0044-03-15 00:00:00+00 BC,)"], made)
}

pub fn inets() -> Texts {
    let v4 = (v4(), weighted(0.6, 0..=32_u8)).prop_map(|(address, bits)| (address.to_string(), bits));
    let v6 = (v6(), weighted(0.6, 0..=128_u8)).prop_map(|(address, bits)| (address.to_string(), bits));
    prop_oneof![v4, v6]
        .prop_map(|(address, bits)| bits.map_or_else(|| address.clone(), |bits| format!("{address}/{bits}")))
        .boxed()
}

pub fn cidrs() -> Texts {
    let v4 = (v4(), 0..=32_u32).prop_map(|(address, bits)| {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        format!("{}/{bits}", std::net::Ipv4Addr::from(u32::from(address) & mask))
    });
    let v6 = (v6(), 0..=128_u32).prop_map(|(address, bits)| {
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        format!("{}/{bits}", std::net::Ipv6Addr::from(u128::from(address) & mask))
    });
    prop_oneof![v4, v6].boxed()
}

pub fn bits(lengths: RangeInclusive<usize>) -> Texts {
    vec(prop::char::range('0', '1'), lengths).prop_map(String::from_iter).boxed()
}

pub fn points() -> Texts {
    let coordinate = || floats(exponents(finite_doubles()));
    (coordinate(), coordinate()).prop_map(|(x, y)| format!("({x},{y})")).boxed()
}

pub fn polygons() -> Texts {
    vec(points(), 1..6).prop_map(|points| format!("({})", points.join(","))).boxed()
}

pub fn xml() -> Texts {
    let plain = chars().prop_map(|char| match char {
        '\0'..' ' | '\u{fffe}' | '\u{ffff}' => ' ',
        char => char,
    });
    let content = texts_of(plain.boxed(), 60).prop_map(|text| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;")
    });
    let element =
        (content.clone(), content.clone()).prop_map(|(value, text)| format!("<a b=\"{value}\">\n\t{text}</a>"));
    let rest = [
        "",
        "<a/>",
        "<a><![CDATA[\"]]</>]]></a>",
        "<!-- \\ \" -->",
        "<?pi x?><a>&#10;&#128512;</a>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ä>é</ä>",
    ];
    edges(&rest, prop_oneof![element, content])
}

pub fn tsvectors() -> Texts {
    let place =
        (1..16_383_u32, select(vec!["", "A", "B", "C", "D"])).prop_map(|(place, weight)| format!("{place}{weight}"));
    let lexeme = (texts(30), vec(place, 0..4)).prop_map(|(word, places)| {
        let word = if word.is_empty() { "x".to_owned() } else { word.replace('\\', "\\\\").replace('\'', "''") };
        format!("'{word}'{}{}", if places.is_empty() { "" } else { ":" }, places.join(","))
    });
    vec(lexeme, 0..6).prop_map(|lexemes| lexemes.join(" ")).boxed()
}

pub fn ltrees() -> Texts {
    vec("[A-Za-z0-9_]{1,20}", 0..8).prop_map(|labels| labels.join(".")).boxed()
}

pub fn lsns() -> Texts {
    let words = hex_bytes(8..=8).prop_map(|hex| format!("{}/{}", &hex[..8], &hex[8..]));
    prop_oneof![1 => shown(Just("0/0").boxed()), 6 => words].boxed()
}
