//! What comes to the door: envelopes, paths and headers, right ones and every kind of wrong one.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Names that can be, of tables that there are not.
const DATA: &str = r#"{"source":"pg","table":"never","more":[1,{"x":null}]}"#;
const ATTRIBUTES: &str = r#"{"source":"pg","table":"never","origin":"scheduler"}"#;

/// Bytes that a failure shows as text.
#[derive(Clone)]
pub struct Raw(pub Vec<u8>);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// An envelope, and whether it names a table by the rules.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub body: Raw,
    pub names: bool,
}

/// One part of an envelope: its JSON, and whether it names a table, says nothing, or is wrong.
type Part = (Option<String>, Says);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Names,
    Nothing,
    /// Data that is no JSON of ours: somebody else's business if the attributes name both.
    Foreign,
    Wrong,
}

fn quoted(text: &str) -> Option<String> {
    Some(format!("\"{text}\""))
}

fn data() -> impl Strategy<Value = Part> {
    let encoded = |text: &str| quoted(&STANDARD.encode(text));
    let foreign = select(vec![
        "not json",
        "[]",
        r#"["pg","never"]"#,
        "null",
        "1e999",
        "-",
        r#"{"source":1,"table":"t"}"#,
        r#"{"source":"pg","source":"pg","table":"t"}"#,
        "{\"source\":\"pg\",\"table\":\"\\ud800\"}",
        "\u{feff}{}",
    ]);
    let wrong =
        select(vec!["\"%%%\"", "\"A\"", "\"AAA\\u0000\"", "\"ey J9\"", "null", "7", "{}", "[\"e30=\"]", "1e400"]);
    prop_oneof![
        3 => Just((encoded(DATA), Says::Names)),
        1 => Just((quoted(&STANDARD_NO_PAD.encode(DATA)), Says::Names)),
        1 => Just((None, Says::Nothing)),
        1 => Just((encoded("{}"), Says::Nothing)),
        1 => Just((quoted(""), Says::Nothing)),
        2 => foreign.prop_map(move |text| (encoded(text), Says::Foreign)),
        3 => wrong.prop_map(|text| (Some(text.to_owned()), Says::Wrong)),
    ]
}

fn attributes() -> impl Strategy<Value = Part> {
    let huge = |(count, size): (usize, usize)| {
        let more: String = (0..count).map(|at| format!(",\"k{at}\":\"{}\"", "v".repeat(size))).collect();
        (Some(format!("{}{more}}}", ATTRIBUTES.trim_end_matches('}'))), Says::Names)
    };
    let wrong = select(vec![
        "null",
        "[]",
        "[\"pg\",\"never\"]",
        "\"pg/never\"",
        "{\"source\":5}",
        "{\"table\":{}}",
        "{\"source\":\"a\",\"source\":\"b\"}",
    ]);
    let bad_names = select(vec!["{\"source\":\"p g\",\"table\":\"t\"}", "{\"source\":\"pg\",\"table\":\"a\\u0000b\"}"]);
    prop_oneof![
        2 => Just((Some(ATTRIBUTES.to_owned()), Says::Names)),
        1 => (0usize..40, 0usize..900).prop_map(huge),
        3 => Just((None, Says::Nothing)),
        1 => Just((Some("{}".to_owned()), Says::Nothing)),
        1 => Just((Some("{\"source\":null}".to_owned()), Says::Nothing)),
        2 => wrong.prop_map(|text| (Some(text.to_owned()), Says::Wrong)),
        // taken if the data names a table, refused if these are asked
        1 => bad_names.prop_map(|text| (Some(text.to_owned()), Says::Foreign)),
    ]
}

/// Fields that nobody needs, and that must not matter.
fn noise() -> impl Strategy<Value = String> {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let numbers = select(vec!["-0", "1e-999", "123456789012345678901234567890", "0.1e+5", "1E400"]);
    prop_oneof![
        3 => Just("\"subscription\":\"projects/p/subscriptions/s\"".to_owned()),
        1 => (1usize..5000).prop_map(move |depth| format!("\"deep\":{}", deep(depth))),
        1 => numbers.prop_map(|number| format!("\"deliveryAttempt\":{number}")),
        1 => "[a-zA-Z\u{e9}\u{2603}\\\\/ ]{0,40}".prop_map(|text| format!("\"text\":{}", serde_json::Value::from(text))),
    ]
}

/// Envelopes put together from parts.
pub fn envelopes() -> impl Strategy<Value = Envelope> {
    let shape =
        select(vec!["{N,\"message\":{M}}", "{\"message\":{M},N}", "[{M}]", "{\"message\":[{M}]}", "{M}", "{N}"]);
    // mostly the right shape
    let shape = prop_oneof![4 => Just("{N,\"message\":{M}}"), 1 => shape];
    (shape, data(), attributes(), noise()).prop_map(|(shape, data, attributes, noise)| {
        let fields = [("data", &data.0), ("attributes", &attributes.0)];
        let message: Vec<String> =
            fields.iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value.as_ref()?))).collect();
        let body = shape.replace('N', &noise).replace("{M}", &format!("{{{}}}", message.join(",")));
        let whole = shape.contains("\"message\":{M}");
        let names = match (data.1, attributes.1) {
            (Says::Wrong, _) | (_, Says::Wrong) => false,
            (Says::Names, _) => true,
            (Says::Nothing | Says::Foreign, Says::Names) => true,
            (Says::Nothing | Says::Foreign, Says::Nothing | Says::Foreign) => false,
        };
        Envelope { body: Raw(body.into_bytes()), names: names && whole }
    })
}

/// Envelopes whose bytes were changed: nobody knows what they are.
pub fn broken_envelopes() -> impl Strategy<Value = Raw> {
    let edits = vec((any::<Index>(), any::<u8>(), 0..3usize), 1..6);
    (envelopes(), edits).prop_map(|(Envelope { body: Raw(mut body), .. }, edits)| {
        for (at, byte, kind) in edits {
            let at = at.index(body.len() + 1);
            match kind {
                0 => body.insert(at, byte),
                1 => body.truncate(at),
                _ if at < body.len() => body[at] = byte,
                _ => {}
            }
        }
        Raw(body)
    })
}

/// Paths, in the bytes of a request's line. None is that of a configured table.
pub fn paths() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just(String::new()),
        select(vec![".", "..", "%2e%2e", "sync", "pg", "t%", "t%7", "%zz", "%ff", "%00", "%2F", "pubsub", "healthz"])
            .prop_map(str::to_owned),
        vec(any::<u8>(), 1..6).prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
        "[!-~\u{e9}\u{4e2d}\u{1f600}]{1,8}",
        (500usize..3000).prop_map(|count| "x".repeat(count)),
    ];
    prop_oneof![
        3 => vec(segment.clone(), 0..6).prop_map(|segments| format!("/{}", segments.join("/"))),
        3 => vec(segment, 1..3).prop_map(|segments| format!("/sync/pq/{}", segments.join("/"))),
        1 => (30_000usize..70_000).prop_map(|count| format!("/sync/pq/{}", "y".repeat(count))),
        1 => "[ -~]{0,12}",
    ]
}

/// Header lines with their ends, after a request's line.
pub fn headers() -> impl Strategy<Value = Raw> {
    let name = prop_oneof![
        "[a-zA-Z-]{1,20}",
        select(vec!["content-length", "transfer-encoding", "connection", "expect", "upgrade", "host", "traceparent"])
            .prop_map(str::to_owned),
        "[ -~]{0,6}",
    ];
    let value = prop_oneof![
        vec(any::<u8>(), 0..30),
        select(vec![
            "0",
            "5",
            "-1",
            "+5",
            "0x5",
            "5, 5",
            "5, 6",
            "18446744073709551616",
            "chunked",
            "chunked, chunked",
            "identity",
            "xchunked",
            "gzip, chunked",
            "close",
            "keep-alive, upgrade",
            "100-continue",
            "h2c",
            "\t5 "
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        (1usize..40_000).prop_map(|count| vec![b'v'; count]),
    ];
    let end = prop_oneof![8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
    let line = (name, select(vec![":", ": ", " :", ""]), value, end);
    let one =
        line.prop_map(|(name, colon, value, end)| [name.as_bytes(), colon.as_bytes(), &value, end.as_bytes()].concat());
    prop_oneof![
        6 => vec(one, 0..6).prop_map(|lines| Raw(lines.concat())),
        1 => (50usize..400).prop_map(|count| Raw(b"x-many: 1\r\n".repeat(count))),
    ]
}

/// Configurations whose lines and characters were changed.
pub fn configurations(base: &'static str) -> impl Strategy<Value = String> {
    let token = select(vec![
        ":",
        "- ",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "*a",
        "&a ",
        "${",
        "}",
        "$${",
        "|",
        ">",
        "?",
        "#",
        "null",
        "!!x ",
        "\t",
        "-1",
        "1e9",
        "\u{0}",
        "\u{1b}[2J",
        "\u{feff}",
        "%TAG",
        "---\n",
        "merge",
        "99999999999999999999",
    ]);
    let edit = (any::<Index>(), 0..5usize, token, any::<Index>());
    vec(edit, 0..8).prop_map(move |edits| {
        let mut lines: Vec<String> = base.lines().map(str::to_owned).collect();
        for (at, kind, token, within) in edits {
            let index = at.index(lines.len());
            let line = lines[index].clone();
            let split = line.floor_char_boundary(within.index(line.len() + 1));
            match kind {
                0 => lines.insert(index, line),
                1 if lines.len() > 1 => drop(lines.remove(index)),
                2 => lines[index] = line[..split].to_owned(),
                3 => lines[index] = line[split..].to_owned(),
                _ => lines[index] = format!("{}{token}{}", &line[..split], &line[split..]),
            }
        }
        lines.join("\n")
    })
}
