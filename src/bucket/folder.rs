//! Objects as files of a folder, with the same compare-and-swap as on Cloud Storage: for the state of a machine of one's
//! own. Processes of one machine may share the folder; over a network file system its locks must be the server's.
//!
//! A file's generation is a tag of its content. Contents that are written again and again with the same bytes have one
//! generation, so callers that compare generations write no bytes twice, as [`crate::state::Store`] does.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Bucket, BucketError, ContentType, Generation, LISTED_MAX, Object, Precondition, Put};
use crate::net::Context;

/// The file that writers lock. Its name is no object's: those have a folder.
const LOCK: &str = ".lock";
/// The folder of the states.
const STATES: &str = "state";
/// The ending of a file that is being written.
const UNFINISHED: &str = ".unfinished";
/// The most time that a writer waits for the others. Each holds the lock for one small file.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// The wait between two looks at the lock.
const LOCK_POLL: Duration = Duration::from_millis(5);
/// The deepest that folders are looked into.
const DEPTH_MAX: u32 = 16;

/// A folder of objects. It is made when the first is written.
#[derive(Clone, Debug)]
pub struct FolderBucket {
    root: PathBuf,
}

impl FolderBucket {
    /// Objects below `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the folder is there, and then whether a file can be written, read and removed where states lie, and the lock
    /// be taken. Nothing is left: the file is no object's, even where it cannot be removed, and the lock is not made.
    ///
    /// # Errors
    /// The folder cannot be used so.
    pub async fn look(&self, cx: &Context, id: u128) -> Result<bool, BucketError> {
        const WHAT: &str = "trying to write to";
        let name = format!("{id:032x}{UNFINISHED}");
        let look = move |folder: &Self| match folder.try_file(&name) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.root.exists() => Ok(false),
            Err(error) => Err(folder.failed(WHAT, &name, &error)),
        };
        self.blocking(cx, WHAT, look).await
    }

    fn try_file(&self, name: &str) -> io::Result<()> {
        let states = self.root.join(STATES);
        let path = if states.is_dir() { states.join(name) } else { self.root.join(name) };
        let written = OpenOptions::new().create_new(true).write(true).open(&path)?.write_all(name.as_bytes());
        let read = fs::read(&path);
        fs::remove_file(&path)?;
        written?;
        let same = read? == name.as_bytes();
        path.parent().map(fs::read_dir).transpose()?;
        match OpenOptions::new().write(true).open(self.root.join(LOCK)) {
            // the first write makes it
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            lock => drop(lock?),
        }
        if same { Ok(()) } else { Err(io::Error::other("what was written is not what is read")) }
    }

    /// The file of an object.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
        if !name.contains('/') || !name.split('/').all(plain) || name.ends_with(UNFINISHED) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it cannot be a file's name"));
        }
        Ok(self.root.join(name))
    }

    /// An error that changed nothing.
    fn failed(&self, what: &'static str, name: &str, error: &io::Error) -> BucketError {
        let (bucket, name, message) = (self.root.display().to_string(), name.to_owned(), error.to_string());
        // what an operator must mend does not pass by itself
        let lasting = matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::NotADirectory
        );
        if lasting {
            return BucketError::Folder { what, bucket, name, message };
        }
        let (attempts, elapsed, after_seconds) = (1, Duration::ZERO, None);
        BucketError::Unavailable { what, bucket, name, attempts, elapsed, message, after_seconds }
    }

    /// Does something with files on a thread that may wait for a disk.
    async fn blocking<T: Send + 'static>(
        &self,
        cx: &Context,
        what: &'static str,
        act: impl FnOnce(&Self) -> Result<T, BucketError> + Send + 'static,
    ) -> Result<T, BucketError> {
        cx.check().map_err(|cause| BucketError::Interrupted { what, cause })?;
        let folder = self.clone();
        // not broken off by the context: a write that was begun is known to have been done or not
        let done = tokio::task::spawn_blocking(move || act(&folder)).await;
        done.unwrap_or_else(|ended| Err(self.failed(what, "", &io::Error::other(ended))))
    }

    fn read(&self, what: &'static str, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        let found = self.path(name).and_then(|path| match fs::metadata(&path) {
            Ok(known) if known.len() > bytes_max => Ok(None),
            Ok(_) => fs::read(&path).map(Some),
            Err(error) => Err(error),
        });
        match found {
            Ok(Some(bytes)) => Ok(Some(object(bytes))),
            Ok(None) => {
                Err(BucketError::TooLarge { bucket: self.root.display().to_string(), name: name.to_owned(), bytes_max })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(what, name, &error)),
        }
    }

    /// The lock, held until it is dropped, also by the end of the process.
    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(&self.root)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.root.join(LOCK))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT_MAX => std::thread::sleep(LOCK_POLL),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds its lock"));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn write(&self, name: &str, bytes: &[u8], precondition: Precondition) -> Result<Put, BucketError> {
        const WHAT: &str = "writing";
        let path = self.path(name).map_err(|error| self.failed(WHAT, name, &error))?;
        let _lock = self.lock().map_err(|error| self.failed(WHAT, name, &error))?;
        let now = self.read(WHAT, name, u64::MAX)?.map(|object| object.generation);
        let holds = match precondition {
            Precondition::Absent => now.is_none(),
            Precondition::Generation(wanted) => now == Some(wanted),
        };
        if !holds {
            return Ok(Put::Mismatch);
        }
        let unfinished = PathBuf::from(format!("{}{UNFINISHED}", path.display()));
        finish(&path, &unfinished, bytes).map_err(|error| self.failed(WHAT, name, &error))?;
        match path.parent().map_or(Ok(()), sync_folder) {
            Ok(()) => Ok(Put::Stored(generation(bytes))),
            // it is there for everybody, but perhaps not after a power cut
            Err(error) => Err(BucketError::Unsettled {
                bucket: self.root.display().to_string(),
                name: name.to_owned(),
                attempts: 1,
                elapsed: Duration::ZERO,
                message: error.to_string(),
                after_seconds: None,
            }),
        }
    }

    fn names(&self, folder: &Path, depth: u32, names: &mut Vec<String>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if depth < DEPTH_MAX {
                    self.names(&path, depth + 1, names)?;
                }
            } else if let Some(name) = path.strip_prefix(&self.root).ok().and_then(Path::to_str)
                && name.contains('/')
                && !name.ends_with(UNFINISHED)
            {
                names.push(name.to_owned());
            }
        }
        Ok(())
    }
}

/// Writes the whole file beside, and then puts it in its place: nobody sees a part of it, whenever the power goes.
fn finish(path: &Path, unfinished: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create(unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn object(bytes: Vec<u8>) -> Object {
    let generation = generation(&bytes);
    Object { bytes: Bytes::from(bytes), generation }
}

/// 63 bits of the content's SHA-256.
fn generation(bytes: &[u8]) -> Generation {
    let tag = Sha256::digest(bytes);
    let bits = tag.iter().take(8).fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte));
    Generation((bits >> 1).cast_signed())
}

impl Bucket for FolderBucket {
    fn address(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    async fn get(&self, cx: &Context, name: &str, bytes_max: u64) -> Result<Option<Object>, BucketError> {
        let name = name.to_owned();
        self.blocking(cx, "reading", move |folder| folder.read("reading", &name, bytes_max)).await
    }

    async fn put(
        &self,
        cx: &Context,
        name: &str,
        bytes: Bytes,
        _: ContentType,
        precondition: Precondition,
    ) -> Result<Put, BucketError> {
        let name = name.to_owned();
        self.blocking(cx, "writing", move |folder| folder.write(&name, &bytes, precondition)).await
    }

    async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        let (prefix, from) = (prefix.to_owned(), from.to_owned());
        let list = move |folder: &Self| {
            let mut names = Vec::new();
            // only what lies in the prefix's own folder can begin with it
            let within = folder.root.join(prefix.rsplit_once('/').map_or("", |(within, _)| within));
            folder.names(&within, 0, &mut names).map_err(|error| folder.failed("listing", &prefix, &error))?;
            names.retain(|name| name.starts_with(&prefix) && *name >= from);
            names.sort_unstable();
            names.truncate(LISTED_MAX);
            Ok(names)
        };
        self.blocking(cx, "listing", list).await
    }

    async fn delete(&self, cx: &Context, name: &str) -> Result<(), BucketError> {
        let name = name.to_owned();
        let delete = move |folder: &Self| match folder.path(&name).and_then(fs::remove_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(folder.failed("deleting", &name, &error)),
            _ => Ok(()),
        };
        self.blocking(cx, "deleting", delete).await
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use tokio_util::sync::CancellationToken;

    use super::*;

    fn cx() -> Context {
        Context::new(tokio::time::Instant::now() + Duration::from_secs(60), CancellationToken::new())
    }

    #[tokio::test]
    async fn names_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = FolderBucket::new(folder.path().join("state"));
        for name in ["../a/b", "a/../../b", "a//b", "/a/b", "a/b\0", ".lock", "a", "a/b.unfinished"] {
            let put = bucket.put(&cx(), name, Bytes::new(), ContentType::Json, Precondition::Absent).await;
            assert!(matches!(put, Err(BucketError::Folder { .. })), "{name}: {put:?}");
        }
        assert!(!folder.path().join("a").exists());
    }

    #[tokio::test]
    async fn what_is_being_written_is_no_object() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = FolderBucket::new(folder.path().to_owned());
        let (name, text) = ("state/a/t.json", Bytes::from_static(b"1"));
        assert!(matches!(
            bucket.put(&cx(), name, text, ContentType::Json, Precondition::Absent).await,
            Ok(Put::Stored(_))
        ));
        // as left by a process that died while it wrote
        fs::write(folder.path().join("state/a/t.json.unfinished"), "half").unwrap();
        assert_eq!(bucket.list(&cx(), "state/").await.unwrap(), [name]);
        assert_eq!(bucket.list(&cx(), "state/a/t").await.unwrap(), [name]);
        assert_eq!(bucket.list(&cx(), "staging/").await.unwrap(), Vec::<String>::new());
        let found = bucket.get(&cx(), name, 10).await.unwrap().unwrap();
        let precondition = Precondition::Generation(found.generation);
        let put = bucket.put(&cx(), name, "2".into(), ContentType::Json, precondition).await;
        assert!(matches!(put, Ok(Put::Stored(_))));
    }

    #[tokio::test]
    async fn a_look_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("state");
        let bucket = FolderBucket::new(root.clone());
        assert!(!bucket.look(&cx(), 1).await.unwrap());
        assert!(!root.exists());
        fs::create_dir(&root).unwrap();
        assert!(bucket.look(&cx(), 1).await.unwrap());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        // a lock that cannot be written to, and a file where the folder is to be
        fs::create_dir(root.join(LOCK)).unwrap();
        bucket.look(&cx(), 1).await.unwrap_err();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = FolderBucket::new(folder.path().join("file")).look(&cx(), 1).await.unwrap_err();
        assert_eq!(error.class(), crate::model::Class::Permanent, "{error}");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let bucket = FolderBucket::new(folder.path().join("file"));
        let put = bucket.put(&cx(), "state/t", Bytes::new(), ContentType::Json, Precondition::Absent).await;
        let error = put.unwrap_err().to_string();
        assert!(error.starts_with("writing ") && error.contains("file/state/t"), "{error}");
    }
}
