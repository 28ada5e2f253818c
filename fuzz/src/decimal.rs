//! Decimals as digits, worked out anew: the second opinion on what the product makes of numbers.

/// Integer and fractional digits of NUMERIC.
pub const NUMERIC: Range = Range { whole: "99999999999999999999999999999", fraction: ["999999999", "999999999"] };
/// Greatest BIGNUMERIC, and the last digits of the greatest and of the least.
pub const BIGNUMERIC: Range = Range {
    whole: "578960446186580977117854925043439539266",
    fraction: ["34992332820282019728792003956564819967", "34992332820282019728792003956564819968"],
};
/// The most zeros that an exponent may stand for: beyond any double.
const EXPONENT_MAX: i64 = 1000;

/// The ends of a decimal type.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    whole: &'static str,
    fraction: [&'static str; 2],
}

/// A decimal without digits that say nothing; zero has no sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    fn new(negative: bool, whole: &str, fraction: &str) -> Self {
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        Self { negative: negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction }
    }

    /// Of `-12.5`, `.5`, `1e300`; `None` for what is no number, or has an absurd exponent.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if !(-EXPONENT_MAX..=EXPONENT_MAX).contains(&exponent) {
            return None;
        }
        let zeros = "0".repeat(exponent.unsigned_abs() as usize);
        let (digits, point) = match exponent < 0 {
            true => (format!("{zeros}{digits}"), whole.len()),
            false => (format!("{digits}{zeros}"), whole.len() + zeros.len()),
        };
        Some(Self::new(negative, &digits[..point], &digits[point..]))
    }

    /// Of a token: `12`, `"12.5"`, `true`.
    pub fn of_token(token: &str) -> Option<Self> {
        match token.trim_matches('"') {
            "true" => Self::parse("1"),
            "false" => Self::parse("0"),
            text => Self::parse(text),
        }
    }

    /// Of digits of base 10,000, the first with this weight.
    pub fn of_groups(negative: bool, weight: i16, groups: &[u16]) -> Self {
        let all: String = groups.iter().map(|group| format!("{group:04}")).collect();
        let point = (i64::from(weight) + 1) * 4;
        match usize::try_from(point) {
            Ok(point) if point <= all.len() => Self::new(negative, &all[..point], &all[point..]),
            Ok(point) => Self::new(negative, &format!("{all}{}", "0".repeat(point - all.len())), ""),
            Err(_) => Self::new(negative, "", &format!("{}{all}", "0".repeat(point.unsigned_abs() as usize))),
        }
    }

    /// Whether the type holds it.
    pub fn within(&self, range: &Range) -> bool {
        let end = range.fraction[usize::from(self.negative)];
        let whole = (self.whole.len(), self.whole.as_str()).cmp(&(range.whole.len(), range.whole));
        self.fraction.len() <= end.len() && whole.then_with(|| self.fraction.as_str().cmp(end)).is_le()
    }

    /// The nearest value that the type holds: rounded half away from zero, or the type's end.
    pub fn nearest(&self, range: &Range) -> Self {
        let scale = range.fraction[0].len();
        let mut rounded = self.clone();
        if self.fraction.len() > scale {
            let up = self.fraction.as_bytes()[scale] >= b'5';
            let mut digits = format!("0{}{}", self.whole, &self.fraction[..scale]).into_bytes();
            let point = digits.len() - scale;
            for digit in digits.iter_mut().rev().take_while(|_| up) {
                *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
                if *digit != b'0' {
                    break;
                }
            }
            let digits = String::from_utf8(digits).unwrap();
            rounded = Self::new(self.negative, &digits[..point], &digits[point..]);
        }
        if rounded.within(range) { rounded } else { Self::end(self.negative, range) }
    }

    /// The type's greatest or least value.
    pub fn end(negative: bool, range: &Range) -> Self {
        Self::new(negative, range.whole, range.fraction[usize::from(negative)])
    }

    /// Whether it is a whole number.
    pub fn is_whole(&self) -> bool {
        self.fraction.is_empty()
    }

    /// The number that an `i64` holds.
    pub fn to_i64(&self) -> Option<i64> {
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        format!("{sign}{whole}").parse().ok().filter(|_| self.is_whole())
    }
}
