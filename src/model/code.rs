//! The code of every error that a person can meet: stable words, and the way out where it is the same each time.
//!
//! What is told of an error is one line, `cause; way out`, whose last `; ` stands before the way out: [`Code::says`] makes
//! it, [`cause_and_way_out`] takes it apart. `docs/errors.md` has a section for each code; a test holds the two together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands between the cause and the way out.
const BEFORE_WAY_OUT: &str = "; ";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $way_out:expr;)*) => {
        /// What is wrong, in words that stay the same for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, in the order of the documents.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As it is written everywhere.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The way out, where it is the same for every error of the code; `None` where each error's text has its own.
            fn way_out(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => $way_out,)*
                }
            }
        }
    };
}

codes! {
    /// The configuration's file cannot be read.
    ConfigFile = "HW-CONFIG-FILE", None;
    /// The file is no YAML that is taken.
    ConfigSyntax = "HW-CONFIG-SYNTAX", Some("mend the file at that place (line and column)");
    /// A key that nobody reads.
    ConfigUnknownKey = "HW-CONFIG-UNKNOWN-KEY", None;
    /// A key that must be there is not.
    ConfigMissing = "HW-CONFIG-MISSING", Some("add it");
    /// A key's value is not one that it takes.
    ConfigValue = "HW-CONFIG-VALUE", Some("give a value that the key takes");
    /// Settings that do not go together.
    ConfigConflict = "HW-CONFIG-CONFLICT", Some("change or remove one of the settings");
    /// The configuration names a variable that is not set.
    ConfigUnset = "HW-CONFIG-UNSET", None;
    /// A variable of the process, or a line of `.env`, is not what it should be.
    ConfigVariable = "HW-CONFIG-VARIABLE", Some("correct the variable, or unset it");
    /// A variable asks for callers to be checked, and nobody would be.
    ConfigAuthIdle = "HW-CONFIG-AUTH-IDLE", None;
    /// Another tool's configuration cannot be read.
    ConfigImport = "HW-CONFIG-IMPORT", Some("give the file of a tool that `highwater config --help` names");
    /// `HIGHWATER_LOG` is no filter.
    LogFilter = "HW-LOG-FILTER", None;
    /// The variables of a Cloud Run task contradict each other.
    Task = "HW-TASK", Some("leave these variables to Cloud Run, or unset them");
    /// The tasks of a job cannot agree on their shares.
    Shares = "HW-SHARES", None;
    /// The configuration has no such table.
    TableUnknown = "HW-TABLE-UNKNOWN", None;
    /// More than one source has a table of that name.
    TableAmbiguous = "HW-TABLE-AMBIGUOUS", None;
    /// Two tables have the same target.
    TargetShared = "HW-TARGET-SHARED", None;
    /// An argument does not fit what it is said of.
    Usage = "HW-USAGE", None;
    /// A file that was to be written cannot be.
    OutputFile = "HW-OUTPUT-FILE", None;
    /// Rows that are gone were to be looked for in a table without `deletes`.
    DeletesOff = "HW-DELETES-OFF", None;
    /// `discover` found no table that can be synced.
    DiscoverNone = "HW-DISCOVER-NONE", None;
    /// `schedule` was started, and no table has one.
    ScheduleNone = "HW-SCHEDULE-NONE", None;
    /// The service cannot listen on its port.
    Listen = "HW-LISTEN", None;
    /// The database cannot be reached.
    SourceDown = "HW-SOURCE-DOWN", Some("see that the database runs and that its host and port can be reached from here, then run again");
    /// The connection broke or fell silent.
    SourceLost = "HW-SOURCE-LOST", Some("run again: the next run goes on where this one was");
    /// The database refused a query for a passing reason.
    SourceBusy = "HW-SOURCE-BUSY", Some("run again later: the server says that this passes");
    /// The database refuses the login.
    SourceLogin = "HW-SOURCE-LOGIN", None;
    /// No token could be had for a login by IAM.
    SourceToken = "HW-SOURCE-TOKEN",
        Some("on Google Cloud give the service an account, elsewhere run `gcloud auth application-default login`");
    /// TLS with the database could not be set up as configured.
    SourceTls = "HW-SOURCE-TLS", None;
    /// The database has no such table.
    SourceNoTable = "HW-SOURCE-NO-TABLE", None;
    /// The database's user may not read the table.
    SourceDenied = "HW-SOURCE-DENIED", None;
    /// `where` is no condition on the table's rows.
    SourceFilter = "HW-SOURCE-FILTER", Some("correct `where` of the table");
    /// The database refused a query for good.
    SourceQuery = "HW-SOURCE-QUERY", Some("mend what the server names, then run again: nothing was moved");
    /// A value is not what its column's type promises.
    SourceValue = "HW-SOURCE-VALUE", Some("run again, and report it if it comes again: the column's type may have changed while it was read");
    /// The settings name a column that the table lacks.
    ColumnUnknown = "HW-COLUMN-UNKNOWN", None;
    /// The table has no column that can be read.
    ColumnsNone = "HW-COLUMNS-NONE", None;
    /// The settings leave out a column that the sync needs.
    ColumnNeeded = "HW-COLUMN-NEEDED", None;
    /// A column has a name that Highwater's own columns need.
    ColumnName = "HW-COLUMN-NAME", None;
    /// A column cannot be what the settings want.
    ColumnType = "HW-COLUMN-TYPE", None;
    /// The cursor's type does not order rows.
    CursorType = "HW-CURSOR-TYPE", None;
    /// None of a pattern's candidates can be the cursor.
    CursorNone = "HW-CURSOR-NONE", None;
    /// A setting does not fit the cursor.
    CursorSettings = "HW-CURSOR-SETTINGS", None;
    /// The table has no primary key, and none is named.
    KeyNone = "HW-KEY-NONE", None;
    /// A key's column cannot be compared in BigQuery.
    KeyType = "HW-KEY-TYPE", None;
    /// `append` needs a key that the database enforces.
    KeyNotEnforced = "HW-KEY-NOT-ENFORCED", None;
    /// The key holds NULLs.
    KeyNull = "HW-KEY-NULL", None;
    /// Rows of the target are not found by the key.
    KeyUnmatched = "HW-KEY-UNMATCHED", None;
    /// A pattern does not mean the table, or not by this name.
    Pattern = "HW-PATTERN", None;
    /// `partition_by` does not fit its column.
    PartitionType = "HW-PARTITION-TYPE", None;
    /// `partition_immutable` is said of a column that changes.
    PartitionMoves = "HW-PARTITION-MOVES", None;
    /// What the state remembers is no value of its column any more.
    WatermarkType = "HW-WATERMARK-TYPE", None;
    /// The settings changed since the watermark was made.
    SettingsChanged = "HW-SETTINGS-CHANGED", None;
    /// A reset of a table in `append` whose rows are in the target.
    ResetTwice = "HW-RESET-TWICE", None;
    /// A value that BigQuery cannot hold, and its policy is `fail`.
    Unrepresentable = "HW-UNREPRESENTABLE", None;
    /// More rows were rejected than `max_rejects`.
    Rejects = "HW-REJECTS", None;
    /// The target is gone, and the watermark says that rows are in it.
    TargetGone = "HW-TARGET-GONE", None;
    /// The target does not exist and is not to be created.
    TargetMissing = "HW-TARGET-MISSING", None;
    /// A column of the target does not take the source's.
    TargetIncompatible = "HW-TARGET-INCOMPATIBLE", None;
    /// The target cannot be replaced by a table that is built anew.
    TargetLayout = "HW-TARGET-LAYOUT", None;
    /// A job that changes the target failed.
    TargetChange = "HW-TARGET-CHANGE", Some("see BigQuery's reason, mend it, then run again: the watermark has not moved");
    /// Somebody else changed the target's columns at the same moment.
    TargetMoved = "HW-TARGET-MOVED", Some("run again: the next run sees the new columns");
    /// A table that was built anew does not take the source's columns either.
    RebuildFailed = "HW-REBUILD-FAILED", None;
    /// A table with windows of backfills in `append` is not built anew.
    RebuildAppend = "HW-REBUILD-APPEND", None;
    /// Dataset or table lie in another location than configured.
    Location = "HW-LOCATION", None;
    /// More rows are gone than may be deleted.
    DeletesRefused = "HW-DELETES-REFUSED", None;
    /// There are no Google credentials.
    Credentials = "HW-CREDENTIALS",
        Some("on Google Cloud give the service an account, elsewhere run `gcloud auth application-default login`");
    /// The bucket does not exist.
    BucketMissing = "HW-BUCKET-MISSING", Some("create the bucket, or correct `bucket` (`state`) in the configuration");
    /// The bucket may not be used.
    BucketDenied = "HW-BUCKET-DENIED", Some("grant the service's account roles/storage.objectUser on the bucket (`highwater check` prints the command)");
    /// Cloud Storage refused a request for good.
    BucketRefused = "HW-BUCKET-REFUSED", Some("mend what Cloud Storage names, then run again");
    /// Cloud Storage did not answer in time.
    BucketDown = "HW-BUCKET-DOWN", Some("run again: what is not known to be written is read before anything is done");
    /// BigQuery refuses for a lack of rights.
    BigQueryDenied = "HW-BIGQUERY-DENIED", Some("grant the service's account what BigQuery names (`highwater check` prints the commands)");
    /// Something that BigQuery was asked about is not there.
    BigQueryMissing = "HW-BIGQUERY-MISSING", Some("correct `project`, `dataset` or `target`, or create what BigQuery names");
    /// A quota of BigQuery is used up.
    BigQueryQuota = "HW-BIGQUERY-QUOTA", Some("run again when the quota allows, run more seldom, or ask Google for a higher quota");
    /// BigQuery refused a request for good.
    BigQueryRefused = "HW-BIGQUERY-REFUSED", Some("mend what BigQuery names, then run again");
    /// BigQuery did not answer in time, or not as itself.
    BigQueryDown = "HW-BIGQUERY-DOWN", Some("run again: jobs that are under way are found by their ids");
    /// A load or merge job failed for good.
    JobFailed = "HW-JOB-FAILED", None;
    /// A load or merge job failed for passing reasons until its attempts were spent.
    JobExhausted = "HW-JOB-EXHAUSTED", None;
    /// The state's folder cannot be used.
    StateFolder = "HW-STATE-FOLDER", Some("give this user the right to read and write the folder, make room, or name another as `state`");
    /// An object of Highwater's cannot be read.
    StateBroken = "HW-STATE-BROKEN", None;
    /// An object was written by a newer version.
    StateNewer = "HW-STATE-NEWER", None;
    /// An object has, or would have, more bytes than are read.
    StateTooLarge = "HW-STATE-TOO-LARGE", None;
    /// Rows are on their way into the target and must arrive first.
    IntentPending = "HW-INTENT-PENDING", None;
    /// An intent that is to be dropped has been applied.
    IntentApplied = "HW-INTENT-APPLIED", None;
    /// A `replace` has more parts than one load job takes.
    PartsTooMany = "HW-PARTS-TOO-MANY", None;
    /// What is read in one go was not read within the run's time.
    TimeWhole = "HW-TIME-WHOLE", None;
    /// No chunk could be read within the run's time.
    TimeNoRow = "HW-TIME-NO-ROW", None;
    /// The run's time is spent.
    TimeSpent = "HW-TIME-SPENT", Some("run again: the next run goes on where this one was");
    /// A call was not answered in time.
    NoAnswer = "HW-NO-ANSWER", Some("run again: the next run goes on where this one was");
    /// The process is stopping.
    Stopping = "HW-STOPPING", Some("run again: the next run goes on where this one was");
    /// Another run is ahead.
    Superseded = "HW-SUPERSEDED", Some("nothing, if runs may overlap: the other run does the work");
    /// Something else must end first.
    NotNow = "HW-NOT-NOW", None;
    /// There is nothing that `verify` can compare or repair.
    VerifyNothing = "HW-VERIFY-NOTHING", None;
    /// --by, --from and --to do not fit the table.
    WindowBounds = "HW-WINDOW-BOUNDS", None;
    /// What was asked for comes to too many windows.
    WindowsTooMany = "HW-WINDOWS-TOO-MANY", None;
    /// The table's mode or settings allow no such backfill.
    BackfillMode = "HW-BACKFILL-MODE", None;
    /// There are no rows for a backfill to bring.
    BackfillNothing = "HW-BACKFILL-NOTHING", None;
    /// Rows of the window may still change.
    BackfillMoving = "HW-BACKFILL-MOVING", None;
    /// Too many backfills of the table are remembered.
    BackfillsTooMany = "HW-BACKFILLS-TOO-MANY", None;
    /// Which windows a load by keys has is lost.
    LoadLost = "HW-LOAD-LOST", None;
    /// No such path.
    HttpPath = "HW-HTTP-PATH", None;
    /// The path takes another method.
    HttpMethod = "HW-HTTP-METHOD", Some("use that method");
    /// The request cannot be understood.
    HttpRequest = "HW-HTTP-REQUEST", Some("name one table, as docs/http.md shows");
    /// The body is too large.
    HttpTooLarge = "HW-HTTP-TOO-LARGE", None;
    /// As many runs are under way as may be.
    HttpBusy = "HW-HTTP-BUSY", Some("try again later: Pub/Sub and Cloud Scheduler do so by themselves");
    /// The request has no identity token that counts.
    AuthToken = "HW-AUTH-TOKEN", None;
    /// The caller is known and may not call.
    AuthForbidden = "HW-AUTH-FORBIDDEN", None;
    /// Nobody can tell who calls: Google's keys cannot be had.
    AuthKeys = "HW-AUTH-KEYS", None;
    /// The operating system refuses something that every run needs.
    Machine = "HW-MACHINE", Some("see what the operating system says, then run it again");
    /// A mistake of Highwater's own.
    Bug = "HW-BUG", Some("please report it with this line");
}

impl Code {
    /// What is told of an error: one line that ends in the way out. Where the code has none of its own, `text` has it.
    pub fn says(self, text: &str) -> String {
        let line = text.replace(['\n', '\r'], " ");
        match self.way_out() {
            Some(way_out) => format!("{line}{BEFORE_WAY_OUT}{way_out}"),
            None => line,
        }
    }

    /// The same of a text of our own that may have a way out, outside of what it quotes.
    pub fn completes(self, text: &str) -> String {
        let (mut bare, mut quoted, mut escaped) = (String::new(), false, false);
        for character in text.chars() {
            match character {
                '"' if !escaped => quoted = !quoted,
                _ if !quoted => bare.push(character),
                _ => {}
            }
            escaped = character == '\\' && !escaped;
        }
        if bare.contains(BEFORE_WAY_OUT) { text.to_owned() } else { self.says(text) }
    }

    /// Reads it where it may be missing, or be that of a newer version: then it is nothing.
    ///
    /// # Errors
    /// What stands there is neither a text nor nothing.
    pub fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        Ok(text.and_then(|text| text.parse().ok()))
    }
}

/// An error as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// The code that people look up.
    pub code: Code,
    /// One line: what, where, the way out.
    pub message: String,
}

impl Told {
    /// One of that code; `text` is as [`Code::says`] takes it.
    pub fn new(code: Code, text: &str) -> Self {
        Self { code, message: code.says(text) }
    }

    /// The same, said of something, unless it says so itself.
    #[must_use]
    pub fn of(self, what: impl fmt::Display) -> Self {
        let what = what.to_string();
        if self.message.contains(&what) {
            return self;
        }
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

/// The line of an error taken apart: what is wrong, and what is to be done.
pub fn cause_and_way_out(line: &str) -> (&str, Option<&str>) {
    match line.rsplit_once(BEFORE_WAY_OUT) {
        Some((cause, way_out)) => (cause, Some(way_out)),
        None => (line, None),
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such code")]
pub struct NoCode;

impl FromStr for Code {
    type Err = NoCode;

    fn from_str(text: &str) -> Result<Self, NoCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(NoCode)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_words_and_no_two_are_the_same() {
        let mut seen = HashSet::new();
        for code in Code::ALL {
            let text = code.as_str();
            let words = text.strip_prefix("HW-").unwrap_or_default();
            assert!(!words.is_empty() && words.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-'), "{text}");
            assert!(seen.insert(text), "{text}");
            assert_eq!(text.parse(), Ok(*code));
        }
        assert_eq!("HW-NONE".parse::<Code>(), Err(NoCode));
    }

    #[test]
    fn a_way_out_is_what_is_left_when_the_line_is_taken_apart() {
        for code in Code::ALL {
            let Some(way_out) = code.way_out() else { continue };
            assert!(
                !way_out.contains(BEFORE_WAY_OUT) && !way_out.contains('\n') && !way_out.ends_with('.'),
                "{way_out}"
            );
            let line = code.says("it says: no; really\nno");
            assert_eq!(cause_and_way_out(&line), ("it says: no; really no", Some(way_out)));
        }
        assert_eq!(Code::TargetGone.says("gone; restore it"), "gone; restore it");
        let value = Code::ConfigValue.way_out().unwrap_or_default();
        assert_eq!(Code::ConfigValue.completes("no; say 1"), "no; say 1");
        assert_eq!(Code::ConfigValue.completes(r#""a\"; b" is none"#), format!(r#""a\"; b" is none; {value}"#));
        assert_eq!(cause_and_way_out("nothing else"), ("nothing else", None));
    }

    #[test]
    fn a_code_of_a_newer_version_is_none() {
        #[derive(Deserialize)]
        struct Held {
            #[serde(default, deserialize_with = "Code::lenient")]
            code: Option<Code>,
        }
        let read = |text| serde_json::from_str::<Held>(text).ok().and_then(|held| held.code);
        assert_eq!(read(r#"{"code":"HW-REJECTS"}"#), Some(Code::Rejects));
        assert_eq!((read(r#"{"code":"HW-OF-TOMORROW"}"#), read("{}"), read(r#"{"code":null}"#)), (None, None, None));
    }
}
