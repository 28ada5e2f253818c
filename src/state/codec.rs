//! The state object's bytes.

use crate::model::{Code, STATE_VERSION, TableState};

/// The most bytes of a state object. A schema of 10,000 columns and 10,000 parts fit.
pub const STATE_BYTES_MAX: u64 = 8 << 20;

/// A state object that this binary must not touch.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Written by a newer version.
    #[error("it has version {0}, this binary knows {STATE_VERSION}; deploy the newer binary again")]
    Version(u64),
    /// More than is read again.
    #[error("it would have more than {STATE_BYTES_MAX} bytes; ask for fewer or larger windows")]
    TooLarge,
    /// Not a state.
    #[error("it is not a state object ({0}); restore an older version of it, or see what removing it means")]
    Malformed(serde_json::Error),
}

impl CodecError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Version(_) => Code::StateNewer,
            Self::TooLarge => Code::StateTooLarge,
            Self::Malformed(_) => Code::StateBroken,
        }
    }
}

/// Reads a state.
///
/// # Errors
/// Bytes that are no state of a version that we know.
pub fn decode(bytes: &[u8]) -> Result<TableState, CodecError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u64,
    }
    let Version { version } = serde_json::from_slice(bytes).map_err(CodecError::Malformed)?;
    if version != u64::from(STATE_VERSION) {
        return Err(CodecError::Version(version));
    }
    serde_json::from_slice(bytes).map_err(CodecError::Malformed)
}

/// Writes a state, indented for people.
///
/// # Errors
/// None in practice: a state has no map with keys that are not text.
pub fn encode(state: &TableState) -> Result<Vec<u8>, CodecError> {
    serde_json::to_vec_pretty(state).map_err(CodecError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let state = TableState { rows_total: 7, ..TableState::new() };
        let bytes = encode(&state).unwrap_or_default();
        assert_eq!(decode(&bytes).ok(), Some(state));
        let newer = String::from_utf8_lossy(&bytes).replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(decode(newer.as_bytes()), Err(CodecError::Version(2))));
        let unknown = String::from_utf8_lossy(&bytes).replace("\"rows_total\"", "\"rows_totl\"");
        assert!(matches!(decode(unknown.as_bytes()), Err(CodecError::Malformed(_))));
        assert!(matches!(decode(b""), Err(CodecError::Malformed(_))));
    }
}
