//! The settings for rows that are gone at the source.

use std::time::Duration;

use super::reader::Map;
use super::scalar;
use crate::model::{Code, DeletesSettings, Fraction, Mode, Removal};

/// How often rows that are gone are looked for, unless the settings say it.
const EVERY_DEFAULT: Duration = Duration::from_secs(86_400);
/// The greatest part of a target's rows that may go at once, unless the settings say it: 0.2, in millionths.
const MAX_FRACTION_DEFAULT: u32 = 200_000;

const REMOVALS: [(&str, Option<Removal>); 3] =
    [("none", None), ("soft", Some(Removal::Soft)), ("hard", Some(Removal::Hard))];

/// What a table may inherit of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deletes {
    removal: Option<Option<Removal>>,
    every: Option<Duration>,
    max_fraction: Option<Fraction>,
}

impl Deletes {
    /// These where they say something, else those below.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            removal: self.removal.or(below.removal),
            every: self.every.or(below.every),
            max_fraction: self.max_fraction.or(below.max_fraction),
        }
    }

    /// Reports what a table of that mode cannot have. What it inherits is for the tables that can.
    pub(super) fn check(self, map: &Map<'_>, mode: Mode, metadata: Option<bool>) {
        let Some(Some(removal)) = self.removal else { return };
        match mode {
            Mode::Merge => {}
            Mode::Append => map.fault(
                Code::ConfigConflict,
                "deletes",
                "`mode: append` keeps every row that ever was; remove one of them",
            ),
            Mode::Replace => {
                map.fault(
                    Code::ConfigConflict,
                    "deletes",
                    "`mode: replace` copies what the source has each time; remove one of them",
                );
            }
        }
        if removal == Removal::Soft && metadata == Some(false) {
            map.fault(
                Code::ConfigConflict,
                "metadata_columns",
                "`deletes: soft` marks rows in `_deleted_at`, which is one of them; remove one of the two settings",
            );
        }
    }

    /// The settings of a table of that mode.
    pub(super) fn settings(self, mode: Mode) -> Option<DeletesSettings> {
        let removal = self.removal.flatten().filter(|_| mode == Mode::Merge)?;
        let max_fraction = self.max_fraction.or_else(|| Fraction::try_from(MAX_FRACTION_DEFAULT).ok())?;
        Some(DeletesSettings { removal, every: self.every.unwrap_or(EVERY_DEFAULT), max_fraction })
    }
}

/// `deletes: MODE`, or `deletes: {mode: MODE, every: DURATION}`; and `max_delete_fraction`.
pub(super) fn read(map: &mut Map<'_>) -> Deletes {
    let max_fraction = map.optional("max_delete_fraction", |text| {
        Fraction::parse(text).ok_or_else(|| format!("{text:?} is not a part of the whole; say a number from 0 to 1"))
    });
    let word = |text: &str| scalar::word(text, &REMOVALS);
    if !map.is_map("deletes") {
        return Deletes { removal: map.optional("deletes", word), every: None, max_fraction };
    }
    let Some(mut section) = map.map("deletes") else { return Deletes { max_fraction, ..Deletes::default() } };
    let deletes = Deletes {
        removal: section.required("mode", word),
        every: section.optional("every", scalar::duration),
        max_fraction,
    };
    section.finish();
    deletes
}
