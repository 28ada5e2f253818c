//! Where the fields of lines begin: what a field's name and value repeat is most often the same field of the line before.

/// A field begins so many bytes after the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bytes: u16,
    column: u16,
}

/// No column's: it only goes on for so many bytes.
const GAP: u16 = u16::MAX;

/// Where fields begin in a block of lines, in order.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
    /// Where the last one begins.
    last: usize,
}

/// A state of [`Fields`] to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    list: usize,
    last: usize,
}

impl Fields {
    /// A field of column `column` begins at byte `at`, which is not before the last one.
    #[inline]
    pub fn push(&mut self, at: usize, column: usize) {
        let mut bytes = at.saturating_sub(self.last);
        while bytes > usize::from(u16::MAX) {
            bytes -= usize::from(u16::MAX);
            self.list.push(Field { bytes: u16::MAX, column: GAP });
        }
        // databases have fewer columns than that
        let column = u16::try_from(column).unwrap_or(GAP);
        self.list.push(Field { bytes: u16::try_from(bytes).unwrap_or(u16::MAX), column });
        self.last = at.max(self.last);
    }

    /// What there is now.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { list: self.list.len(), last: self.last }
    }

    /// Forgets what was pushed after `mark`.
    pub fn back_to(&mut self, mark: Mark) {
        self.list.truncate(mark.list);
        self.last = mark.last;
    }

    /// Forgets everything; the room stays.
    pub fn clear(&mut self) {
        self.list.clear();
        self.last = 0;
    }

    /// Each field's beginning and column.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut at = 0;
        let places = self.list.iter().map(move |field| {
            at += usize::from(field.bytes);
            (at, field.column)
        });
        places.filter(|(_, column)| *column != GAP).map(|(at, column)| (at, column.into()))
    }
}
