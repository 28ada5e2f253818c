//! A connection's stream whose other end must take what it is sent: a write that stalls ends the connection.
//!
//! Without it a caller that asks and never reads would keep its connection, and one of the few that there are, for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream with a limit on how long a write may stall.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    stall_max: Duration,
    /// Runs while a write waits for the other end.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Stream<S> {
    pub(super) fn new(inner: S, stall_max: Duration) -> Self {
        Self { inner, stall_max, stall: None }
    }

    /// What a write came to, or that it has waited for too long.
    fn watched<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stall = None;
            return polled;
        }
        let stall_max = self.stall_max;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
        stall.as_mut().poll(cx).map(|()| Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watched(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.watched(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.watched(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watched(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const STALL: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_keeps_up_is_served_and_one_that_does_not_is_left() -> io::Result<()> {
        let (near, mut far) = tokio::io::duplex(8);
        let mut stream = Stream::new(near, STALL);
        // slow, but always sooner than the limit: eight bytes every nine seconds
        let (written, read) = tokio::join!(stream.write_all(&[7; 80]), async {
            let mut all = Vec::new();
            while all.len() < 80 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                let mut some = [0; 8];
                let count = far.read(&mut some).await?;
                all.extend_from_slice(&some[..count]);
            }
            io::Result::Ok(all)
        });
        written?;
        assert_eq!(read?, [7; 80]);
        let begun = tokio::time::Instant::now();
        let stalled = stream.write_all(&[7; 80]).await;
        assert_eq!(stalled.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        assert_eq!(begun.elapsed().as_secs(), STALL.as_secs());
        Ok(())
    }
}
