//! "Did you mean": names that are near to one that is not there.

/// The most characters of a name that is compared: anybody may ask for anything, and comparing costs.
const COMPARED_CHARS_MAX: usize = 200;
/// The most names that one is compared with.
const KNOWN_MAX: usize = 10_000;
/// So many characters of a name may be one wrong each.
const CHARS_PER_SLIP: usize = 4;

/// Of these names, each with what it stands for, those that `wanted` may have meant: the nearest first, at most `most`.
/// Case counts only between names that are equally near.
pub fn nearest<'a, T>(wanted: &str, known: impl IntoIterator<Item = (&'a str, T)>, most: usize) -> Vec<T> {
    let length = wanted.chars().count();
    if length == 0 || length > COMPARED_CHARS_MAX {
        return Vec::new();
    }
    let slips_max = 1 + length / CHARS_PER_SLIP;
    let lower = wanted.to_lowercase();
    let near = |(name, meant): (&str, T)| {
        if name.chars().count().abs_diff(length) > slips_max {
            return None;
        }
        let slips = strsim::damerau_levenshtein(&name.to_lowercase(), &lower);
        // a name of which nothing is left is no other name
        let fits = slips <= slips_max && slips < length;
        fits.then(|| ((slips, strsim::damerau_levenshtein(name, wanted)), meant))
    };
    let mut found: Vec<_> = known.into_iter().take(KNOWN_MAX).filter_map(near).collect();
    found.sort_by_key(|(slips, _)| *slips);
    found.into_iter().take(most).map(|(_, meant)| meant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wanted: &str, known: &[&'static str]) -> Vec<&'static str> {
        nearest(wanted, known.iter().map(|name| (*name, *name)), 3)
    }

    #[test]
    fn slips_are_seen_and_nonsense_is_not() {
        let tables = ["invoices", "Invoice", "orders", "id"];
        assert_eq!(of("invoces", &tables), ["invoices", "Invoice"]);
        assert_eq!(of("INVOICES", &tables), ["invoices", "Invoice"]);
        assert_eq!(of("ordres", &tables), ["orders"]);
        for nonsense in ["", "x", "customers", "qq", "unrelated"] {
            assert_eq!(of(nonsense, &tables), Vec::<&str>::new(), "{nonsense}");
        }
    }

    #[test]
    fn what_is_long_is_not_compared() {
        let long = "x".repeat(COMPARED_CHARS_MAX + 1);
        assert_eq!(nearest(&long, [(long.as_str(), ())], 3), []);
        let many = (0..KNOWN_MAX).map(|_| ("other", 0)).chain([("wanted", 1)]);
        assert_eq!(nearest("wanted", many, 3), Vec::<i32>::new());
    }
}
