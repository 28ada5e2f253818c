//! Our own gzip: whatever the bytes are and wherever fields are said to begin, another's decoder reads what was written.
#![no_main]

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use highwater_fuzz::gzip::{Fields, Gzip, bound};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // how many bytes are hints, how often the text is there, and in how many blocks
    let [hints, times, blocks, rest @ ..] = data else { return };
    let (hints, text) = rest.split_at(usize::from(*hints).min(rest.len()));
    let lines = text.repeat(usize::from(times % 64) + 1);
    let mut file = Gzip::new(Vec::new());
    for block in lines.chunks(lines.len() / (usize::from(blocks % 4) + 1) + 1) {
        let before = file.size();
        file.write(block, &fields(hints, block.len()));
        assert!(file.size() - before <= bound(block.len()), "it grew too much");
    }
    let mut read = Vec::new();
    MultiGzDecoder::new(file.finish().as_slice()).read_to_end(&mut read).expect("it can be read");
    assert!(read == lines, "something else is read than was written");
});

/// Each hint is a step to the next field, and its column.
fn fields(hints: &[u8], length: usize) -> Fields {
    let (mut fields, mut at) = (Fields::default(), 0);
    while let Some(hint) = hints.get(at % hints.len().max(1)).filter(|_| at < length) {
        fields.push(at, usize::from(hint & 3));
        at += usize::from(hint >> 2);
        if hint >> 2 == 0 {
            break;
        }
    }
    fields
}
