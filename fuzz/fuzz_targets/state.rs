//! The state object: what is read is written so that it reads the same.
#![no_main]

use highwater_fuzz::model::STATE_VERSION;
use highwater_fuzz::state::codec::{CodecError, decode, encode};
use libfuzzer_sys::fuzz_target;

/// What a byte of a state can become: a small object is indented, and its absent fields are written.
const GROWTH_MAX: usize = 32;
/// The fields that every state has.
const BYTES_MIN: usize = 1024;

fuzz_target!(|data: &[u8]| {
    match decode(data) {
        Ok(state) => {
            assert_eq!(state.version, STATE_VERSION);
            let written = encode(&state).expect("a state can be written");
            assert!(written.len() <= GROWTH_MAX * data.len() + BYTES_MIN, "{} of {}", written.len(), data.len());
            let again = decode(&written).expect("what was written can be read");
            assert_eq!(again, state);
            assert_eq!(encode(&again).expect("a state can be written"), written);
        }
        Err(CodecError::Version(version)) => assert_ne!(version, u64::from(STATE_VERSION)),
        Err(CodecError::TooLarge) => unreachable!("what is read is not written"),
        Err(CodecError::Malformed(_)) => {}
    }
});
