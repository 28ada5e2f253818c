//! The settings of a table's columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reader::Map;
use super::scalar;
use crate::model::{
    ArraysAs, BqType, Code, ColumnSettings, MaxRejects, NumericAs, Policy, SchemaSettings, Secret, WantedType,
};

const POLICIES: [(&str, Policy); 4] =
    [("null", Policy::Null), ("clamp", Policy::Clamp), ("reject", Policy::Reject), ("fail", Policy::Fail)];

/// Column settings that a table may inherit.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    policy: Option<Policy>,
    max_rejects: Option<MaxRejects>,
    naive: Option<Naive>,
    numeric: Option<NumericAs>,
    arrays: Option<ArraysAs>,
    metadata: Option<bool>,
    salt: Option<Arc<Secret>>,
    schema: Schema,
}

/// What timestamps without a zone become.
#[derive(Clone, Debug)]
enum Naive {
    DateTime,
    Timestamp { zone: String },
}

#[derive(Clone, Copy, Debug, Default)]
struct Schema {
    add: Option<bool>,
    backfill_added: Option<bool>,
    rebuild: Option<bool>,
}

impl Shared {
    /// These where they say something, else those below.
    pub(super) fn over(self, below: &Self) -> Self {
        Self {
            policy: self.policy.or(below.policy),
            max_rejects: self.max_rejects.or(below.max_rejects),
            naive: self.naive.or_else(|| below.naive.clone()),
            numeric: self.numeric.or(below.numeric),
            arrays: self.arrays.or(below.arrays),
            metadata: self.metadata.or(below.metadata),
            salt: self.salt.or_else(|| below.salt.clone()),
            schema: Schema {
                add: self.schema.add.or(below.schema.add),
                backfill_added: self.schema.backfill_added.or(below.schema.backfill_added),
                rebuild: self.schema.rebuild.or(below.schema.rebuild),
            },
        }
    }

    /// The most rows of a run that may be rejected.
    pub(super) fn max_rejects(&self) -> MaxRejects {
        self.max_rejects.unwrap_or_default()
    }

    /// What is done when columns change; rows can be read again only by a merge.
    pub(super) fn schema(&self, merging: bool) -> SchemaSettings {
        SchemaSettings {
            add: self.schema.add.unwrap_or(true),
            backfill_added: self.schema.backfill_added.unwrap_or(false) && merging,
            rebuild: self.schema.rebuild.unwrap_or(false),
        }
    }

    /// Whether the target has columns of Highwater's, if it is said.
    pub(super) fn metadata(&self) -> Option<bool> {
        self.metadata
    }

    /// Whether rows are to be read again where columns were added.
    pub(super) fn backfills(&self) -> bool {
        self.schema.backfill_added == Some(true)
    }
}

/// Reads the settings that defaults, sources and tables have alike, and with `own` those of a table alone.
pub(super) fn read_shared(map: &mut Map<'_>) -> (Shared, BTreeMap<String, Policy>) {
    let (policy, policies) = read_policies(map);
    let shared = Shared {
        policy,
        max_rejects: map.optional("max_rejects", scalar::limited),
        naive: read_naive(map),
        numeric: map.optional("numeric", |text| {
            scalar::word(text, &[("bignumeric", NumericAs::BigNumeric), ("string", NumericAs::String)])
        }),
        arrays: map.optional("arrays", |text| {
            scalar::word(text, &[("json", ArraysAs::Json), ("repeated", ArraysAs::Repeated)])
        }),
        metadata: map.optional("metadata_columns", scalar::boolean),
        salt: map.secret("hash_salt").map(Arc::new),
        schema: read_schema(map),
    };
    (shared, policies)
}

/// `unrepresentable: POLICY`, or `unrepresentable: {default: POLICY, columns: {…}}`.
fn read_policies(map: &mut Map<'_>) -> (Option<Policy>, BTreeMap<String, Policy>) {
    if !map.is_map("unrepresentable") {
        return (read_policy(map, "unrepresentable"), BTreeMap::new());
    }
    let Some(mut section) = map.map("unrepresentable") else { return (None, BTreeMap::new()) };
    let policy = read_policy(&mut section, "default");
    let policies = match section.map("columns") {
        Some(columns) => columns.scalars(|text| scalar::word(text.unwrap_or("null"), &POLICIES)),
        None => BTreeMap::new(),
    };
    section.finish();
    (policy, policies)
}

/// The word `null` is YAML's NULL.
fn read_policy(map: &mut Map<'_>, key: &'static str) -> Option<Policy> {
    map.optional_or_null(key, |text| scalar::word(text.unwrap_or("null"), &POLICIES))
}

fn read_naive(map: &mut Map<'_>) -> Option<Naive> {
    let kinds = [("datetime", false), ("timestamp", true)];
    const ZONE: &str = "`as: timestamp` needs `timezone`, the zone that the values are written in";
    if !map.is_map("naive_timestamps") {
        let instants = map.optional("naive_timestamps", |text| scalar::word(text, &kinds))?;
        if instants {
            map.fault(Code::ConfigConflict, "naive_timestamps", ZONE);
        }
        return Some(Naive::DateTime);
    }
    let mut section = map.map("naive_timestamps")?;
    let instants = section.required("as", |text| scalar::word(text, &kinds));
    let zone = section.optional("timezone", scalar::zone);
    let naive = match (instants?, zone) {
        (true, Some(zone)) => Some(Naive::Timestamp { zone }),
        (true, None) => {
            if !section.has("timezone") {
                section.fault(Code::ConfigConflict, "", ZONE);
            }
            None
        }
        (false, None) => Some(Naive::DateTime),
        (false, Some(_)) => {
            section.fault(
                Code::ConfigConflict,
                "timezone",
                "a DATETIME has no zone; remove it, or say `as: timestamp`",
            );
            None
        }
    };
    section.finish();
    naive
}

fn read_schema(map: &mut Map<'_>) -> Schema {
    let Some(mut section) = map.map("schema") else { return Schema::default() };
    let schema = Schema {
        add: section.optional("add", scalar::boolean),
        backfill_added: section.optional("backfill_added", scalar::boolean),
        rebuild: section.optional("incompatible", |text| scalar::word(text, &[("fail", false), ("rebuild", true)])),
    };
    section.finish();
    schema
}

/// Reads what only a table has. `inherited` are its shared settings, those below it taken in.
pub(super) fn read(map: &mut Map<'_>, inherited: &Shared, policies: BTreeMap<String, Policy>) -> ColumnSettings {
    let include = map.texts("columns");
    let exclude = map.texts("exclude_columns").unwrap_or_default();
    if let Some(include) = &include
        && let Some(both) = exclude.iter().find(|name| include.contains(name))
    {
        map.fault(
            Code::ConfigConflict,
            "exclude_columns",
            &format!("{both:?} stands in `columns` too; remove one of them"),
        );
    }
    let types = match map.map("types") {
        Some(types) => types.scalars(|text| wanted_type(text.unwrap_or_default())),
        None => BTreeMap::new(),
    };
    let hash = map.texts("hash").unwrap_or_default();
    if let Some(both) = hash.iter().find(|name| types.contains_key(*name)) {
        map.fault(
            Code::ConfigConflict,
            "hash",
            &format!("{both:?} stands in `types` too, and a hash is a STRING; remove one of them"),
        );
    }
    if !hash.is_empty() && inherited.salt.is_none() {
        map.fault(
            Code::ConfigMissing,
            "hash",
            "needs `hash_salt`, without which hashes of guessable values are no secret; say `hash_salt: ${…}`",
        );
    }
    ColumnSettings {
        include,
        exclude,
        types,
        policy: inherited.policy,
        policies,
        naive_zone: match &inherited.naive {
            Some(Naive::Timestamp { zone }) => Some(zone.clone()),
            Some(Naive::DateTime) | None => None,
        },
        numeric: inherited.numeric.unwrap_or_default(),
        arrays: inherited.arrays.unwrap_or_default(),
        salt: inherited.salt.clone().filter(|_| !hash.is_empty()),
        hash,
        metadata: inherited.metadata.unwrap_or(false),
    }
}

/// A BigQuery type, or `ARRAY<…>` of one.
fn wanted_type(text: &str) -> Result<WantedType, String> {
    let upper = text.trim().to_ascii_uppercase();
    let inside = upper.strip_prefix("ARRAY<").and_then(|rest| rest.strip_suffix('>'));
    let name = inside.unwrap_or(&upper);
    if name.contains('(') {
        return Err(format!(
            "{text:?}: parameters are not supported; say {}",
            name.split('(').next().unwrap_or_default()
        ));
    }
    let names = || BqType::ALL.map(BqType::name).join(", ");
    let ty = BqType::from_name(name)
        .ok_or_else(|| format!("{text:?} is not a type; there are {}, and ARRAY<…>", names()))?;
    Ok(WantedType { ty, repeated: inside.is_some() })
}
