//! What a watermark rests on: the settings and columns that it was made with, and whether those of now still fit. Pure.

use sha2::{Digest as _, Sha256};

use super::prune;
use super::table::TablePlan;
use crate::model::{Basis, Mode, SyncedColumn, TableSettings, TableState};

/// Hexadecimal digits of a salt's tag: enough to see that it changed, too few to guess it by.
const TAG_DIGITS: usize = 8;

/// What the table is synced with now. `present` are all columns that the source has, synced or not; `left_out` those
/// that the settings leave out.
pub fn now(
    plan: &TablePlan,
    settings: &TableSettings,
    key: &[String],
    present: &[String],
    left_out: Vec<String>,
    was: Option<&Basis>,
) -> Basis {
    let columns: Vec<SyncedColumn> = plan
        .columns
        .iter()
        .zip(&plan.names)
        .map(|(column, name)| SyncedColumn { source: column.name.clone(), name: name.clone() })
        .collect();
    let known = was.map(|was| was.columns.iter().chain(&was.gone)).into_iter().flatten();
    let gone =
        known.filter(|column| !present.contains(&column.source) && columns.iter().all(|now| now.name != column.name));
    let wanted = &settings.columns;
    Basis {
        target: settings.target.clone(),
        mode: settings.mode,
        cursor: settings.cursor.clone(),
        key: key.to_vec(),
        filter: settings.filter.clone(),
        gone: gone.cloned().collect(),
        columns,
        left_out: still_left_out(left_out, settings, present, was),
        hashed: sorted(&wanted.hash),
        salt: wanted.salt.as_ref().map(|salt| tag(salt.expose())),
        naive_zone: wanted.naive_zone.clone(),
        partition: prune::basis(settings, &plan.columns, was, false),
        reset: false,
    }
}

/// What is left out, and what was left out when the source had it: the settings still name it.
fn still_left_out(
    mut left_out: Vec<String>,
    settings: &TableSettings,
    present: &[String],
    was: Option<&Basis>,
) -> Vec<String> {
    let dropped = was.map(|was| &was.left_out).into_iter().flatten();
    let named = dropped.filter(|name| settings.columns.exclude.contains(name) && !present.contains(name));
    left_out.extend(named.cloned());
    left_out
}

/// Columns that were synced and that the settings leave out now, though the source has them.
pub fn newly_left_out(was: Option<&Basis>, now: &Basis) -> Vec<String> {
    let was = was.map(|was| &was.columns).into_iter().flatten();
    was.map(|column| column.source.clone()).filter(|name| now.left_out.contains(name)).collect()
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

fn tag(salt: &str) -> String {
    let digest = Sha256::new().chain_update(b"highwater salt tag\n").chain_update(salt.as_bytes()).finalize();
    digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(TAG_DIGITS).map(|nibble| format!("{nibble:x}")).collect()
}

/// What changed so that the watermark, or the rows below it, would be wrong: one line each. None if there is no
/// watermark yet.
pub fn changes(state: &TableState, now: &Basis) -> Vec<String> {
    let Some(was) = state.basis.as_deref() else { return Vec::new() };
    let mut changes = Vec::new();
    let mut differ = |what: &str, was: String, now: String| {
        if was != now {
            changes.push(format!("{what} was {was}, is {now}"));
        }
    };
    if now.mode == Mode::Replace || was.reset {
        return Vec::new();
    }
    if was.mode == Mode::Replace && now.mode == Mode::Append {
        differ("mode", was.mode.to_string(), now.mode.to_string());
    }
    if state.watermark.is_none() || was.mode == Mode::Replace {
        return changes;
    }
    let or_none = |text: &Option<String>| text.as_ref().map_or("none".to_owned(), |text| format!("`{text}`"));
    differ("mode", was.mode.to_string(), now.mode.to_string());
    differ("target", was.target.to_string(), now.target.to_string());
    differ("cursor", or_none(&was.cursor), or_none(&now.cursor));
    differ("key", format!("{:?}", was.key), format!("{:?}", now.key));
    differ("where", or_none(&was.filter), or_none(&now.filter));
    differ("hash", format!("{:?}", was.hashed), format!("{:?}", now.hashed));
    differ("the zone of naive_timestamps", or_none(&was.naive_zone), or_none(&now.naive_zone));
    if was.hashed == now.hashed && was.salt != now.salt {
        changes.push("the salt of `hash` changed".to_owned());
    }
    changes
}

/// What is other about the key than when the target's rows were written, so that they are not found by it: one line each.
/// `zoned` if a column of the key is a time that is converted from a zone.
pub fn key_changes(was: &Basis, now: &Basis, zoned: bool) -> Vec<String> {
    let mut changes = Vec::new();
    if was.key != now.key {
        changes.push(format!("it was {:?}, is {:?}", was.key, now.key));
    }
    let hashed = |basis: &Basis| basis.hashed.iter().filter(|name| now.key.contains(name)).cloned().collect::<Vec<_>>();
    let (before, after) = (hashed(was), hashed(now));
    if before != after {
        changes.push(format!("the hashed columns of it were {before:?}, are {after:?}"));
    } else if !after.is_empty() && was.salt != now.salt {
        changes.push("the salt of its hashed columns changed".to_owned());
    }
    if zoned && was.naive_zone != now.naive_zone {
        changes.push("the zone of its naive_timestamps changed".to_owned());
    }
    changes
}

/// Columns that are synced now and were not, though the source had them: left out by the settings until now.
pub fn included(was: Option<&Basis>, now: &Basis) -> Vec<String> {
    let Some(was) = was.filter(|was| !was.reset) else { return Vec::new() };
    let new = now.columns.iter().filter(|column| was.left_out.contains(&column.source));
    new.map(|column| column.source.clone()).collect()
}

/// Columns that are synced now and were not, for whatever reason.
pub fn added(was: Option<&Basis>, now: &Basis) -> Vec<String> {
    let Some(was) = was else { return Vec::new() };
    let is_new = |column: &&SyncedColumn| was.columns.iter().all(|known| known.source != column.source);
    now.columns.iter().filter(is_new).map(|column| column.source.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BqTable, Position};

    fn basis() -> Basis {
        let column = |name: &str| SyncedColumn { source: name.into(), name: name.into() };
        Basis {
            target: BqTable { project: "p".into(), dataset: "d".into(), table: "t".into() },
            mode: Mode::Merge,
            cursor: Some("c".into()),
            key: vec!["id".into()],
            filter: None,
            columns: vec![column("id"), column("c")],
            gone: Vec::new(),
            left_out: vec!["secret".into()],
            hashed: Vec::new(),
            salt: None,
            naive_zone: None,
            partition: None,
            reset: false,
        }
    }

    fn state(mode: Mode, watermark: bool) -> TableState {
        let position = Position { cursor: Some("1".into()), key: vec!["1".into()] };
        let basis = Some(Box::new(Basis { mode, ..basis() }));
        TableState { watermark: watermark.then_some(position), basis, ..TableState::new() }
    }

    #[test]
    fn what_makes_a_watermark_wrong_is_told() {
        let was = state(Mode::Merge, true);
        assert_eq!(changes(&was, &basis()), Vec::<String>::new());
        let target = BqTable { project: "p".into(), dataset: "d".into(), table: "u".into() };
        let table: [(Basis, &str); 8] = [
            (Basis { mode: Mode::Append, ..basis() }, "mode was merge, is append"),
            (Basis { target, ..basis() }, "target was p.d.t, is p.d.u"),
            (Basis { cursor: Some("id".into()), ..basis() }, "cursor was `c`, is `id`"),
            (Basis { key: vec!["a".into()], ..basis() }, "key was [\"id\"], is [\"a\"]"),
            (Basis { filter: Some("x > 1".into()), ..basis() }, "where was none, is `x > 1`"),
            (Basis { hashed: vec!["c".into()], ..basis() }, "hash was [], is [\"c\"]"),
            (Basis { salt: Some(tag("x")), ..basis() }, "the salt of `hash` changed"),
            (Basis { naive_zone: Some("UTC".into()), ..basis() }, "the zone of naive_timestamps was none, is `UTC`"),
        ];
        for (now, line) in table {
            assert_eq!(changes(&was, &now), [line]);
            // without a watermark, or before the state knew, nothing can be wrong
            assert_eq!(changes(&state(Mode::Merge, false), &now), Vec::<String>::new());
            assert_eq!(changes(&TableState { basis: None, ..was.clone() }, &now), Vec::<String>::new());
        }
    }

    #[test]
    fn to_and_from_replace() {
        let now = |mode| Basis { mode, cursor: None, ..basis() };
        assert_eq!(changes(&state(Mode::Merge, true), &now(Mode::Replace)), Vec::<String>::new());
        assert_eq!(changes(&state(Mode::Replace, true), &now(Mode::Merge)), Vec::<String>::new());
        // the target has every row already
        assert_eq!(changes(&state(Mode::Replace, false), &now(Mode::Append)), ["mode was replace, is append"]);
    }

    #[test]
    fn columns_that_are_new_and_those_that_were_left_out() {
        let column = |name: &str| SyncedColumn { source: name.into(), name: name.into() };
        let now = Basis { columns: vec![column("id"), column("secret"), column("new")], ..basis() };
        assert_eq!(included(Some(&basis()), &now), ["secret"]);
        assert_eq!(added(Some(&basis()), &now), ["secret", "new"]);
        assert_eq!(added(None, &now), Vec::<String>::new());
        // an operator has set the watermark since, knowing what they want
        let reset = Basis { reset: true, ..basis() };
        assert_eq!(included(Some(&reset), &now), Vec::<String>::new());
        let state = TableState { basis: Some(Box::new(reset)), ..state(Mode::Merge, true) };
        assert_eq!(changes(&state, &Basis { cursor: Some("id".into()), ..basis() }), Vec::<String>::new());
        assert_eq!(tag("salt").len(), 8);
        assert_ne!(tag("salt"), tag("salt2"));
    }
}
