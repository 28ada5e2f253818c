//! Finds repetitions in a block of lines. A field is held against the same field of the line before. What is left, where it
//! is long, is searched by hashes: one place is tried for each five bytes, the last that had the same hash.

use super::SEGMENT_BYTES;
use super::fields::Fields;

/// Bits of a hash.
const HASH_BITS: u32 = 12;
/// The fewest bytes that are worth a repetition: codes of length and distance are about as long as those of four letters.
const LENGTH_MIN: usize = 4;
/// The most bytes of one repetition (RFC 1951, 3.2.5).
const LENGTH_MAX: usize = 258;
/// The farthest that a repetition is from what it repeats.
const DISTANCE_MAX: usize = 1 << 15;
/// Bytes that repeat nothing before they are searched: shorter values are most often numbers, names, checksums.
const SEARCHED_MIN: usize = 48;
/// The most bytes before a place that are looked at for more of a repetition.
const BEFORE_MAX: usize = 32;
/// Every so many bytes without a repetition, one more place is passed over.
const PATIENCE_BITS: u32 = 5;
/// The most literals in front of a repetition.
const LITERALS_MAX: usize = u16::MAX as usize;

/// Bytes as they are, and then a repetition; of none, if its length is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) literals: u16,
    pub(super) length: u16,
    pub(super) distance: u16,
}

#[derive(Debug)]
pub(super) struct Parser {
    /// Where bytes of each hash were last.
    heads: Box<[u32; 1 << HASH_BITS]>,
    /// Where each column's field was last.
    columns: Vec<Option<usize>>,
    found: Vec<Found>,
    /// Up to where all bytes are in `found`.
    done: usize,
    /// Up to where places were tried.
    searched: usize,
}

/// Eight bytes from `at` on, the first the lowest; `None` if there are fewer.
#[inline]
fn word(block: &[u8], at: usize) -> Option<u64> {
    block.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// Of the first five bytes of a word.
#[inline]
fn hash(word: u64) -> usize {
    /// Spreads what differs over the upper bits.
    const PRIME: u64 = 889_523_592_379;
    let spread = (word << 24).wrapping_mul(PRIME) >> (64 - HASH_BITS);
    (spread & ((1 << HASH_BITS) - 1)) as usize
}

/// A number that is below 2^16.
#[inline]
fn narrow(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// Bytes from `at` on that are the same as those `distance` before them; no more than `most`, by up to a word.
#[inline]
fn common(block: &[u8], at: usize, distance: usize, most: usize) -> usize {
    let mut length = 0;
    while length < most {
        let (Some(one), Some(other)) = (word(block, at + length), word(block, at + length - distance)) else {
            let rest = block[at + length..].iter().zip(&block[at + length - distance..]);
            return length + rest.take_while(|(one, other)| one == other).count();
        };
        if one != other {
            return length + ((one ^ other).trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length
}

/// Bytes before `at` that are the same as those `distance` before them; no more than `most`, which there are.
#[inline]
fn common_before(block: &[u8], at: usize, distance: usize, most: usize) -> usize {
    let word_before = |end: usize| block.get(..end)?.last_chunk().copied().map(u64::from_le_bytes);
    let mut length = 0;
    while length < most {
        let (Some(one), Some(other)) = (word_before(at - length), word_before(at - length - distance)) else {
            let rest = block[..at - length].iter().rev().zip(block[..at - length - distance].iter().rev());
            return length + rest.take(most - length).take_while(|(one, other)| one == other).count();
        };
        if one != other {
            return most.min(length + ((one ^ other).leading_zeros() / 8) as usize);
        }
        length += 8;
    }
    most
}

/// Of the eight bytes from `at` on, where [`LENGTH_MIN`] begin that are the same as those `distance` before them.
#[inline]
fn same_again(block: &[u8], at: usize, distance: usize) -> Option<usize> {
    let differ = word(block, at)? ^ word(block, at.checked_sub(distance)?)?;
    // a byte of zero here: it and three after it are the same
    let four = differ | differ >> 8 | differ >> 16 | differ >> 24;
    let zero = four.wrapping_sub(0x0101_0101_0101_0101) & !four & 0x8080_8080_8080_8080;
    let before = (zero.trailing_zeros() / 8) as usize;
    // of the last three, what follows is not known
    (before <= 8 - LENGTH_MIN).then_some(at + before)
}

impl Parser {
    pub(super) fn new() -> Self {
        let heads = Box::new([0; 1 << HASH_BITS]);
        Self { heads, columns: Vec::new(), found: Vec::new(), done: 0, searched: 0 }
    }

    /// What [`Parser::parse`] has found.
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// Where what was found from `from` on, of `rest` bytes, has come to [`SEGMENT_BYTES`] or the end, and how many bytes it
    /// covers.
    pub(super) fn segment(&self, from: usize, rest: usize) -> (usize, usize) {
        if rest <= SEGMENT_BYTES + SEGMENT_BYTES / 2 {
            return (self.found.len(), rest);
        }
        let mut bytes = 0;
        for (index, one) in self.found.iter().enumerate().skip(from) {
            let more = usize::from(one.literals) + usize::from(one.length);
            if bytes + more > SEGMENT_BYTES {
                return (index, bytes);
            }
            bytes += more;
        }
        (self.found.len(), bytes)
    }

    /// Finds a block's repetitions, and covers the whole of it.
    pub(super) fn parse(&mut self, block: &[u8], fields: &Fields) {
        self.heads.fill(0);
        self.columns.clear();
        self.found.clear();
        (self.done, self.searched) = (0, 0);
        let mut fields = fields.iter().peekable();
        while let Some((at, column)) = fields.next().filter(|(at, _)| *at < block.len()) {
            if self.columns.len() <= column {
                self.columns.resize(column + 1, None);
            }
            let Some(before) = self.columns[column].replace(at) else { continue };
            let distance = at - before;
            let end = fields.peek().map_or(block.len(), |(next, _)| *next).min(block.len());
            if self.done < end && (1..=DISTANCE_MAX).contains(&distance) {
                self.field(block, at, end, distance);
            }
        }
        self.search(block, block.len());
        self.literals(block.len());
    }

    /// A field that ends at `end`, with what it may repeat.
    #[inline]
    fn field(&mut self, block: &[u8], start: usize, end: usize, distance: usize) {
        let mut at = self.done.max(start);
        let mut length = common(block, at, distance, usize::MAX);
        if at == start {
            if at - self.done >= SEARCHED_MIN {
                self.search(block, at);
            }
            // the end of the value before may be the same too
            let room = (at - self.done).min(at - distance).min(BEFORE_MAX);
            let before = common_before(block, at, distance, room);
            (at, length) = (at - before, length + before);
        }
        if length >= LENGTH_MIN {
            self.repetition(at, length, distance);
        }
        while let Some(at) = self.resumed(block, end, distance) {
            self.repetition(at, common(block, at, distance, usize::MAX), distance);
        }
    }

    /// Where, before `end`, what is not covered soon is the same again as `distance` before it.
    #[inline]
    fn resumed(&self, block: &[u8], end: usize, distance: usize) -> Option<usize> {
        same_again(block, self.done, distance).filter(|at| at + LENGTH_MIN <= end)
    }

    /// `length` bytes from `at` on repeat those `distance` before them.
    #[inline]
    fn repetition(&mut self, at: usize, mut length: usize, distance: usize) {
        self.literals_but(at, LITERALS_MAX);
        let mut literals = at - self.done;
        self.done = at + length;
        while length > 0 {
            let now = if length > LENGTH_MAX { LENGTH_MAX.min(length - 3) } else { length };
            self.found.push(Found { literals: narrow(literals), length: narrow(now), distance: narrow(distance) });
            (literals, length) = (0, length - now);
        }
    }

    /// All bytes before `to` that are not covered are as they are.
    fn literals(&mut self, to: usize) {
        self.literals_but(to, 0);
    }

    /// The same, but up to `rest` of them, which follow.
    #[inline]
    fn literals_but(&mut self, to: usize, rest: usize) {
        while to - self.done > rest {
            let now = (to - self.done).min(LITERALS_MAX);
            self.found.push(Found { literals: narrow(now), length: 0, distance: 0 });
            self.done += now;
        }
    }

    /// Looks for repetitions in what is not covered before `to`.
    fn search(&mut self, block: &[u8], to: usize) {
        // what the table's zeros stand for is its first place
        let mut at = self.done.max(self.searched).max(1);
        while at + 8 <= to
            && let Some(here) = word(block, at)
        {
            let head = &mut self.heads[hash(here)];
            let earlier = *head as usize;
            *head = u32::try_from(at).unwrap_or(0);
            let distance = at - earlier;
            let there = word(block, earlier).unwrap_or(!here);
            if (here ^ there) << 24 != 0 || distance > DISTANCE_MAX {
                at += 1 + ((at - self.done) >> PATIENCE_BITS);
                continue;
            }
            // places that were passed over may belong to it
            let room = (at - self.done).min(earlier).min(BEFORE_MAX);
            let start = at - common_before(block, at, distance, room);
            let most = (to - start).min(LENGTH_MAX);
            let length = common(block, start, distance, most).min(most);
            self.repetition(start, length, distance);
            at = self.done;
        }
        self.searched = at;
    }
}
