//! Random values as the text that goes into an insert, edges before everything else. Pure.
//!
//! Only what both servers take alike; the forms of one of them are in `postgres` and `mysql`.

use std::fmt::Display;
use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::canon::days_in_month;

pub type Texts = BoxedStrategy<String>;

/// One of the edges as often as something random.
pub fn edges(edges: &[&str], random: impl Strategy<Value = String> + 'static) -> Texts {
    let edges: Vec<String> = edges.iter().map(|&edge| edge.to_owned()).collect();
    prop_oneof![1 => select(edges), 2 => random].boxed()
}

/// A whole number, of any number of bits.
pub fn integers(range: RangeInclusive<i128>) -> Texts {
    let (min, max) = range.clone().into_inner();
    let exact = 1_i128 << 53;
    let near = [min, min + 1, -exact, 1 - exact, -1, 0, 1, exact - 1, exact, exact + 1, max - 1, max];
    let near: Vec<i128> = near.into_iter().filter(|value| range.contains(value)).collect();
    let bits = (any::<i128>(), 63..126_u32).prop_map(move |(value, shift)| (value >> shift).clamp(min, max));
    prop_oneof![select(near), range, bits].prop_map(|value| value.to_string()).boxed()
}

/// So many digits, at the most: nines, zeros with a one, or any.
fn digits(most: usize) -> Texts {
    let any_digits = vec(prop_oneof![Just('0'), Just('9'), prop::char::range('0', '9')], 0..=most);
    prop_oneof![
        1 => (0..=most).prop_map(|count| "9".repeat(count)),
        1 => (0..=most).prop_map(|count| if count == 0 { String::new() } else { format!("{:0>count$}", 1) }),
        1 => (0..=most).prop_map(|count| if count == 0 { String::new() } else { format!("{:0<count$}", 1) }),
        3 => any_digits.prop_map(String::from_iter),
    ]
    .boxed()
}

/// A decimal of so many digits before and after the point, at the most.
pub fn decimals(whole: usize, fraction: usize) -> Texts {
    let made = |(negative, whole, fraction): (bool, String, String)| {
        let sign = if negative { "-" } else { "" };
        let whole = if whole.is_empty() { "0" } else { &whole };
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    };
    let edge =
        ["0".to_owned(), format!("-{}", "9".repeat(whole)), format!("{}.{}", "9".repeat(whole), "9".repeat(fraction))];
    let edge = edge.map(|text| text.trim_end_matches('.').to_owned());
    prop_oneof![1 => select(edge.to_vec()), 8 => (any::<bool>(), digits(whole), digits(fraction)).prop_map(made)]
        .boxed()
}

/// Any finite double: every exponent, subnormals, whole numbers, decimals of few digits.
pub fn finite_doubles() -> BoxedStrategy<f64> {
    let edge = vec![
        0.0,
        0.1,
        5e-324,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        1e22,
        1e23,
        9_007_199_254_740_993.0,
        f64::EPSILON,
    ];
    let any_bits = any::<u64>().prop_map(f64::from_bits).prop_map(|value| if value.is_finite() { value } else { 1.5 });
    let subnormal = (0..1_u64 << 52).prop_map(f64::from_bits);
    let short = (any::<i32>(), 0..12_i32).prop_map(|(units, scale)| f64::from(units) / 10_f64.powi(scale));
    prop_oneof![1 => select(edge), 2 => any_bits, 1 => subnormal, 2 => short].boxed()
}

/// As [`finite_doubles`].
pub fn finite_singles() -> BoxedStrategy<f32> {
    let edge =
        vec![0.0, 0.1, 1e-45, f32::MIN_POSITIVE, f32::MAX, f32::MIN, 16_777_216.0, 1.234_567_9, 8.5e9, f32::EPSILON];
    let any_bits = any::<u32>().prop_map(f32::from_bits).prop_map(|value| if value.is_finite() { value } else { 1.5 });
    let subnormal = (0..1_u32 << 23).prop_map(f32::from_bits);
    prop_oneof![1 => select(edge), 3 => any_bits, 1 => subnormal].boxed()
}

/// The shortest text of finite values.
pub fn exponents<F: std::fmt::LowerExp + std::fmt::Debug + 'static>(values: BoxedStrategy<F>) -> Texts {
    values.prop_map(|value| format!("{value:e}")).boxed()
}

const HOSTILE: [&str; 34] = [
    "",
    " ",
    "   trailing   ",
    "NULL",
    "null",
    "\\N",
    "\\",
    "\\\\",
    "\"",
    "\"\"",
    "'",
    "''",
    "';DROP TABLE x;--",
    "`",
    "$1",
    "?",
    "${x}",
    "\\u0000",
    "\\ud800",
    "\\x",
    "\\\"}",
    "\",\"v\":\"",
    "}\n{\"id\":0}",
    "\r\n",
    "\t",
    "\u{1}\u{1f}\u{7f}\u{80}\u{9f}",
    "\u{2028}\u{2029}",
    "\u{feff}bom",
    "e\u{301}\u{301}\u{301}",
    "👩\u{200d}👩\u{200d}👧",
    "\u{10ffff}\u{fffe}\u{ffff}",
    "\u{202e}abc",
    "ﬁ漢字ÅÅ",
    "naïve ☃ 🦀",
];

/// Any character but NUL, those with a meaning somewhere often.
pub fn chars() -> BoxedStrategy<char> {
    let marks: Vec<char> =
        "'\"\\`${}[](),;:%&<>=-/?#@\n\r\t\u{8}\u{b}\u{c}\u{1}\u{1b}\u{7f}\u{85}\u{a0}\u{301}\u{2028}\u{fffd}🦀"
            .chars()
            .collect();
    let any_char = any::<char>().prop_map(|char| if char == '\0' { '\u{1}' } else { char });
    prop_oneof![3 => prop::char::range(' ', '~'), 2 => select(marks), 2 => any_char].boxed()
}

/// Text of so many characters, at the most.
pub fn texts_of(chars: BoxedStrategy<char>, most: usize) -> Texts {
    let long = (chars.clone(), 0..=most).prop_map(|(char, count)| String::from_iter(std::iter::repeat_n(char, count)));
    let short = vec(chars, 0..=most.min(40)).prop_map(String::from_iter);
    prop_oneof![5 => short, 1 => long].boxed()
}

/// Text of any characters but NUL.
pub fn texts(most: usize) -> Texts {
    let hostile = select(&HOSTILE[..]).prop_map(move |text| text.chars().take(most).collect());
    prop_oneof![2 => hostile, 3 => texts_of(chars(), most)].boxed()
}

/// Bytes as hexadecimal digits.
pub fn hex_bytes(lengths: RangeInclusive<usize>) -> Texts {
    vec(prop_oneof![any::<u8>(), select(vec![0, 0x0a, 0x22, 0x27, 0x5c, 0x80, 0xff])], lengths)
        .prop_map(|bytes| super::canon::hex(&bytes))
        .boxed()
}

/// Year, month and day of the Gregorian calendar, leap days and ends of months often.
pub fn days(years: RangeInclusive<u32>) -> BoxedStrategy<(u32, u32, u32)> {
    let (first, last) = years.clone().into_inner();
    let known = [1, 4, 100, 400, 1582, 1900, 1969, 1970, 1999, 2000, 2023, 2024, 2038, 2100, 9999, 10000];
    let known = known.into_iter().chain([first, last]).filter(|year| years.contains(year)).collect::<Vec<u32>>();
    let day = (prop_oneof![select(known), years], 1..=12_u32, prop_oneof![1..=31_u32, Just(31)]);
    let leap = prop_oneof![3 => Just(false), 1 => Just(true)];
    (day, leap)
        .prop_map(|((year, month, day), leap)| {
            let month = if leap { 2 } else { month };
            (year, month, day.min(days_in_month(year, month)))
        })
        .boxed()
}

/// Microseconds of a day, rounded to so many digits of the second.
pub fn day_micros(digits: u32) -> BoxedStrategy<i64> {
    const DAY: i64 = 86_400_000_000;
    let unit = 10_i64.pow(6 - digits);
    let edge = vec![0, unit, 1_000_000, DAY / 2, DAY - 1_000_000, DAY - unit];
    let seconds = (0..86_400_i64).prop_map(|seconds| seconds * 1_000_000);
    prop_oneof![1 => select(edge), 1 => seconds, 2 => (0..DAY).prop_map(move |micros| micros / unit * unit)].boxed()
}

/// `HH:MM:SS[.ffffff]`.
pub fn clock(micros: i64) -> String {
    let text = super::canon::time_text(micros);
    text.strip_suffix(".000000").map_or_else(|| text.clone(), str::to_owned)
}

/// `YYYY-MM-DD`.
pub fn day_text((year, month, day): (u32, u32, u32)) -> String {
    format!("{year:04}-{month:02}-{day:02}")
}

/// JSON documents, with white space and every escape; `nul` allows U+0000.
pub fn documents(nul: bool) -> Texts {
    let number = prop_oneof![
        integers(-(1 << 70)..=1 << 70),
        decimals(20, 20),
        (decimals(3, 3), -290..290_i32).prop_map(|(decimal, exponent)| format!("{decimal}E{exponent:+}")),
    ];
    // JSON takes no zeros in front
    let number = number.prop_map(|text| {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
        let digits = digits.trim_start_matches('0');
        format!("{sign}{}{digits}", if digits.starts_with(|first: char| first.is_ascii_digit()) { "" } else { "0" })
    });
    let string = json_strings(nul);
    let word = select(vec!["null", "true", "false", "[]", "{}", "\"\"", "-0", "-0.0", "0e0"]).prop_map(str::to_owned);
    let leaf = prop_oneof![word, number, string.clone()];
    let space = || select(vec!["", "", "", " ", "\n", "\t", "\r\n", "  "]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let item = (space(), inner.clone()).prop_map(|(space, value)| format!("{space}{value}"));
        let field =
            (string.clone(), space(), inner).prop_map(|(name, space, value)| format!("{space}{name}{space}:{value}"));
        prop_oneof![
            (vec(item, 0..5), space()).prop_map(|(items, space)| format!("[{}{space}]", items.join(","))),
            (vec(field, 0..5), space()).prop_map(|(fields, space)| format!("{{{}{space}}}", fields.join(","))),
        ]
    })
    .boxed()
}

fn json_strings(nul: bool) -> Texts {
    let mut escapes = vec![
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u001f",
        "\\u00e9",
        "\\ud83e\\udd80",
        "\\u2028",
        "\\\\u0000",
    ];
    if nul {
        escapes.push("\\u0000");
    }
    let plain = chars().prop_map(|char| match char {
        '"' | '\\' => format!("\\{char}"),
        '\0'..' ' => format!("\\u{:04x}", u32::from(char)),
        _ => char.to_string(),
    });
    vec(prop_oneof![3 => plain, 1 => select(escapes).prop_map(str::to_owned)], 0..12)
        .prop_map(|pieces| format!("\"{}\"", pieces.concat()))
        .boxed()
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub fn uuids() -> Texts {
    prop_oneof![Just(0), Just(u128::MAX), any::<u128>()].prop_map(uuid).boxed()
}

/// Those of version 1 to 5 and the variant of RFC 4122: MariaDB refuses some others.
pub fn rfc_uuids() -> Texts {
    let parts = (any::<u128>(), 1..=5u128, 8..=0xbu128);
    let value = |(value, version, variant): (u128, u128, u128)| {
        value & !(0xf << 76) & !(0xf << 60) | version << 76 | variant << 60
    };
    parts.prop_map(move |parts| uuid(value(parts))).boxed()
}

fn uuid(value: u128) -> String {
    let hex = format!("{value:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

pub fn v4() -> BoxedStrategy<std::net::Ipv4Addr> {
    prop_oneof![Just(0), Just(u32::MAX), any::<u32>()].prop_map(std::net::Ipv4Addr::from).boxed()
}

/// Addresses with runs of zeros, and those that hold an address of IPv4.
pub fn v6() -> BoxedStrategy<std::net::Ipv6Addr> {
    let groups = prop::array::uniform8(prop_oneof![2 => Just(0), 1 => Just(1), 2 => any::<u16>()]);
    let mapped = any::<u32>().prop_map(|v4| u128::from(v4) | 0xffff << 32);
    let compatible = any::<u32>().prop_map(u128::from);
    prop_oneof![
        4 => groups.prop_map(std::net::Ipv6Addr::from),
        1 => mapped.prop_map(std::net::Ipv6Addr::from),
        1 => compatible.prop_map(std::net::Ipv6Addr::from),
    ]
    .boxed()
}

/// Values as text.
pub fn shown<T: Display + std::fmt::Debug + 'static>(values: BoxedStrategy<T>) -> Texts {
    values.prop_map(|value| value.to_string()).boxed()
}
