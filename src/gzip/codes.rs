//! Huffman codes for what was counted (RFC 1951, 3.2): how long each is, which bits it has, and how a block says so.

use super::parse::Found;
use super::write::Bits;

/// Literals, the end of a block, and lengths.
const SYMBOLS: usize = 286;
/// The symbol that ends a block.
const END: usize = 256;
const DISTANCES: usize = 30;
/// The most bits of a code: four literals, and what is left of a byte before them, fit into 64.
const CODE_BITS_MAX: u8 = 14;
/// The most bits of a code that says how long codes are.
const PRECODE_BITS_MAX: u8 = 7;
/// In which order a block tells the lengths of those (3.2.7).
const PRECODE_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Begins a block that is not the last, of dynamic codes: the numbers of literals and lengths less 257, of distances less 1,
/// of codes of lengths less 4, all that there can be (3.2.7).
const BLOCK: Code = Code { bits: 0b100 | 29 << 3 | 29 << 8 | 15 << 13, length: 17 };
/// The last block, of fixed codes, with its end alone.
pub(super) const LAST_BLOCK: Code = Code { bits: 0b011, length: 10 };

/// Bits, the first the lowest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Code {
    pub(super) bits: u32,
    pub(super) length: u32,
}

impl Code {
    /// Both, of 32 bits at the most.
    #[inline]
    pub(super) fn and(self, other: Self) -> Self {
        self.then(other.bits, other.length)
    }

    /// The code, or nothing: `mask` is all ones, or zero.
    #[inline]
    pub(super) fn masked(self, mask: u32) -> Self {
        Self { bits: self.bits & mask, length: self.length & mask }
    }

    /// The same with `extra`, a number of `length` bits, behind it.
    #[inline]
    fn then(self, extra: u32, length: u32) -> Self {
        Self { bits: self.bits | extra << self.length, length: self.length + length }
    }
}

/// The symbol of a length of 3 to 258, and how many bits follow, of which number (3.2.5).
fn length_symbol(length: usize) -> (usize, u32, u32) {
    let value = u32::try_from(length - 3).unwrap_or(0);
    match value {
        0..8 => (257 + length - 3, 0, 0),
        255 => (285, 0, 0),
        _ => {
            let extra = value.ilog2() - 2;
            (257 + (4 * extra + (value >> extra)) as usize, extra, value & ((1 << extra) - 1))
        }
    }
}

/// The symbol of a distance of 1 to 32,768, and how many bits follow (3.2.5).
#[inline]
fn distance_symbol(distance: u32) -> (usize, u32) {
    match distance - 1 {
        value @ 0..4 => (value as usize, 0),
        value => {
            let extra = value.ilog2() - 1;
            ((2 * extra + (value >> extra)) as usize, extra)
        }
    }
}

/// How often each symbol is there.
#[derive(Debug)]
pub(super) struct Counts {
    symbols: [u32; SYMBOLS],
    distances: [u32; DISTANCES],
}

impl Counts {
    /// Of one segment. Every symbol counts once more than it is there, so that later segments may have it.
    pub(super) fn of(segment: &[u8], found: &[Found]) -> Self {
        let mut counts = Self { symbols: [1; SYMBOLS], distances: [1; DISTANCES] };
        let mut at = 0;
        for one in found {
            let literals = at + usize::from(one.literals);
            counts.literals(&segment[at..literals]);
            if one.length > 0 {
                counts.symbols[length_symbol(one.length.into()).0] += 1;
                counts.distances[distance_symbol(one.distance.into()).0] += 1;
            }
            at = literals + usize::from(one.length);
        }
        counts
    }

    fn literals(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.symbols[usize::from(*byte)] += 1;
        }
    }
}

/// The codes of a block.
#[derive(Debug)]
pub(super) struct Codes {
    /// Of the bytes.
    pub(super) literals: [Code; 256],
    /// Of the lengths of repetitions, with what follows the symbol.
    lengths: [Code; 259],
    distances: [Code; DISTANCES],
    end: Code,
    /// How many bits each symbol's code has, and then each distance's.
    bits: [u8; SYMBOLS + DISTANCES],
    /// Bytes of the segment that they were made for, and what it came to.
    made_for: (usize, usize),
}

impl Codes {
    pub(super) fn new(counts: &Counts) -> Self {
        let mut bits = [0; SYMBOLS + DISTANCES];
        let (of_symbols, of_distances) = bits.split_at_mut(SYMBOLS);
        code_lengths(&counts.symbols, CODE_BITS_MAX, of_symbols);
        code_lengths(&counts.distances, CODE_BITS_MAX, of_distances);
        let mut symbols = [Code::default(); SYMBOLS];
        let mut distances = [Code::default(); DISTANCES];
        assign(of_symbols, &mut symbols);
        assign(of_distances, &mut distances);
        let mut literals = [Code::default(); 256];
        literals.copy_from_slice(&symbols[..256]);
        let mut lengths = [Code::default(); 259];
        for (length, code) in lengths.iter_mut().enumerate().skip(3) {
            let (symbol, extra_bits, extra) = length_symbol(length);
            *code = symbols[symbol].then(extra, extra_bits);
        }
        Self { literals, lengths, distances, end: symbols[END], bits, made_for: (0, 0) }
    }

    /// Says what the segment that they were made for came to.
    pub(super) fn made_for(&mut self, bytes: usize, written: usize) {
        self.made_for = (bytes, written);
    }

    /// Whether these codes suit a segment that has come to so many bytes: by its size, as many as the one that they were
    /// made for, give or take an eighth.
    pub(super) fn suit(&self, bytes: usize, written: usize) -> bool {
        let (now, then) = (written * self.made_for.0, bytes * self.made_for.1);
        now * 8 <= then * 9 && then * 8 <= now * 9 && written <= bytes
    }

    #[inline]
    pub(super) fn length(&self, length: u16) -> Code {
        self.lengths.get(usize::from(length)).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn distance(&self, distance: u16) -> Code {
        let distance = u32::from(distance);
        let (symbol, extra_bits) = distance_symbol(distance);
        self.distances[symbol].then((distance - 1) & ((1 << extra_bits) - 1), extra_bits)
    }

    pub(super) fn end(&self) -> Code {
        self.end
    }

    /// Begins a block with these codes (3.2.7). Their lengths are told one by one: runs of equals are rare.
    pub(super) fn write_header(&self, bits: Bits, out: &mut Vec<u8>) -> Bits {
        let mut counts = [0; 19];
        for length in self.bits {
            counts[usize::from(length)] += 1;
        }
        let mut lengths = [0; 19];
        code_lengths(&counts, PRECODE_BITS_MAX, &mut lengths);
        let mut codes = [Code::default(); 19];
        assign(&lengths, &mut codes);
        let mut bits = bits.push(BLOCK, out);
        for symbol in PRECODE_ORDER {
            bits = bits.push(Code { bits: lengths[symbol].into(), length: 3 }, out);
        }
        for length in self.bits {
            bits = bits.push(codes[usize::from(length)], out);
        }
        bits
    }
}

/// How many bits the code of each symbol has, at the most `max`; those that do not occur have none.
fn code_lengths(counts: &[u32], max: u8, lengths: &mut [u8]) {
    lengths.fill(0);
    let mut order: Vec<usize> = (0..counts.len()).filter(|&symbol| counts[symbol] > 0).collect();
    order.sort_by_key(|&symbol| counts[symbol]);
    // two trees at a time become one: leaves come sorted, and so do the trees that are made of them
    let mut weights: Vec<u64> = order.iter().map(|&symbol| counts[symbol].into()).collect();
    let leaves = weights.len();
    let mut parents = vec![0; leaves];
    let (mut leaf, mut tree) = (0, leaves);
    while weights.len() + 1 < 2 * leaves {
        let mut lightest = || {
            let takes_leaf = leaf < leaves && weights.get(tree).is_none_or(|tree| weights[leaf] <= *tree);
            let next = if takes_leaf { &mut leaf } else { &mut tree };
            *next += 1;
            *next - 1
        };
        let (one, other) = (lightest(), lightest());
        (parents[one], parents[other]) = (weights.len(), weights.len());
        weights.push(weights[one] + weights[other]);
        parents.push(0);
    }
    let mut depths = vec![0u8; weights.len()];
    for node in (0..weights.len().saturating_sub(1)).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    // one symbol alone has a code of one bit
    let depths = depths.iter().take(leaves).map(|depth| (*depth).clamp(1, max));
    for (&symbol, depth) in order.iter().zip(depths) {
        lengths[symbol] = depth;
    }
    fit(&order, max, lengths);
}

/// Codes that were cut to `max` bits take more room than there is: the rarest that can be longer become so, and if that
/// was more than needed, the most frequent that can be shorter. Readers refuse codes that leave room.
fn fit(order: &[usize], max: u8, lengths: &mut [u8]) {
    let room = 1u32 << max;
    let mut taken: u32 = order.iter().map(|&symbol| room >> lengths[symbol]).sum();
    while taken > room {
        let Some(&symbol) = order.iter().find(|&&symbol| lengths[symbol] < max) else { return };
        taken -= room >> (lengths[symbol] + 1);
        lengths[symbol] += 1;
    }
    for &symbol in order.iter().rev() {
        while lengths[symbol] > 1 && taken + (room >> lengths[symbol]) <= room {
            taken += room >> lengths[symbol];
            lengths[symbol] -= 1;
        }
    }
}

/// The canonical codes of these lengths (3.2.2), their first bit the lowest.
fn assign(lengths: &[u8], codes: &mut [Code]) {
    let mut next = 0u32;
    for length in 1..=15u8 {
        next <<= 1;
        for (code, _) in codes.iter_mut().zip(lengths).filter(|(_, of)| **of == length) {
            *code = Code { bits: next.reverse_bits() >> (32 - u32::from(length)), length: length.into() };
            next += 1;
        }
    }
}
