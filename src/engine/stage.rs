//! From blocks of NDJSON to parts on the bucket: compressing on a thread of its own, uploading beside it. Plain parts
//! need no thread.
//!
//! Memory: [`BLOCKS_QUEUED`] blocks, or [`HUGE_QUEUED`] of huge rows, and [`PARTS_MAX`] parts, whether they fill, wait or
//! are on their way: a part begins in a buffer that another has left. Rejected rows, which are few, come beside it.
//! The last block counts only after [`StageSink::finish`]: a read that fails leaves no half part behind it.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::faults::{Faults, Point};
use super::{Engine, RunError};
use crate::bucket::{Bucket, BucketError, ContentType, Precondition, Put};
use crate::gzip::{self, Gzip};
use crate::model::{Limits, Step};
use crate::net::{Attempts, Context};
use crate::source::{BLOCK_BYTES, Block, BlockSink, SinkClosed};

/// Blocks between the reader and the compressing thread: what is read while that, on a machine whose cores all have work, waits
/// for its turn.
const BLOCKS_QUEUED: usize = 12;
/// Of blocks that huge rows have made several times as large, only so many.
const HUGE_QUEUED: usize = 4;
/// Parts on their way at once.
const UPLOADS_MAX: usize = 2;
/// Parts in memory: while so many are on their way, one more fills.
const PARTS_MAX: usize = UPLOADS_MAX + 1;
/// Rejected rows are sent on when they have this many bytes.
const REJECTS_BYTES: usize = 4 << 20;
/// How often a part is sent; it is conditional, so that again is without harm.
const UPLOAD_ATTEMPTS_MAX: u32 = 6;

enum Piece {
    /// With the room in the queue that it takes.
    Block(Block, OwnedSemaphorePermit),
    End,
}

struct Part {
    bytes: Bytes,
    /// Rejected rows, which are for people: plain, and no part of the chunk.
    rejects: bool,
}

/// Names of the objects that a stage has begun to write, in order.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// Parts.
    pub(super) parts: Vec<String>,
    /// Objects with rejected rows.
    pub(super) rejects: Vec<String>,
}

/// The reader's end.
#[derive(Debug)]
pub(super) struct StageSink {
    packer: Packer,
    cut_at: Option<Instant>,
    cx: Context,
    parts: mpsc::Sender<Part>,
    rejects: Vec<u8>,
    faults: Faults,
}

/// Who makes parts of blocks.
#[derive(Debug)]
enum Packer {
    /// A thread that compresses.
    Thread { pieces: mpsc::Sender<Piece>, room: Arc<Semaphore>, used: mpsc::Receiver<Block> },
    /// The reader itself: there is nothing to compress.
    Inline(Filling, mpsc::Receiver<Vec<u8>>),
}

/// The bucket's end.
#[derive(Debug)]
pub(super) struct Stage {
    parts: mpsc::Receiver<Part>,
    /// Where buffers go that a part has left.
    buffers: mpsc::Sender<Vec<u8>>,
    /// Bytes of a buffer.
    part_bytes: usize,
    compressing: Option<tokio::task::JoinHandle<Result<(), std::io::Error>>>,
    gzip: bool,
}

/// Opens a stage. Reads into the sink that last beyond `cut_at` are asked to end; `None` lets them go on.
pub(super) fn open(cx: &Context, limits: Limits, cut_at: Option<Instant>, faults: Faults) -> (StageSink, Stage) {
    let (parts_out, parts) = mpsc::channel(1);
    let (part_bytes, (buffers, buffers_in)) = (limits.part_bytes.get() as usize, mpsc::channel(PARTS_MAX));
    for _ in 0..PARTS_MAX {
        // there is room for all; one that is never written to costs no memory
        buffers.try_send(Vec::with_capacity(part_bytes)).unwrap_or_default();
    }
    let gzip = limits.gzip_level.get() > 0;
    let (packer, compressing) = if gzip {
        let (pieces, pieces_in) = mpsc::channel(BLOCKS_QUEUED);
        let (used_out, used) = mpsc::channel(BLOCKS_QUEUED + 2);
        let parts_out = parts_out.clone();
        // owned by the returned stage; ends by itself as soon as either end is dropped
        let thread =
            tokio::task::spawn_blocking(move || compress(pieces_in, buffers_in, &used_out, &parts_out, limits));
        (Packer::Thread { pieces, room: Arc::new(Semaphore::new(BLOCKS_QUEUED)), used }, Some(thread))
    } else {
        (Packer::Inline(Filling::new(limits), buffers_in), None)
    };
    let sink = StageSink { packer, cut_at, cx: cx.clone(), parts: parts_out, rejects: Vec::new(), faults };
    (sink, Stage { parts, buffers, part_bytes, compressing, gzip })
}

impl BlockSink for StageSink {
    async fn send(&mut self, block: Block) -> Result<Block, SinkClosed> {
        self.faults.at(Point::Extract).await.map_err(|_fault| SinkClosed)?;
        self.cx.watch().block(block.rows, block.bytes.len());
        // a read whose rows are always there waits for nothing, and its thread would look at no timer, signal or other run
        tokio::task::yield_now().await;
        match &mut self.packer {
            Packer::Thread { pieces, room, used } => {
                let wanted = Arc::clone(room).acquire_many_owned(places(block.bytes.len()));
                let piece = Piece::Block(block, wanted.await.map_err(|_closed| SinkClosed)?);
                pieces.send(piece).await.map_err(|_closed| SinkClosed)?;
                Ok(used.try_recv().unwrap_or_else(|_none_yet| Block::empty()))
            }
            Packer::Inline(part, buffers) => {
                if part.is_full(&block)
                    && let Some(bytes) = part.take().map_err(|_full| SinkClosed)?
                {
                    send_part(&self.parts, bytes).await?;
                }
                if part.is_closed() {
                    part.begin(buffers.recv().await.ok_or(SinkClosed)?);
                }
                part.add(&block).map_err(|_full| SinkClosed)?;
                Ok(emptied(block).unwrap_or_else(Block::empty))
            }
        }
    }

    async fn reject(&mut self, mut line: Vec<u8>) -> Result<(), SinkClosed> {
        line.push(b'\n');
        self.rejects.append(&mut line);
        if self.rejects.len() < REJECTS_BYTES {
            return Ok(());
        }
        self.send_rejects().await
    }

    fn enough(&self) -> bool {
        self.cut_at.is_some_and(|at| Instant::now() >= at || self.cx.is_stopping())
    }
}

async fn send_part(parts: &mpsc::Sender<Part>, bytes: Bytes) -> Result<(), SinkClosed> {
    parts.send(Part { bytes, rejects: false }).await.map_err(|_closed| SinkClosed)
}

/// Places in the queue that a block of so many bytes takes.
fn places(bytes: usize) -> u32 {
    u32::try_from((bytes / BLOCK_BYTES).clamp(1, BLOCKS_QUEUED / HUGE_QUEUED)).unwrap_or(1)
}

/// A used block for new lines; `None` if one huge row has made it too large to keep.
fn emptied(mut block: Block) -> Option<Block> {
    block.clear();
    (block.bytes.capacity() <= 2 * BLOCK_BYTES).then_some(block)
}

impl StageSink {
    async fn send_rejects(&mut self) -> Result<(), SinkClosed> {
        if self.rejects.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(&mut self.rejects));
        self.parts.send(Part { bytes, rejects: true }).await.map_err(|_closed| SinkClosed)
    }

    /// All rows were handed on: what is compressed so far is the last part.
    pub(super) async fn finish(mut self) -> Result<(), SinkClosed> {
        self.cx.watch().step(Step::Nothing);
        self.send_rejects().await?;
        match &mut self.packer {
            Packer::Thread { pieces, .. } => pieces.send(Piece::End).await.map_err(|_closed| SinkClosed),
            Packer::Inline(part, _) => match part.take().map_err(|_full| SinkClosed)? {
                Some(bytes) => send_part(&self.parts, bytes).await,
                None => Ok(()),
            },
        }
    }
}

fn compress(
    mut pieces: mpsc::Receiver<Piece>,
    mut buffers: mpsc::Receiver<Vec<u8>>,
    used: &mpsc::Sender<Block>,
    parts: &mpsc::Sender<Part>,
    limits: Limits,
) -> Result<(), std::io::Error> {
    let mut part = Filling::new(limits);
    while let Some(piece) = pieces.blocking_recv() {
        let block = match piece {
            Piece::Block(block, _room) => block,
            Piece::End => {
                if let Some(bytes) = part.take()? {
                    // nobody takes it: the uploads have failed and say so themselves
                    parts.blocking_send(Part { bytes, rejects: false }).unwrap_or_default();
                }
                return Ok(());
            }
        };
        if part.is_full(&block)
            && let Some(bytes) = part.take()?
            && parts.blocking_send(Part { bytes, rejects: false }).is_err()
        {
            return Ok(());
        }
        if part.is_closed() {
            // none comes: the uploads have failed and say so themselves
            let Some(buffer) = buffers.blocking_recv() else { return Ok(()) };
            part.begin(buffer);
        }
        part.add(&block)?;
        if let Some(block) = emptied(block) {
            // a full queue of used blocks only means that this one is freed
            used.try_send(block).unwrap_or_default();
        }
    }
    Ok(())
}

/// The part that fills.
#[derive(Debug)]
struct Filling {
    limits: Limits,
    /// `None` between two parts.
    encoder: Option<Encoder>,
}

#[derive(Debug)]
enum Encoder {
    /// Level 1.
    Fast(Box<Gzip>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Plain(Vec<u8>),
}

impl Filling {
    fn new(limits: Limits) -> Self {
        Self { limits, encoder: None }
    }

    fn is_closed(&self) -> bool {
        self.encoder.is_none()
    }

    /// Begins a part in this buffer, which is empty.
    fn begin(&mut self, buffer: Vec<u8>) {
        self.encoder = Some(match self.limits.gzip_level.get() {
            0 => Encoder::Plain(buffer),
            1 => Encoder::Fast(Box::new(Gzip::new(buffer))),
            level => Encoder::Gzip(Box::new(GzEncoder::new(buffer, Compression::new(level)))),
        });
    }

    /// Whether the part could grow too large by these lines, which may not shrink at all.
    fn is_full(&self, block: &Block) -> bool {
        let size = match &self.encoder {
            None => return false,
            Some(Encoder::Fast(gzip)) => gzip.size(),
            Some(Encoder::Gzip(gzip)) => gzip.get_ref().len(),
            Some(Encoder::Plain(bytes)) => bytes.len(),
        };
        size + gzip::bound(block.bytes.len()) > self.limits.part_bytes.get() as usize
    }

    /// Takes whole lines in. There must be a part.
    fn add(&mut self, block: &Block) -> Result<(), std::io::Error> {
        let lines = block.bytes.as_slice();
        match &mut self.encoder {
            None => Err(std::io::Error::other("no part was begun")),
            Some(Encoder::Fast(gzip)) => {
                gzip.write(lines, &block.fields);
                Ok(())
            }
            Some(Encoder::Gzip(gzip)) => gzip.write_all(lines),
            Some(Encoder::Plain(buffer)) => buffer.write_all(lines),
        }
    }

    /// The part's bytes; `None` if there is no part.
    fn take(&mut self) -> Result<Option<Bytes>, std::io::Error> {
        let bytes = match self.encoder.take() {
            None => return Ok(None),
            Some(Encoder::Fast(gzip)) => gzip.finish(),
            Some(Encoder::Gzip(gzip)) => gzip.finish()?,
            Some(Encoder::Plain(bytes)) => bytes,
        };
        Ok(Some(Bytes::from(bytes)))
    }
}

/// An empty buffer of a part that is stored: its own, if nobody else holds it any more, or a new one.
fn emptied_buffer(part: Bytes, limit: usize) -> Vec<u8> {
    // emptied first: what is in it would be copied onto itself
    let emptied = part.try_into_mut().map(|mut part| {
        part.clear();
        Vec::from(part)
    });
    let buffer = emptied.unwrap_or_default();
    // one that a huge row has made larger is not kept
    if buffer.capacity() == limit { buffer } else { Vec::with_capacity(limit) }
}

impl Stage {
    /// Uploads the parts below `prefix` as they come, and rejected rows as objects whose names begin with `rejects`.
    pub(super) async fn upload<B: Bucket, W>(
        mut self,
        cx: &Context,
        engine: &Engine<B, W>,
        prefix: &str,
        rejects: &str,
    ) -> (Staged, Result<(), RunError>) {
        let mut staged = Staged::default();
        let result = self.upload_all(cx, engine, prefix, rejects, &mut staged).await;
        // the compressing thread ends when nobody takes its parts any more, or gives it room for the next
        drop((self.parts, self.buffers));
        let compressed = match self.compressing {
            None => Ok(()),
            Some(thread) => match thread.await {
                Ok(done) => done.map_err(|error| RunError::Compress(error.to_string())),
                Err(error) => Err(RunError::Compress(error.to_string())),
            },
        };
        (staged, result.and(compressed))
    }

    async fn upload_all<B: Bucket, W>(
        &mut self,
        cx: &Context,
        engine: &Engine<B, W>,
        prefix: &str,
        rejects: &str,
        staged: &mut Staged,
    ) -> Result<(), RunError> {
        let (suffix, content) =
            if self.gzip { ("ndjson.gz", ContentType::Gzip) } else { ("ndjson", ContentType::Ndjson) };
        let send = async |name: String, part: Part, content| {
            upload_part(cx, engine, name, part.bytes.clone(), content).await?;
            Ok::<_, RunError>(part)
        };
        let mut uploads = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(done) = uploads.next() => {
                    let part: Part = done?;
                    if !part.rejects {
                        // there is room for all; who would take it may have ended
                        self.buffers.try_send(emptied_buffer(part.bytes, self.part_bytes)).unwrap_or_default();
                    }
                }
                part = self.parts.recv(), if uploads.len() < UPLOADS_MAX => match part {
                    Some(part) if part.rejects => {
                        let name = format!("{rejects}-{:05}.ndjson", staged.rejects.len());
                        staged.rejects.push(name.clone());
                        uploads.push(send(name, part, ContentType::Ndjson));
                    }
                    Some(part) => {
                        let name = format!("{prefix}part-{:05}.{suffix}", staged.parts.len());
                        staged.parts.push(name.clone());
                        uploads.push(send(name, part, content));
                    }
                    None => break,
                },
            }
        }
        while let Some(done) = uploads.next().await {
            done?;
        }
        Ok(())
    }
}

async fn upload_part<B: Bucket, W>(
    cx: &Context,
    engine: &Engine<B, W>,
    name: String,
    bytes: Bytes,
    content: ContentType,
) -> Result<(), RunError> {
    let bucket = &engine.bucket;
    let mut attempts = Attempts::counted(UPLOAD_ATTEMPTS_MAX);
    let mut maybe_there = false;
    engine.faults.at(Point::Upload).await?;
    loop {
        attempts.count();
        let failed = match bucket.put(cx, &name, bytes.clone(), content, Precondition::Absent).await {
            Ok(Put::Stored(_)) => return Ok(engine.faults.at(Point::Uploaded).await?),
            // the name holds a fresh id: only an earlier attempt of ours can have written it
            Ok(Put::Mismatch) if maybe_there => return Ok(()),
            Ok(Put::Mismatch) => return Err(RunError::PartTaken(bucket.address(&name))),
            Err(error @ BucketError::Unsettled { .. }) => {
                maybe_there = true;
                error
            }
            Err(error @ BucketError::Unavailable { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        tracing::debug!(part = name, %failed, "part not stored");
        if !attempts.again(cx, failed.after()).await? {
            return Err(failed.tried(attempts.tried()).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// How many blocks of so many bytes a compressing thread that takes none lets the reader hand on.
    async fn handed_on(bytes: usize) -> usize {
        let (pieces, _kept) = mpsc::channel(BLOCKS_QUEUED);
        let ((_, used), (parts, _)) = (mpsc::channel(1), mpsc::channel(1));
        let mut sink = StageSink {
            packer: Packer::Thread { pieces, room: Arc::new(Semaphore::new(BLOCKS_QUEUED)), used },
            cut_at: None,
            cx: Context::new(Instant::now() + Duration::from_secs(60), CancellationToken::new()),
            parts,
            rejects: Vec::new(),
            faults: Faults::default(),
        };
        let mut count = 0;
        let block = || Block { bytes: vec![b'x'; bytes], ..Block::default() };
        while timeout(Duration::from_secs(1), sink.send(block())).await.is_ok_and(|sent| sent.is_ok()) {
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn of_huge_blocks_few_wait() {
        assert_eq!(handed_on(BLOCK_BYTES + BLOCK_BYTES / 4).await, BLOCKS_QUEUED);
        assert_eq!(handed_on(2 * BLOCK_BYTES).await, BLOCKS_QUEUED / 2);
        assert_eq!(handed_on(10 * BLOCK_BYTES).await, HUGE_QUEUED);
    }
}
