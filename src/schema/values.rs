//! The schemas of single values. Each of them may be `${NAME}` instead.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::model::BqType;

/// What a text has that takes something from the environment.
const PLACEHOLDER: &str = r"\$\{";

/// A value, or a text with a placeholder.
fn or_placeholder(mut choices: Vec<Value>) -> Schema {
    choices.push(serde_json::json!({"type": "string", "pattern": PLACEHOLDER}));
    json_schema!({"anyOf": choices})
}

/// One of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($word:literal),+) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                or_placeholder(vec![serde_json::json!({"enum": [$($word),+]})])
            }
        }
    };
}

words!(
    /// A mode.
    Mode: "merge", "append", "replace"
);
words!(
    /// How a database is logged into.
    Login: "password", "iam"
);
words!(
    /// What is done with rows whose cursor is NULL.
    NullCursor: "report", "include"
);
words!(
    /// What becomes of rows that are gone.
    Removal: "none", "soft", "hard"
);
words!(
    /// A mode of TLS.
    TlsMode: "disable", "require", "verify-ca", "verify-full"
);
words!(
    /// What timestamps without a zone become.
    NaiveKind: "datetime", "timestamp"
);
words!(
    /// What numbers without precision become.
    NumericAs: "bignumeric", "string"
);
words!(
    /// What arrays become.
    ArraysAs: "json", "repeated"
);
words!(
    /// What a change does that the target cannot follow.
    Incompatible: "fail", "rebuild"
);
words!(
    /// A unit of partitions.
    Unit: "hour", "day", "month", "year"
);
words!(
    /// What is done with values that the type cannot hold. YAML's NULL is `null` too, which an optional key allows.
    Policy: "null", "clamp", "reject", "fail"
);

/// Schemas by the name of their type.
macro_rules! named {
    ($($name:ident => $schema:expr),+ $(,)?) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })+
    };
}

/// A text; YAML may take it for a number.
pub(super) struct Scalar;
/// `true` or `false`.
pub(super) struct Bool;
/// `90s`, `1m30s`, `2h` …
pub(super) struct Duration;
/// From 0 to 1.
pub(super) struct Fraction;
/// A whole number, signed.
pub(super) struct Integer;
/// A text, or several.
pub(super) struct Texts;
/// Kinds of troubles.
pub(super) struct Events;
/// A type of BigQuery's, or an array of one.
pub(super) struct BqTypeName;

named! {
    Scalar => json_schema!({"type": ["string", "number", "boolean"]}),
    Bool => or_placeholder(vec![serde_json::json!({"type": "boolean"}), serde_json::json!({"enum": ["true", "false"]})]),
    Duration => or_placeholder(vec![
        serde_json::json!({"type": "string", "pattern": r"^\s*([0-9]+(ms|s|m|h|d)\s*)+$", "examples": ["90s", "1m30s", "2h"]}),
    ]),
    Fraction => or_placeholder(vec![
        serde_json::json!({"type": "number", "minimum": 0, "maximum": 1}),
        serde_json::json!({"type": "string", "pattern": r"^[01](\.[0-9]+)?$"}),
    ]),
    Integer => or_placeholder(vec![
        serde_json::json!({"type": "integer"}),
        serde_json::json!({"type": "string", "pattern": "^-?[0-9_]+$"}),
    ]),
    Texts => json_schema!({
        "anyOf": [
            {"type": ["string", "number", "boolean"]},
            {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
        ],
    }),
    Events => {
        let event = serde_json::json!({"enum": ["failure", "drift", "recovery"]});
        or_placeholder(vec![event.clone(), serde_json::json!({"type": "array", "items": event, "minItems": 1})])
    },
    BqTypeName => {
        let names: Vec<String> = BqType::ALL.iter().map(|ty| ty.name().to_owned()).collect();
        or_placeholder(vec![
            serde_json::json!({"enum": names}),
            // names in small letters are known too
            serde_json::json!({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9]*(<[A-Za-z0-9]+>)?$"}),
        ])
    },
}

/// A whole number within limits; `_` may group digits.
pub(super) struct Number<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> JsonSchema for Number<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Number{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        or_placeholder(vec![
            serde_json::json!({"type": "integer", "minimum": MIN, "maximum": MAX}),
            serde_json::json!({"type": "string", "pattern": "^[0-9_]+$"}),
        ])
    }
}

/// A count within limits, or bytes with a unit.
pub(super) struct Size<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> JsonSchema for Size<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Size{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        or_placeholder(vec![
            serde_json::json!({"type": "integer", "minimum": MIN, "maximum": MAX}),
            serde_json::json!({"type": "string", "pattern": "^[0-9_]+ *([kKmMgG]?[iI]?[bB]|[kKmMgG])?$"}),
        ])
    }
}
