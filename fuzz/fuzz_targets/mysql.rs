//! Values of MySQL's binary protocol: every reader.
#![no_main]

use highwater_fuzz::{choice, mysql};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((index, raw)) = choice(data, mysql::CODECS.len()) else { return };
    let (codec, ty) = mysql::CODECS[index];
    mysql::check(codec, ty, raw);
});
