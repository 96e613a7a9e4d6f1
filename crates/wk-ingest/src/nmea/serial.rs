//! A serial line, opened for reading alone: the kernel itself refuses to write to it.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::net::unix::pipe::Receiver;

/// Opens a device such as `/dev/ttyUSB0` with 8 data bits, no parity, and no control of flow.
///
/// # Errors
/// A device that cannot be opened or has not this speed.
pub fn open(path: &Path, baud: u32) -> io::Result<Receiver> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open(path, flags, Mode::empty())?;
    let mut attributes = tcgetattr(&device)?;
    attributes.make_raw();
    attributes.set_speed(baud)?;
    tcsetattr(&device, OptionalActions::Now, &attributes)?;
    // To the runtime a terminal that is only read from is as good as a pipe.
    Receiver::from_file_unchecked(File::from(device))
}
