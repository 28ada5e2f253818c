//! Decimals as text, and whether BigQuery's two decimal types hold them.

use crate::audit::Fidelity;
use crate::encode::Malformed;

/// What one of BigQuery's decimal types holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Greatest integer digits; a number with fewer digits is within.
    integer_max: &'static [u8],
    /// Greatest fractional digits that go with `integer_max`, of positive and of negative numbers.
    fraction_max: [&'static [u8]; 2],
    /// Fractional digits kept.
    scale: usize,
}

/// NUMERIC: 29 integer digits and 9 fractional ones.
pub(crate) const NUMERIC: Limits =
    Limits { integer_max: &[b'9'; 29], fraction_max: [b"999999999", b"999999999"], scale: 9 };

/// BIGNUMERIC: the two ends of a 256-bit integer divided by 10^38.
pub(crate) const BIGNUMERIC: Limits = Limits {
    integer_max: b"578960446186580977117854925043439539266",
    fraction_max: [b"34992332820282019728792003956564819967", b"34992332820282019728792003956564819968"],
    scale: 38,
};

/// The text of a decimal, after a look that it is one.
pub(crate) fn checked(raw: &[u8]) -> Result<&[u8], Malformed> {
    let (_, integer, fraction) = parts(raw);
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if !digits(integer) || !digits(fraction) || integer.len() + fraction.len() == 0 {
        return Err(Malformed);
    }
    Ok(raw)
}

/// Writes the decimal as a JSON string; zeros that say nothing (ZEROFILL in front, a wide scale behind) are left out
/// where they would go beyond what the type takes.
pub(crate) fn write(out: &mut Vec<u8>, raw: &[u8], limits: &Limits) -> Result<Fidelity, Malformed> {
    let (negative, integer, mut fraction) = parts(checked(raw)?);
    let zeros = integer.iter().take_while(|&&digit| digit == b'0').count();
    let integer = &integer[zeros..];
    if let Some((kept, rest)) = fraction.split_at_checked(limits.scale) {
        if rest.iter().any(|&digit| digit != b'0') {
            return Ok(Fidelity::Unrepresentable);
        }
        fraction = kept;
    }
    if !within(negative, integer, fraction, limits) {
        return Ok(Fidelity::Unrepresentable);
    }
    push(out, negative, integer, fraction);
    Ok(Fidelity::Exact)
}

fn parts(raw: &[u8]) -> (bool, &[u8], &[u8]) {
    let (negative, digits) = match raw {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match memchr::memchr(b'.', digits) {
        Some(point) => (negative, &digits[..point], &digits[point + 1..]),
        None => (negative, digits, &[]),
    }
}

/// `fraction` has no more digits than the type's scale; a shorter one is as if zeros followed, and comparing slices
/// of digits does just that.
fn within(negative: bool, integer: &[u8], fraction: &[u8], limits: &Limits) -> bool {
    let max = limits.integer_max;
    match integer.len().cmp(&max.len()).then_with(|| integer.cmp(max)) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Greater => false,
        std::cmp::Ordering::Equal => fraction <= limits.fraction_max[usize::from(negative)],
    }
}

/// Writes the value that the type holds nearest to the decimal: its end, or rounded half away from zero.
pub(crate) fn clamp(out: &mut Vec<u8>, raw: &[u8], limits: &Limits) -> Result<(), Malformed> {
    let (negative, integer, fraction) = parts(checked(raw)?);
    let kept = &fraction[..fraction.len().min(limits.scale)];
    let mut digits: Vec<u8> = [b"0", integer, kept].concat();
    if fraction.get(limits.scale).is_some_and(|&next| next >= b'5') {
        increment(&mut digits);
    }
    let (integer, fraction) = digits.split_at(digits.len() - kept.len());
    let integer = &integer[integer.iter().take_while(|&&digit| digit == b'0').count()..];
    let (integer, fraction) = if within(negative, integer, fraction, limits) {
        (integer, fraction)
    } else {
        (limits.integer_max, limits.fraction_max[usize::from(negative)])
    };
    push(out, negative, integer, fraction);
    Ok(())
}

/// Adds one to the last digit; the first digit is a zero that takes the carry.
fn increment(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

fn push(out: &mut Vec<u8>, negative: bool, integer: &[u8], fraction: &[u8]) {
    out.push(b'"');
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(if integer.is_empty() { b"0" } else { integer });
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    out.push(b'"');
}

/// The end of the type: the greatest value, or the least.
pub(crate) fn end(out: &mut Vec<u8>, negative: bool, limits: &Limits) {
    push(out, negative, limits.integer_max, limits.fraction_max[usize::from(negative)]);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    fn big(text: &str) -> String {
        let mut out = Vec::new();
        match write(&mut out, text.as_bytes(), &BIGNUMERIC).unwrap() {
            Fidelity::Unrepresentable => "!".to_owned(),
            Fidelity::Exact | Fidelity::Adjusted | Fidelity::Replaced => String::from_utf8(out).unwrap(),
        }
    }

    #[test]
    fn the_ends_of_bignumeric() {
        let max = "578960446186580977117854925043439539266.34992332820282019728792003956564819967";
        assert_eq!(big(max), format!("\"{max}\""));
        assert_eq!(big("578960446186580977117854925043439539266.34992332820282019728792003956564819968"), "!");
        let min = "-578960446186580977117854925043439539266.34992332820282019728792003956564819968";
        assert_eq!(big(min), format!("\"{min}\""));
        assert_eq!(big("-578960446186580977117854925043439539266.34992332820282019728792003956564819969"), "!");
        assert_eq!(big("578960446186580977117854925043439539267"), "!");
        assert_eq!(big("1000000000000000000000000000000000000000"), "!");
        assert_eq!(big("578960446186580977117854925043439539266.3"), "\"578960446186580977117854925043439539266.3\"");
    }

    #[test]
    fn zeros_without_meaning() {
        assert_eq!(big("0000012.50"), "\"12.50\"");
        assert_eq!(big("-.5"), "\"-0.5\"");
        assert_eq!(big(&format!("1.{}", "0".repeat(60))), format!("\"1.{}\"", "0".repeat(38)));
        assert_eq!(big(&format!("1.{}1", "0".repeat(38))), "!");
    }

    #[test]
    fn the_nearest_value() {
        let near = |text: &str, limits: &Limits| {
            let mut out = Vec::new();
            clamp(&mut out, text.as_bytes(), limits).unwrap();
            String::from_utf8(out).unwrap().trim_matches('"').to_owned()
        };
        assert_eq!(near("1.0000000005", &NUMERIC), "1.000000001");
        assert_eq!(near("-1.00000000049", &NUMERIC), "-1.000000000");
        assert_eq!(near("99.9999999999", &NUMERIC), "100.000000000");
        let greatest = "99999999999999999999999999999.999999999";
        assert_eq!(near("99999999999999999999999999999.9999999999", &NUMERIC), greatest);
        assert_eq!(near(&"9".repeat(60), &NUMERIC), greatest);
        assert_eq!(near(&format!("-{}", "9".repeat(60)), &NUMERIC), format!("-{greatest}"));
        let least = "-578960446186580977117854925043439539266.34992332820282019728792003956564819968";
        assert_eq!(near("-1000000000000000000000000000000000000000", &BIGNUMERIC), least);
    }

    #[test]
    fn numeric_holds_29_and_9_digits() {
        let mut out = Vec::new();
        let nines = "99999999999999999999999999999.999999999";
        assert_eq!(write(&mut out, nines.as_bytes(), &NUMERIC), Ok(Fidelity::Exact));
        assert_eq!(write(&mut out, b"100000000000000000000000000000", &NUMERIC), Ok(Fidelity::Unrepresentable));
        assert_eq!(write(&mut out, b"1.0000000001", &NUMERIC), Ok(Fidelity::Unrepresentable));
        assert_eq!(write(&mut out, b"1e5", &NUMERIC), Err(Malformed));
        assert_eq!(write(&mut out, b"", &NUMERIC), Err(Malformed));
    }
}
