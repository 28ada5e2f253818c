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
        self.bits |= u64::from(code.bits) << self.length;
        self.length += code.length;
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
            let (literals, after) = rest.split_at(one.literals.into());
            to = write_literals(&mut bits, literals, out, to, codes);
            if one.length > 0 {
                bits.add(codes.length(one.length));
                bits.add(codes.distance(one.distance));
                to = flush(&mut bits, out, to);
            }
            rest = &after[one.length.into()..];
        }
        (bits, to)
    }
}

#[inline]
fn write_literals(bits: &mut Bits, literals: &[u8], out: &mut [u8], mut to: usize, codes: &Codes) -> usize {
    let (fours, rest) = literals.as_chunks::<4>();
    for four in fours {
        for byte in four {
            bits.add(codes.literals[usize::from(*byte)]);
        }
        to = flush(bits, out, to);
    }
    for byte in rest {
        bits.add(codes.literals[usize::from(*byte)]);
    }
    // up to 42 bits, and a length and a distance do not fit behind them
    flush(bits, out, to)
}

#[inline]
fn flush(bits: &mut Bits, out: &mut [u8], to: usize) -> usize {
    to + bits.flush(&mut out[to..to + 8])
}
