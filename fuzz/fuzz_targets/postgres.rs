//! PostgreSQL's binary values: every reader, alone and as an array's elements.
#![no_main]

use highwater_fuzz::{choice, postgres};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((index, raw)) = choice(data, 2 * postgres::CODECS.len()) else { return };
    match postgres::CODECS.get(index) {
        Some((codec, ty)) => drop(postgres::check(*codec, *ty, raw)),
        None => postgres::check_array(index - postgres::CODECS.len(), raw),
    }
});
