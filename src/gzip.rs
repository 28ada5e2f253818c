//! gzip as fast as rows come: the compression of level 1. Pure, and its output is what every gzip reader takes (RFC 1951,
//! RFC 1952).
//!
//! Compressing is the largest single part of what a row costs, so this is made for what we compress: lines of
//! JSON, of which it is known where their fields begin (`fields`). A field is held against the same field of the line before,
//! which takes the place of a search; only long values are searched (`parse`). Symbols are written with Huffman codes that
//! serve several segments, and are made anew where they do not suit (`codes`, `write`). Fields are a hint: with wrong ones, or
//! none, less is found. Levels that trade speed for size are `flate2`'s.

mod codes;
mod fields;
mod parse;
mod write;

use std::ops::Range;

use flate2::Crc;

use codes::{Codes, Counts};
pub use fields::{Fields, Mark};
use parse::Parser;
use write::{Bits, Staged};

/// The most bytes that are looked at together; of more, fields are not. What is found in them takes two bytes for each.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes that are written together, with the same codes; at the end of a block up to half as many more.
const SEGMENT_BYTES: usize = 1 << 17;
/// The fewest bytes that codes are made of for others too.
const SAMPLE_BYTES: usize = SEGMENT_BYTES / 4;
/// Segments after which codes are made anew.
const SEGMENTS_OF_CODES: u32 = 8;
/// Begins a file: the mark of gzip, deflate, no flags, no time, "fastest", system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// The most bytes that so many bytes come to, beside those of [`GROWTH_BYTES`]: what does not shrink grows by less.
const GROWTH: usize = 16;
/// Bytes that a file has at the most beside what was written to it: header, codes, end.
const GROWTH_BYTES: usize = 4096;

/// A gzip file that is being written.
#[derive(Debug)]
pub struct Gzip {
    out: Vec<u8>,
    crc: Crc,
    bits: Bits,
    parser: Parser,
    staged: Staged,
    /// The codes of the block that is open.
    codes: Option<Box<Codes>>,
    /// Segments that were written with them.
    segments: u32,
}

/// The most bytes that `bytes` more come to.
#[must_use]
pub fn bound(bytes: usize) -> usize {
    bytes + bytes / GROWTH + GROWTH_BYTES
}

impl Gzip {
    /// An empty file in this buffer, which is emptied.
    pub fn new(mut out: Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(&HEADER);
        let (parser, staged) = (Parser::new(), Staged::new());
        Self { out, crc: Crc::new(), bits: Bits::default(), parser, staged, codes: None, segments: 0 }
    }

    /// Bytes of the file so far.
    pub fn size(&self) -> usize {
        self.out.len()
    }

    /// Compresses a block of lines, whose fields begin at `fields`; at the most [`bound`] are added to the file.
    pub fn write(&mut self, lines: &[u8], fields: &Fields) {
        self.crc.update(lines);
        if lines.len() <= PIECE_BYTES {
            self.piece(lines, fields);
        } else {
            // of one huge row, or a few
            lines.chunks(PIECE_BYTES).for_each(|piece| self.piece(piece, &Fields::default()));
        }
    }

    fn piece(&mut self, lines: &[u8], fields: &Fields) {
        self.parser.parse(lines, fields);
        let (mut at, mut from) = (0, 0);
        while from < self.parser.found().len() {
            let (to, bytes) = self.parser.segment(from, lines.len() - at);
            self.segment(&lines[at..at + bytes], from..to);
            (from, at) = (to, at + bytes);
        }
    }

    fn segment(&mut self, segment: &[u8], found: Range<usize>) {
        let found = &self.parser.found()[found];
        let fitting = self.codes.as_ref().filter(|_| self.segments < SEGMENTS_OF_CODES);
        if let Some(codes) = fitting {
            let (bits, length) = self.staged.write(self.bits, segment, found, codes);
            if codes.suit(segment.len(), length) {
                (self.bits, self.segments) = (bits, self.segments + 1);
                self.out.extend_from_slice(self.staged.first(length));
                return;
            }
        }
        let bits = end_block(self.codes.take(), self.bits, &mut self.out);
        let mut codes = Codes::new(&Counts::of(segment, found));
        let bits = codes.write_header(bits, &mut self.out);
        let (bits, length) = self.staged.write(bits, segment, found, &codes);
        codes.made_for(segment.len(), length);
        self.out.extend_from_slice(self.staged.first(length));
        let segments = if segment.len() < SAMPLE_BYTES { SEGMENTS_OF_CODES } else { 1 };
        (self.bits, self.segments, self.codes) = (bits, segments, Some(Box::new(codes)));
    }

    /// The whole file.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let bits = end_block(self.codes, self.bits, &mut self.out);
        // the last block has nothing in it
        bits.push(codes::LAST_BLOCK, &mut self.out).align(&mut self.out);
        self.out.extend_from_slice(&self.crc.sum().to_le_bytes());
        self.out.extend_from_slice(&self.crc.amount().to_le_bytes());
        self.out
    }
}

/// Ends the block of these codes, if one is open.
fn end_block(codes: Option<Box<Codes>>, bits: Bits, out: &mut Vec<u8>) -> Bits {
    codes.map_or(bits, |codes| bits.push(codes.end(), out))
}

#[cfg(test)]
mod tests;
