//! Numbers with limits: a value that exists is valid.

use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub const SECOND_MICROS: i64 = 1_000_000;
/// The first line of a configuration that is written: by it editors find the schema, which `highwater config --schema` prints.
pub const SCHEMA_LINE: &str = "# yaml-language-server: $schema=highwater.schema.json";

/// A number out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not within {min} to {max} {unit}")]
pub struct OutOfRange {
    /// What was given.
    pub value: u64,
    /// The least value taken.
    pub min: u64,
    /// The greatest value taken.
    pub max: u64,
    /// The unit.
    pub unit: &'static str,
}

macro_rules! limited {
    ($(#[$doc:meta])* $name:ident($inner:ty): $min:expr, $max:expr, $default:expr, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name($inner);

        impl $name {
            /// The least value taken.
            pub const MIN: u64 = $min;
            /// The greatest value taken.
            pub const MAX: u64 = $max;
            /// The number.
            pub fn get(self) -> $inner {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl TryFrom<u64> for $name {
            type Error = OutOfRange;

            fn try_from(value: u64) -> Result<Self, OutOfRange> {
                let fault = OutOfRange { value, min: $min, max: $max, unit: $unit };
                if value < fault.min || value > fault.max {
                    return Err(fault);
                }
                <$inner>::try_from(value).map(Self).ok().ok_or(fault)
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> u64 {
                value.0.into()
            }
        }
    };
}

limited!(
    /// The most rows of one chunk.
    ChunkRows(u64): 1, 1_000_000_000, 250_000, "rows"
);
limited!(
    /// The most bytes of NDJSON (before compression) of one chunk. At the least part size it keeps below
    /// BigQuery's 10,000 URIs per load job.
    ChunkBytes(u64): 1 << 16, 1 << 36, 1 << 30, "bytes"
);
limited!(
    /// The most compressed bytes of one part. Below the storage library's threshold for resumable uploads,
    /// so that a part is one request.
    PartBytes(u32): 1 << 16, 64 << 20, 8 << 20, "bytes"
);
limited!(
    /// gzip level of the parts; 0 sends them plain.
    GzipLevel(u32): 0, 9, 1, "(gzip level)"
);
limited!(
    /// The most rows of one run that may be rejected.
    MaxRejects(u64): 0, 1_000_000, 1_000, "rows"
);
limited!(
    /// How many tables run side by side.
    Parallel(u32): 1, 64, 4, "tables"
);

/// The limits of one chunk and its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most rows of a chunk.
    pub chunk_rows: ChunkRows,
    /// The most NDJSON bytes of a chunk.
    pub chunk_bytes: ChunkBytes,
    /// The most compressed bytes of a part.
    pub part_bytes: PartBytes,
    /// How hard the parts are compressed.
    pub gzip_level: GzipLevel,
}

impl Parallel {
    /// One after the other.
    pub const ONE: Self = Self(1);
}
