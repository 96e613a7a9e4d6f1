//! A serial line, opened for reading alone: the kernel itself refuses to write to it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};

/// The speed of IEC 61162-1; IEC 61162-2 has 38,400.
pub const BAUD_DEFAULT: u32 = 4_800;

/// An open serial line.
#[derive(Debug)]
pub struct SerialLine(AsyncFd<OwnedFd>);

impl SerialLine {
    /// Opens a device such as `/dev/ttyUSB0` with 8 data bits, no parity, and no control of flow.
    ///
    /// # Errors
    /// A device that cannot be opened or has not this speed.
    pub fn open(path: &Path, baud: u32) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let device = rustix::fs::open(path, flags, Mode::empty())?;
        let mut attributes = tcgetattr(&device)?;
        attributes.make_raw();
        attributes.set_speed(baud)?;
        tcsetattr(&device, OptionalActions::Now, &attributes)?;
        Ok(Self(AsyncFd::with_interest(device, Interest::READABLE)?))
    }
}

impl AsyncRead for SerialLine {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let space = buffer.initialize_unfilled();
            match guard.try_io(|device| rustix::io::read(device, &mut *space).map_err(io::Error::from)) {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}
