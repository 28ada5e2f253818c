//! Casts: every one that a column can have, on values of both databases and under every policy; and on any token.
#![no_main]

use highwater_fuzz::encode::cast::Cast;
use highwater_fuzz::encode::mysql::MyCodec;
use highwater_fuzz::encode::postgres::PgCodec;
use highwater_fuzz::model::BqType;
use highwater_fuzz::value::Wrote;
use highwater_fuzz::{choice, mysql, postgres, row};
use libfuzzer_sys::fuzz_target;

/// The most bytes of a number that is made of a token: an exponent may stand for 400 zeros.
const GROWTH_BYTES_MAX: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let Some((database, data)) = choice(data, 3) else { return };
    match database {
        0 => {
            let Some((index, data)) = choice(data, postgres::CODECS.len()) else { return };
            let (codec, ty) = postgres::CODECS[index];
            // a decimal is cast from all its digits
            let ty = if codec == PgCodec::NumericText { BqType::BigNumeric } else { ty };
            let Some((cast, becomes, raw)) = wanted(ty, data) else { return };
            let natural = natural(postgres::check(codec, postgres::CODECS[index].1, raw));
            row::check(codec, &cast, becomes, natural.as_deref(), raw);
        }
        1 => {
            let Some((index, data)) = choice(data, mysql::CODECS.len()) else { return };
            let (codec, ty) = mysql::CODECS[index];
            let ty = if codec == MyCodec::DecimalText { BqType::BigNumeric } else { ty };
            let Some((cast, becomes, raw)) = wanted(ty, data) else { return };
            let natural = natural(mysql::check(codec, mysql::CODECS[index].1, raw));
            row::check(codec, &cast, becomes, natural.as_deref(), raw);
        }
        _ => any_token(data),
    }
});

fn wanted(ty: BqType, data: &[u8]) -> Option<(Cast, BqType, &[u8])> {
    let mut casts = row::casts(ty);
    let (index, raw) = choice(data, casts.len())?;
    let (cast, becomes) = casts.swap_remove(index);
    Some((cast, becomes, raw))
}

fn natural(wrote: Wrote) -> Option<String> {
    match wrote {
        Wrote::Token(token, _) => Some(token),
        Wrote::Unrepresentable(_) | Wrote::Malformed => None,
    }
}

/// A token that no reader writes: nothing may break, and nothing may grow.
fn any_token(data: &[u8]) {
    let types = [BqType::Int64, BqType::DateTime, BqType::Timestamp];
    let Some((index, data)) = choice(data, types.len()) else { return };
    let Some((cast, _, token)) = wanted(types[index], data) else { return };
    for clamp in [false, true] {
        let mut out = b"before".to_vec();
        out.extend_from_slice(token);
        match clamp {
            false => drop(cast.apply(&mut out, 6, token)),
            true => drop(cast.clamp(&mut out, 6)),
        }
        assert!(out.starts_with(b"before"));
        assert!(out.len() <= 6 + 4 * token.len() + GROWTH_BYTES_MAX, "{} bytes of {}", out.len(), token.len());
    }
}
