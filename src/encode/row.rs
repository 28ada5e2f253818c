//! Writes whole rows, and does with values that BigQuery cannot hold what the column's policy says. Pure.
//!
//! The common row costs one look per value at what became of it; everything else is in cold functions.

use super::cast::Cast;
use super::line::FieldNames;
use super::partitions::{Grid, Touched};
use super::{Malformed, RowCodec};
use crate::audit::{Audit, Fidelity, Finding};
use crate::gzip::Fields;
use crate::model::{Policy, Pruned};

/// The most bytes of a row as NDJSON (BigQuery quotas, "Load jobs": maximum row size 100 MB).
pub const ROW_BYTES_MAX: usize = 100_000_000;
/// The most bytes of one value's text in a reject; longer ones are cut and say so.
pub const REJECT_VALUE_BYTES_MAX: usize = 1 << 20;

/// One column as the writer sees it.
#[derive(Clone, Debug)]
pub struct Cell<'a, C> {
    /// The name at the source.
    pub name: &'a str,
    /// The name in BigQuery.
    pub field: &'a str,
    /// The reader of its values.
    pub codec: C,
    /// What is made of a written value.
    pub cast: Option<&'a Cast>,
    /// What is done with one that is unrepresentable.
    pub policy: Policy,
    /// BigQuery's type, for a reject's reason.
    pub becomes: &'a str,
    /// Whether rows are ordered by it: NULL then has no place in a position.
    pub ordered: bool,
    /// Whether a value that is not written as it was does not fit.
    pub exact: bool,
}

/// What the loop over a row's values needs of a column.
#[derive(Clone, Copy, Debug)]
struct Hot<'a, C> {
    codec: C,
    cast: Option<&'a Cast>,
    ordered: bool,
    repeated: bool,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Row,
    /// It is not: this is its line for `rejects/`, without a line feed.
    Rejected(Vec<u8>),
}

/// Why a row cannot be written at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowError {
    /// A value's bytes are not of its type.
    Malformed {
        /// The column's index.
        column: usize,
    },
    /// A column that rows are ordered by is NULL.
    Null {
        /// The column's index.
        column: usize,
    },
    /// The column's policy is [`Policy::Fail`].
    Unrepresentable {
        /// The column's index.
        column: usize,
    },
}

/// The values of one row. `None` is NULL.
pub trait Values {
    /// The bytes of value `index`.
    ///
    /// # Errors
    /// There is no such value.
    fn raw(&self, index: usize) -> Result<Option<&[u8]>, Malformed>;

    /// The row's key for people, as in a position; what cannot be told is empty.
    fn key(&self) -> Vec<String>;
}

/// Writes the rows of one read.
#[derive(Debug)]
pub struct RowWriter<'a, C> {
    cells: Vec<Cell<'a, C>>,
    hot: Box<[Hot<'a, C>]>,
    names: FieldNames,
    /// The partition column, and the partitions that its values are in.
    partitions: Option<(usize, Touched)>,
    /// What did not arrive as it was.
    pub audit: Audit,
}

/// Why a row is rejected.
enum Reason {
    Value(usize),
    TooLarge,
}

/// What becomes of the row after a value that could not be written.
enum Next {
    /// Something is written in its place.
    Value,
    /// Nothing is: the field is left out.
    Nothing,
    /// The row is a reject.
    Reject,
}

impl<'a, C: RowCodec> RowWriter<'a, C> {
    /// A writer of rows with these columns.
    pub fn new(cells: Vec<Cell<'a, C>>) -> Self {
        let names = FieldNames::new(cells.iter().map(|cell| cell.field));
        let audit = Audit::new(cells.iter().map(|cell| cell.name));
        let hot = |cell: &Cell<'a, C>| Hot {
            codec: cell.codec,
            cast: cell.cast,
            ordered: cell.ordered,
            repeated: cell.codec.repeated(),
        };
        Self { hot: cells.iter().map(hot).collect(), cells, names, partitions: None, audit }
    }

    /// The same, that tells in which partitions of `grid` its rows are: by column `index`.
    #[must_use]
    pub fn watching(self, partition: Option<(usize, &Grid)>) -> Self {
        Self { partitions: partition.map(|(index, grid)| (index, Touched::new(grid.clone()))), ..self }
    }

    /// What the partition column can be in the rows that were written; `None` if that is not known.
    pub fn partitions(&self) -> Option<Pruned> {
        self.partitions.as_ref().and_then(|(_, touched)| touched.clone().finish())
    }

    /// Column `index` has this value, or NULL.
    fn touch(&mut self, index: usize, token: Option<&[u8]>) {
        match (&mut self.partitions, token) {
            (Some((watched, touched)), Some(token)) if *watched == index => touched.value(token),
            (Some((watched, touched)), None) if *watched == index => touched.null(),
            (Some(_) | None, _) => {}
        }
    }

    /// Appends the row's line, and to `fields` where its fields begin. A rejected row leaves nothing behind.
    ///
    /// # Errors
    /// A value that is not of its type, or that the column's policy does not bear; `out` then holds a piece of it.
    pub fn write(&mut self, out: &mut Vec<u8>, fields: &mut Fields, row: &impl Values) -> Result<Written, RowError> {
        let (row_start, mark) = (out.len(), fields.mark());
        let reason = match self.write_values(out, fields, row)? {
            None => {
                self.names.close(out, row_start);
                if out.len() - row_start <= ROW_BYTES_MAX {
                    return Ok(Written::Row);
                }
                Reason::TooLarge
            }
            Some(reason) => reason,
        };
        fields.back_to(mark);
        Ok(self.reject(out, row_start, row, &reason))
    }

    /// Appends the row's fields; tells why the row is a reject.
    #[inline]
    fn write_values(
        &mut self,
        out: &mut Vec<u8>,
        fields: &mut Fields,
        row: &impl Values,
    ) -> Result<Option<Reason>, RowError> {
        for index in 0..self.hot.len() {
            let Hot { codec, cast, ordered, repeated } = self.hot[index];
            let malformed = |_malformed| RowError::Malformed { column: index };
            let raw = match row.raw(index).map_err(malformed)? {
                Some(raw) if raw.len() <= ROW_BYTES_MAX => raw,
                Some(_) => return Ok(Some(Reason::TooLarge)),
                None if ordered => return Err(RowError::Null { column: index }),
                None if repeated => b"".as_slice(),
                None => {
                    self.touch(index, None);
                    continue;
                }
            };
            let start = self.names.field(out, index);
            let value = out.len();
            let fidelity = if repeated && raw.is_empty() {
                // a REPEATED column has no NULL
                Fidelity::Unrepresentable
            } else {
                match (codec.write(out, raw).map_err(malformed)?, cast) {
                    (Fidelity::Unrepresentable, _) => Fidelity::Unrepresentable,
                    (fidelity, None) => fidelity,
                    (_, Some(cast)) => cast.apply(out, value, raw),
                }
            };
            if fidelity == Fidelity::Exact {
                self.touch(index, Some(&out[value..]));
                fields.push(start, index);
                continue;
            }
            match self.inexact(out, value, index, fidelity, raw, row)? {
                Next::Value => {
                    self.touch(index, Some(&out[value..]));
                    fields.push(start, index);
                }
                Next::Nothing => {
                    self.touch(index, None);
                    out.truncate(start);
                }
                Next::Reject => return Ok(Some(Reason::Value(index))),
            }
        }
        Ok(None)
    }

    #[cold]
    fn inexact(
        &mut self,
        out: &mut Vec<u8>,
        value: usize,
        index: usize,
        fidelity: Fidelity,
        raw: &[u8],
        row: &impl Values,
    ) -> Result<Next, RowError> {
        let cell = &self.cells[index];
        let fidelity = if cell.exact { Fidelity::Unrepresentable } else { fidelity };
        let (finding, next) = match (fidelity, cell.policy) {
            (Fidelity::Exact, _) => return Ok(Next::Value),
            (Fidelity::Adjusted, _) => (Finding::Adjusted, Next::Value),
            (Fidelity::Replaced, _) => (Finding::Replaced, Next::Value),
            (Fidelity::Unrepresentable, Policy::Fail) => return Err(RowError::Unrepresentable { column: index }),
            (Fidelity::Unrepresentable, Policy::Reject) => return Ok(Next::Reject),
            (Fidelity::Unrepresentable, Policy::Clamp) => {
                out.truncate(value);
                match clamp(cell, out, raw).map_err(|_malformed| RowError::Malformed { column: index })? {
                    true => (Finding::Adjusted, Next::Value),
                    false => (Finding::Null, Next::Nothing),
                }
            }
            (Fidelity::Unrepresentable, Policy::Null) => (Finding::Null, Next::Nothing),
        };
        self.audit.record(index, finding, || row.key());
        Ok(next)
    }

    #[cold]
    fn reject(&mut self, out: &mut Vec<u8>, row_start: usize, row: &impl Values, reason: &Reason) -> Written {
        out.truncate(row_start);
        let (index, column, text) = match *reason {
            Reason::Value(index) => {
                let cell = &self.cells[index];
                (index, cell.name, format!("the value cannot be a {}", cell.becomes))
            }
            Reason::TooLarge => {
                // its room is not needed again
                out.shrink_to(row_start);
                (self.cells.len(), "", format!("the row has more than {ROW_BYTES_MAX} bytes as JSON"))
            }
        };
        self.audit.record(index, Finding::Rejected, || row.key());
        let mut line = Vec::new();
        line.extend_from_slice(b"{\"reason\":");
        super::json::string(&mut line, text.as_bytes());
        line.extend_from_slice(b",\"column\":");
        super::json::string(&mut line, column.as_bytes());
        line.extend_from_slice(b",\"key\":[");
        for (place, part) in row.key().iter().enumerate() {
            if place > 0 {
                line.push(b',');
            }
            super::json::string(&mut line, part.as_bytes());
        }
        line.extend_from_slice(b"],\"row\":{");
        for index in 0..self.cells.len() {
            self.raw_value(&mut line, index, row);
        }
        if line.last() == Some(&b',') {
            line.pop();
        }
        line.extend_from_slice(b"}}");
        Written::Rejected(line)
    }

    /// `"name":"text",` as the database would take it back, or `null`; hashed columns stay hidden.
    fn raw_value(&self, line: &mut Vec<u8>, index: usize, row: &impl Values) {
        let cell = &self.cells[index];
        super::json::string(line, cell.name.as_bytes());
        line.push(b':');
        match row.raw(index) {
            Ok(None) => line.extend_from_slice(b"null"),
            Ok(Some(raw)) if matches!(cell.cast, Some(Cast::Hash(_))) => {
                if let Some(cast) = cell.cast {
                    let start = line.len();
                    cast.apply(line, start, raw);
                }
            }
            Ok(Some(raw)) => {
                // the text of a value this long is its own bytes
                let text = match cell.codec.position_text(raw) {
                    _ if raw.len() > REJECT_VALUE_BYTES_MAX => {
                        String::from_utf8_lossy(&raw[..=REJECT_VALUE_BYTES_MAX]).into_owned()
                    }
                    Ok(text) => text,
                    Err(_no_text) => String::from_utf8_lossy(raw).into_owned(),
                };
                super::json::string(line, cut(text).as_bytes());
            }
            Err(_none_such) => line.extend_from_slice(b"null"),
        }
        line.push(b',');
    }
}

/// Cuts a text that is too long for a reject: hexadecimal of bytes, an array, a number with many zeros.
fn cut(mut text: String) -> String {
    if text.len() > REJECT_VALUE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(REJECT_VALUE_BYTES_MAX));
        text.push_str(" … (cut)");
    }
    text
}

/// Writes the nearest value that the column's type holds.
fn clamp<C: RowCodec>(cell: &Cell<'_, C>, out: &mut Vec<u8>, raw: &[u8]) -> Result<bool, Malformed> {
    if cell.codec.repeated() && raw.is_empty() {
        return Ok(false);
    }
    let start = out.len();
    // either the value itself has no place in the column's own type, or what is made of it has none in the other
    let natural = cell.codec.write(out, raw)?;
    if natural == Fidelity::Unrepresentable {
        out.truncate(start);
        if !cell.codec.clamp(out, raw)? {
            return Ok(false);
        }
    }
    Ok(match cell.cast {
        Some(cast) => cast.clamp(out, start),
        None => natural == Fidelity::Unrepresentable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::postgres::PgCodec;

    /// Values with the key 7.
    struct Row(Vec<Option<Vec<u8>>>);

    impl Values for Row {
        fn raw(&self, index: usize) -> Result<Option<&[u8]>, Malformed> {
            self.0.get(index).map(Option::as_deref).ok_or(Malformed)
        }

        fn key(&self) -> Vec<String> {
            vec!["7".to_owned()]
        }
    }

    fn cell(codec: PgCodec, policy: Policy) -> Cell<'static, PgCodec> {
        Cell { name: "v", field: "v_", codec, cast: None, policy, becomes: "DATE", ordered: false, exact: false }
    }

    fn written(cell: Cell<'_, PgCodec>, value: Option<&[u8]>) -> (Result<Written, RowError>, String, Audit) {
        let mut writer = RowWriter::new(vec![cell]);
        let mut out = b"before\n".to_vec();
        let done = writer.write(&mut out, &mut Fields::default(), &Row(vec![value.map(<[u8]>::to_vec)]));
        (done, String::from_utf8_lossy(&out[7..]).into_owned(), writer.audit)
    }

    #[test]
    fn each_policy() {
        let infinity = i32::MAX.to_be_bytes();
        let infinity = Some(infinity.as_slice());
        let (done, line, audit) = written(cell(PgCodec::Date, Policy::Null), infinity);
        assert_eq!((done, line.as_str()), (Ok(Written::Row), "{}\n"));
        assert_eq!((audit.findings()[0].unrepresentable, &*audit.findings()[0].first_key), (1, &["7".to_owned()][..]));
        let (_, line, audit) = written(cell(PgCodec::Date, Policy::Clamp), infinity);
        assert_eq!((line.as_str(), audit.findings()[0].adjusted), ("{\"v_\":\"9999-12-31\"}\n", 1));
        let (done, line, audit) = written(cell(PgCodec::Date, Policy::Reject), infinity);
        let reject = br#"{"reason":"the value cannot be a DATE","column":"v","key":["7"],"row":{"v":"infinity"}}"#;
        assert_eq!((done, line.as_str()), (Ok(Written::Rejected(reject.to_vec())), ""));
        assert_eq!(audit.rejected(), 1);
        let (done, ..) = written(cell(PgCodec::Date, Policy::Fail), infinity);
        assert_eq!(done, Err(RowError::Unrepresentable { column: 0 }));
    }

    #[test]
    fn nan_has_no_nearest_number() {
        let nan = [0, 0, 0, 0, 0xC0, 0, 0, 0];
        let (_, line, audit) = written(cell(PgCodec::Numeric, Policy::Clamp), Some(&nan));
        assert_eq!((line.as_str(), audit.findings()[0].unrepresentable), ("{}\n", 1));
        let infinity = [0, 0, 0, 0, 0xF0, 0, 0, 0];
        let (_, line, _) = written(cell(PgCodec::Numeric, Policy::Clamp), Some(&infinity));
        assert_eq!(line, "{\"v_\":\"-99999999999999999999999999999.999999999\"}\n");
    }

    #[test]
    fn arrays_of_one_dimension_without_nulls() {
        let codec = PgCodec::Repeated(&PgCodec::Int4);
        let array = |elements: &[Option<i32>]| {
            let mut raw = [1_i32, 0, 23, i32::try_from(elements.len()).unwrap_or(0), 1].map(i32::to_be_bytes).concat();
            for element in elements {
                match element {
                    Some(value) => raw.extend([4_i32, *value].map(i32::to_be_bytes).concat()),
                    None => raw.extend((-1_i32).to_be_bytes()),
                }
            }
            raw
        };
        assert_eq!(written(cell(codec, Policy::Null), Some(&array(&[Some(1), Some(-2)]))).1, "{\"v_\":[1,-2]}\n");
        let (_, line, audit) = written(cell(codec, Policy::Null), Some(&array(&[Some(1), None])));
        assert_eq!((line.as_str(), audit.findings()[0].unrepresentable), ("{}\n", 1));
        let (_, line, audit) = written(cell(codec, Policy::Null), None);
        assert_eq!((line.as_str(), audit.findings()[0].unrepresentable), ("{}\n", 1));
        assert_eq!(written(cell(codec, Policy::Null), Some(&[0; 12])).1, "{\"v_\":[]}\n");
    }

    #[test]
    fn a_row_that_is_too_large_is_a_reject_whatever_the_policy() {
        let large = vec![b'x'; ROW_BYTES_MAX - 3];
        let (done, line, audit) = written(cell(PgCodec::Text, Policy::Fail), Some(&large));
        assert_eq!((line.as_str(), audit.rejected()), ("", 1));
        let Ok(Written::Rejected(reject)) = done else { unreachable!("rejected") };
        assert!(reject.len() < REJECT_VALUE_BYTES_MAX + 1000);
        let largest = vec![b'x'; ROW_BYTES_MAX - "{\"v_\":\"\"}\n".len()];
        assert_eq!(written(cell(PgCodec::Text, Policy::Fail), Some(&largest)).0, Ok(Written::Row));
    }

    #[test]
    fn an_array_of_short_elements_that_are_long_as_text_is_bounded() {
        // 1e131071: twelve bytes of the database's, 131,072 of ours
        let element = [0, 1, 0x7f, 0xff, 0, 0, 0, 0, 0x03, 0xe8_u8];
        let mut raw = [1_i32, 0, 1700, 1000, 1].map(i32::to_be_bytes).concat();
        for _ in 0..1000 {
            raw.extend(10_i32.to_be_bytes());
            raw.extend(element);
        }
        let mut writer = RowWriter::new(vec![cell(PgCodec::Repeated(&PgCodec::NumericText), Policy::Null)]);
        let mut out = Vec::new();
        let done = writer.write(&mut out, &mut Fields::default(), &Row(vec![Some(raw)]));
        let Ok(Written::Rejected(reject)) = done else { unreachable!("rejected") };
        assert!(reject.starts_with(b"{\"reason\":\"the row has more than 100000000 bytes as JSON\""));
        assert!(reject.len() < REJECT_VALUE_BYTES_MAX + 1000, "{} bytes", reject.len());
    }

    #[test]
    fn a_long_value_of_a_reject_is_cut() {
        let bytes = vec![0xff; REJECT_VALUE_BYTES_MAX];
        let (done, ..) = written(cell(PgCodec::Utf8, Policy::Reject), Some(&bytes));
        let Ok(Written::Rejected(reject)) = done else { unreachable!("rejected") };
        assert!(reject.len() < REJECT_VALUE_BYTES_MAX + 1000, "{} bytes", reject.len());
        assert!(String::from_utf8_lossy(&reject).ends_with("… (cut)\"}}"));
    }
}
