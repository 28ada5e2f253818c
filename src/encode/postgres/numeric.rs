//! PostgreSQL's binary `numeric`: digits of base 10,000 to decimal text, without allocation.
//!
//! The form (`numeric_send`): four 16-bit words — number of digits, weight of the first digit as a power of 10,000,
//! sign, number of decimals shown — and then the digits. Leading and trailing zero digits are not stored.

use crate::audit::Fidelity;
use crate::encode::{Malformed, json};

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
/// The most decimals shown (`NUMERIC_DSCALE_MAX`).
const SCALE_MAX: u16 = 0x3FFF;
/// Decimal digits in one digit of base 10,000.
const GROUP: usize = 4;

/// What a decimal type of BigQuery holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Digits before the point that always fit.
    integer_digits: usize,
    /// Digits after the point.
    fraction_digits: usize,
    /// The greatest values, positive and negative, of one more integer digit; empty if none fits.
    greatest: [&'static [u8]; 2],
}

impl Limit {
    /// NUMERIC: 29 digits before the point, 9 after it.
    pub(super) const NUMERIC: Self = Self { integer_digits: 29, fraction_digits: 9, greatest: [b"", b""] };
    /// BIGNUMERIC: all 38 digits before the point, a part of those with 39, and 38 after it
    /// (BigQuery's documentation of decimal types gives both ends).
    pub(super) const BIGNUMERIC: Self = Self {
        integer_digits: 38,
        fraction_digits: 38,
        greatest: [
            b"578960446186580977117854925043439539266.34992332820282019728792003956564819967",
            b"578960446186580977117854925043439539266.34992332820282019728792003956564819968",
        ],
    };
}

/// A `numeric`, its digits still in the row's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numeric<'a> {
    weight: i32,
    sign: u16,
    scale: usize,
    digits: &'a [[u8; 2]],
}

/// Where the pieces of a written number are, as lengths.
struct Written {
    integer_digits: usize,
    fraction_digits: usize,
}

impl<'a> Numeric<'a> {
    pub(super) fn parse(raw: &'a [u8]) -> Result<Self, Malformed> {
        let (words, rest) = raw.as_chunks::<2>();
        let [count, weight, sign, scale, digits @ ..] = words else { return Err(Malformed) };
        let count = usize::from(u16::from_be_bytes(*count));
        let sign = u16::from_be_bytes(*sign);
        if !rest.is_empty() || digits.len() != count {
            return Err(Malformed);
        }
        if !matches!(sign, 0 | NEGATIVE | NAN | INFINITY | NEGATIVE_INFINITY) {
            return Err(Malformed);
        }
        if digits.iter().any(|digit| u16::from_be_bytes(*digit) > 9_999) {
            return Err(Malformed);
        }
        let mut weight = i32::from(i16::from_be_bytes(*weight));
        // PostgreSQL strips them; what only speaks its protocol may not
        let mut digits = digits;
        while let [[0, 0], rest @ ..] = digits {
            (digits, weight) = (rest, weight - 1);
        }
        if digits.is_empty() {
            weight = 0;
        }
        let scale = u16::from_be_bytes(*scale);
        if scale > SCALE_MAX {
            return Err(Malformed);
        }
        Ok(Self { weight, sign, scale: usize::from(scale), digits })
    }

    /// The word for a value that is no number, as PostgreSQL prints and reads it.
    fn word(self) -> Option<&'static [u8]> {
        match self.sign {
            NAN => Some(b"NaN"),
            INFINITY => Some(b"Infinity"),
            NEGATIVE_INFINITY => Some(b"-Infinity"),
            _ => None,
        }
    }

    /// Zero, which has no digits, has no sign.
    fn negative(self) -> bool {
        self.sign == NEGATIVE && !self.digits.is_empty()
    }

    /// A JSON string for NUMERIC or BIGNUMERIC, without needless zeros; nothing if it does not fit.
    pub(super) fn write_limited(self, out: &mut Vec<u8>, limit: Limit) -> Fidelity {
        let start = out.len();
        let groups_max = i32::try_from(limit.integer_digits / GROUP).unwrap_or(0) + 1;
        if self.word().is_some() || self.weight > groups_max {
            return Fidelity::Unrepresentable;
        }
        out.push(b'"');
        if self.negative() {
            out.push(b'-');
        }
        let digits_start = out.len();
        let written = self.push_digits(out, None);
        let fits = written.fraction_digits <= limit.fraction_digits
            && (written.integer_digits <= limit.integer_digits
                // of numbers with equally many integer digits, the text's order is the numbers' order
                || (written.integer_digits == limit.integer_digits + 1
                    && &out[digits_start..] <= limit.greatest[usize::from(self.negative())]));
        if !fits {
            out.truncate(start);
            return Fidelity::Unrepresentable;
        }
        out.push(b'"');
        Fidelity::Exact
    }

    /// A JSON string as the database prints it, with all its decimals.
    pub(super) fn write_text(self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.push_text(out, Some(self.scale));
        out.push(b'"');
    }

    /// The number's text without quotes; `scale` of `None` leaves needless zeros out.
    pub(super) fn push_text(self, out: &mut Vec<u8>, scale: Option<usize>) {
        if let Some(word) = self.word() {
            out.extend_from_slice(word);
            return;
        }
        if self.negative() {
            out.push(b'-');
        }
        self.push_digits(out, scale);
    }

    #[inline]
    fn push_digits(self, out: &mut Vec<u8>, scale: Option<usize>) -> Written {
        let start = out.len();
        let before_point = usize::try_from(self.weight + 1).unwrap_or(0);
        let (integer, fraction) = self.digits.split_at(before_point.min(self.digits.len()));
        if let Some((first, rest)) = integer.split_first() {
            push_leading(out, group(*first));
            for digit in rest {
                out.extend_from_slice(&group(*digit));
            }
            // zeros at the end are not stored
            out.resize(out.len() + (before_point - integer.len()) * GROUP, b'0');
        }
        let integer_digits = out.len() - start;
        if integer_digits == 0 {
            out.push(b'0');
        }
        let point = out.len();
        out.push(b'.');
        if !fraction.is_empty() {
            // nor are those between the point and the first digit
            let zeros = usize::try_from(-1 - self.weight).unwrap_or(0);
            out.resize(out.len() + zeros * GROUP, b'0');
            for digit in fraction {
                out.extend_from_slice(&group(*digit));
            }
        }
        match scale {
            Some(scale) => out.resize(point + 1 + scale, b'0'),
            None => {
                let zeros = out[point + 1..].iter().rev().take_while(|figure| **figure == b'0').count();
                out.truncate(out.len() - zeros);
            }
        }
        let fraction_digits = out.len() - point - 1;
        if fraction_digits == 0 {
            out.truncate(point);
        }
        Written { integer_digits, fraction_digits }
    }
}

/// The figures of a digit of base 10,000.
#[inline]
fn group(digit: [u8; 2]) -> [u8; GROUP] {
    let digit = u32::from(u16::from_be_bytes(digit));
    let ([a, b], [c, d]) = (json::pair(digit / 100), json::pair(digit));
    [a, b, c, d]
}

/// The number's first figures, without zeros in front; the digit is not zero.
#[inline]
fn push_leading(out: &mut Vec<u8>, group: [u8; GROUP]) {
    match group {
        [b'0', b'0', b'0', d] => out.push(d),
        [b'0', b'0', c, d] => out.extend_from_slice(&[c, d]),
        [b'0', b, c, d] => out.extend_from_slice(&[b, c, d]),
        whole => out.extend_from_slice(&whole),
    }
}
