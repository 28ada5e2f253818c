//! Writes symbols as bits.

use super::SEGMENT_BYTES;
use super::codes::{Code, Codes};
use super::parse::Found;

/// Bits that are no whole byte yet, the first the lowest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bits {
    bits: u64,
    /// How many; below 8 but while symbols are added.
    length: u32,
}

impl Bits {
    /// Adds a code. There must be room.
    #[inline]
    fn add(&mut self, code: Code) {
        self.add_bits(code.bits.into(), code.length);
    }

    /// Adds two codes, of 56 bits at the most. There must be room.
    ///
    /// They are put together first, which does not wait for what was added before.
    #[inline]
    fn add_both(&mut self, one: Code, other: Code) {
        self.add_bits(u64::from(one.bits) | u64::from(other.bits) << one.length, one.length + other.length);
    }

    #[inline]
    fn add_bits(&mut self, bits: u64, length: u32) {
        self.bits |= bits << self.length;
        self.length += length;
    }

    /// Writes the whole bytes to the first of `out`'s eight, and tells how many.
    #[inline]
    fn flush(&mut self, out: &mut [u8]) -> usize {
        out.copy_from_slice(&self.bits.to_le_bytes());
        let bytes = self.length / 8;
        self.bits >>= 8 * bytes;
        self.length %= 8;
        bytes as usize
    }

    /// Adds a code, the whole bytes to `out`.
    #[must_use]
    pub(super) fn push(mut self, code: Code, out: &mut Vec<u8>) -> Self {
        self.add(code);
        let mut bytes = [0; 8];
        let whole = self.flush(&mut bytes);
        out.extend_from_slice(&bytes[..whole]);
        self
    }

    /// Fills the last byte with zeros.
    pub(super) fn align(self, out: &mut Vec<u8>) {
        if self.length > 0 {
            out.push(self.bits.to_le_bytes()[0]);
        }
    }
}

/// What one segment comes to.
#[derive(Debug)]
pub(super) struct Staged {
    bytes: Box<[u8]>,
}

impl Staged {
    pub(super) fn new() -> Self {
        // a byte has at most 14 bits, a repetition of four 46, and eight bytes are written at a time
        Self { bytes: vec![0; 3 * SEGMENT_BYTES].into_boxed_slice() }
    }

    /// The first bytes of what [`Staged::write`] wrote.
    pub(super) fn first(&self, length: usize) -> &[u8] {
        &self.bytes[..length]
    }

    /// Writes a segment with these codes; tells the bits that are left, and how many bytes there are.
    pub(super) fn write(&mut self, mut bits: Bits, segment: &[u8], found: &[Found], codes: &Codes) -> (Bits, usize) {
        let out = &mut *self.bytes;
        let (mut rest, mut to) = (segment, 0);
        for one in found {
            to = write_literals(&mut bits, rest, one.literals.into(), out, to, codes);
            if one.length > 0 {
                bits.add_both(codes.length(one.length), codes.distance(one.distance));
                to = flush(&mut bits, out, to);
            }
            rest = &rest[usize::from(one.literals) + usize::from(one.length)..];
        }
        (bits, to)
    }
}

/// Of three codes the first zero, one, two or three.
const FIRST: [[u32; 3]; 4] = [[0; 3], [!0, 0, 0], [!0, !0, 0], [!0; 3]];

/// Writes the first `literals` bytes of `segment`.
#[inline]
fn write_literals(
    bits: &mut Bits,
    segment: &[u8],
    literals: usize,
    out: &mut [u8],
    mut to: usize,
    codes: &Codes,
) -> usize {
    let code = |byte: &u8| codes.literals[usize::from(*byte)];
    let (fours, rest) = segment[..literals].as_chunks::<4>();
    for [a, b, c, d] in fours {
        bits.add_both(code(a).and(code(b)), code(c).and(code(d)));
        to = flush(bits, out, to);
    }
    match segment[literals - rest.len()..].first_chunk() {
        // how many are left differs each time, so no branch depends on it
        Some([a, b, c]) => {
            let [first, second, third] = FIRST[rest.len() % 4];
            bits.add_both(code(a).masked(first).and(code(b).masked(second)), code(c).masked(third));
        }
        None => rest.iter().for_each(|byte| bits.add(code(byte))),
    }
    // up to 42 bits, and a length and a distance do not fit behind them
    flush(bits, out, to)
}

#[inline]
fn flush(bits: &mut Bits, out: &mut [u8], to: usize) -> usize {
    to + bits.flush(&mut out[to..to + 8])
}
