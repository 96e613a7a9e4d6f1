//! Reading the files: which bytes are new, and where lines end. Blocking.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::positions::{Position, Positions};
use super::{FILES_MAX, LINE_BYTES_MAX, find};

/// How many bytes of a file are read at once.
const CHUNK_BYTES: usize = 512 * 1024;
/// How many lines one chunk holds.
const CHUNK_LINES_MAX: usize = 1_000;
/// How many bytes of a file's beginning tell it from another.
const HEAD_BYTES_MAX: usize = 256;
/// For how many passes a file that was rotated away is still read.
pub const DRAIN_PASSES: u32 = 30;
/// How many files that were rotated away are read at once.
const DRAINING_MAX: usize = 64;
/// How often the globs are looked up anew, in passes.
const FIND_EVERY: u32 = 10;

/// New lines of one file.
#[derive(Debug)]
pub struct Chunk {
    /// The path that the file is followed under.
    pub path: PathBuf,
    /// The lines without their ends.
    pub lines: Vec<Vec<u8>>,
    /// What becomes of the path's position once the lines are delivered.
    pub position: Move,
    /// What was odd, with how many lines it concerns and an example.
    pub flags: Vec<(&'static str, u64, String)>,
    /// Tells whether there is more to read at once.
    pub more: bool,
}

/// A change of a path's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// It moves there.
    To(Position),
    /// It is forgotten.
    Forget,
    /// It stays.
    Stay,
}

/// The files that are followed.
#[derive(Debug)]
pub struct Tailer {
    globs: Vec<String>,
    files: BTreeMap<PathBuf, Followed>,
    /// Files that were rotated away, which their writer may not have noticed yet, and for how many passes more.
    draining: Vec<(PathBuf, Followed, u32)>,
    /// Positions of files that are not open yet.
    saved: BTreeMap<PathBuf, Position>,
    /// Tells whether files that appear are read from their start.
    from_start: bool,
    passes: u32,
}

#[derive(Debug)]
struct Followed {
    file: File,
    position: Position,
    /// Within a line that was too long.
    skipping: bool,
}

impl Tailer {
    /// Starts at the given positions; without any, files that are there are followed from their end.
    pub fn new(globs: Vec<String>, positions: &Positions) -> Self {
        let mut tailer = Self {
            globs,
            files: BTreeMap::new(),
            draining: Vec::new(),
            saved: BTreeMap::new(),
            from_start: !positions.is_empty(),
            passes: 0,
        };
        for path in find::files(&tailer.globs, FILES_MAX) {
            if let Some(position) = positions.get(&path) {
                tailer.saved.insert(path, *position);
            }
        }
        tailer
    }

    /// Reads at most one chunk of every file.
    pub fn read(&mut self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        if self.passes == 0 {
            self.open_new(&mut chunks);
            self.from_start = true;
        }
        self.passes = (self.passes + 1) % FIND_EVERY;
        self.drain(&mut chunks);
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        for path in paths {
            chunks.extend(self.read_file(&path));
        }
        chunks
    }

    fn open_new(&mut self, chunks: &mut Vec<Chunk>) {
        for path in find::files(&self.globs, FILES_MAX) {
            if self.files.contains_key(&path) {
                continue;
            }
            let mut flags = Vec::new();
            match self.open(&path, &mut flags) {
                Ok(followed) => {
                    chunks.push(chunk(&path, Vec::new(), Move::To(followed.position), flags));
                    self.files.insert(path, followed);
                }
                // A file that may not be read is not followed; the default globs name some.
                Err(error) => tracing::debug!(%error, path = %path.display(), "log file is not followed"),
            }
        }
    }

    fn open(&mut self, path: &Path, flags: &mut Vec<(&'static str, u64, String)>) -> io::Result<Followed> {
        let file = File::open(path)?;
        let Some(saved) = self.saved.remove(path) else {
            let offset = if self.from_start { 0 } else { last_line_end(&file)? };
            return Followed::at(file, offset);
        };
        if is_same(&file, &saved)? {
            return Ok(Followed { file, position: saved, skipping: false });
        }
        // It was rotated while nobody looked: read on under its new name, then turn to the new file.
        if let Some(rotated) = rotated(path, &saved) {
            return Ok(Followed { file: rotated, position: saved, skipping: false });
        }
        flags.push(("rest of a rotated file is gone", 1, path.display().to_string()));
        Followed::at(file, 0)
    }

    fn read_file(&mut self, path: &Path) -> Option<Chunk> {
        let followed = self.files.get_mut(path)?;
        let read = followed.read(path);
        match read {
            Ok(Some(chunk)) => Some(chunk),
            Ok(None) => self.at_end(path),
            Err(error) => {
                self.files.remove(path);
                let flags = vec![("log file could not be read", 1, format!("{}: {error}", path.display()))];
                Some(chunk(path, Vec::new(), Move::Forget, flags))
            }
        }
    }

    /// Reads the files that were rotated away; at the end of their time what they end with is a line.
    fn drain(&mut self, chunks: &mut Vec<Chunk>) {
        self.draining.retain_mut(|(path, followed, passes)| {
            *passes = passes.saturating_sub(1);
            if let Ok(Some(mut read)) = followed.read(path) {
                read.position = Move::Stay;
                chunks.push(read);
                return true;
            }
            if *passes == 0 {
                chunks.push(chunk(path, followed.rest(), Move::Stay, Vec::new()));
            }
            *passes > 0
        });
    }

    /// At the end of an open file: turns to the file that now has its path, if that is another one.
    fn at_end(&mut self, path: &Path) -> Option<Chunk> {
        let position = self.files.get(path)?.position;
        let next = match std::fs::metadata(path) {
            Ok(metadata) if (metadata.dev(), metadata.ino()) == (position.device, position.inode) => return None,
            Ok(_) => File::open(path).and_then(|file| Followed::at(file, 0)).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => return None,
        };
        let before = self.files.remove(path)?;
        if self.draining.len() < DRAINING_MAX {
            self.draining.push((path.to_owned(), before, DRAIN_PASSES));
        }
        let Some(next) = next else { return Some(chunk(path, Vec::new(), Move::Forget, Vec::new())) };
        let mut turned = chunk(path, Vec::new(), Move::To(next.position), Vec::new());
        turned.more = true;
        self.files.insert(path.to_owned(), next);
        Some(turned)
    }
}

fn chunk(path: &Path, lines: Vec<Vec<u8>>, position: Move, flags: Vec<(&'static str, u64, String)>) -> Chunk {
    Chunk { path: path.to_owned(), lines, position, flags, more: false }
}

impl Followed {
    fn at(file: File, offset: u64) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let (head_bytes, head) = head(&file, HEAD_BYTES_MAX)?;
        let position = Position { device: metadata.dev(), inode: metadata.ino(), offset, head_bytes, head };
        Ok(Self { file, position, skipping: false })
    }

    /// Reads what is new; `None` where nothing whole is.
    fn read(&mut self, path: &Path) -> io::Result<Option<Chunk>> {
        let mut flags = Vec::new();
        let size = self.file.metadata()?.len();
        if size < self.position.offset || !is_same(&self.file, &self.position)? {
            flags.push(("log file was emptied", 1, path.display().to_string()));
            (self.position.offset, self.skipping) = (0, false);
        }
        if size == self.position.offset && flags.is_empty() {
            return Ok(None);
        }
        let mut bytes = vec![0; CHUNK_BYTES];
        let count = read_at(&self.file, &mut bytes, self.position.offset)?;
        let lines = self.split(&bytes[..count], &mut flags);
        (self.position.head_bytes, self.position.head) = head(&self.file, HEAD_BYTES_MAX)?;
        if lines.is_empty() && flags.is_empty() {
            return Ok(None);
        }
        let mut chunk = chunk(path, lines, Move::To(self.position), flags);
        chunk.more = count == CHUNK_BYTES || chunk.lines.len() == CHUNK_LINES_MAX;
        Ok(Some(chunk))
    }

    /// Takes whole lines, moving the offset behind them; a line that is too long is cut, its rest read over.
    fn split(&mut self, bytes: &[u8], flags: &mut Vec<(&'static str, u64, String)>) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while lines.len() < CHUNK_LINES_MAX {
            let end = memchr::memchr(b'\n', rest);
            if self.skipping {
                rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
                self.skipping = end.is_none();
                if self.skipping {
                    break;
                }
                continue;
            }
            match end {
                Some(end) if end <= LINE_BYTES_MAX => {
                    lines.push(rest[..end].to_vec());
                    rest = &rest[end + 1..];
                }
                _ if rest.len() > LINE_BYTES_MAX => {
                    let (line, behind) = rest.split_at(LINE_BYTES_MAX);
                    flags.push((
                        "line cut at 64 KiB",
                        1,
                        String::from_utf8_lossy(&line[..HEAD_BYTES_MAX]).into_owned(),
                    ));
                    lines.push(line.to_vec());
                    (rest, self.skipping) = (behind, true);
                }
                _ => break,
            }
        }
        self.position.offset += (bytes.len() - rest.len()) as u64;
        lines
    }

    /// What stands behind the last whole line of a file that is no longer written.
    fn rest(&mut self) -> Vec<Vec<u8>> {
        let mut bytes = vec![0; LINE_BYTES_MAX];
        match read_at(&self.file, &mut bytes, self.position.offset) {
            Ok(count) if count > 0 && !self.skipping => {
                bytes.truncate(count);
                vec![bytes]
            }
            _ => Vec::new(),
        }
    }
}

/// Fills `bytes` from `offset` on as far as the file goes.
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// How many bytes of the beginning there are, up to `bytes_max`, and their hash.
fn head(file: &File, bytes_max: usize) -> io::Result<(u64, u64)> {
    let mut bytes = [0; HEAD_BYTES_MAX];
    let count = read_at(file, &mut bytes[..bytes_max.min(HEAD_BYTES_MAX)], 0)?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes[..count]);
    Ok((count as u64, hasher.finish()))
}

/// Tells whether a file is the one of a position: same inode, same beginning.
fn is_same(file: &File, position: &Position) -> io::Result<bool> {
    let metadata = file.metadata()?;
    if (metadata.dev(), metadata.ino()) != (position.device, position.inode) {
        return Ok(false);
    }
    let wanted = usize::try_from(position.head_bytes).unwrap_or(HEAD_BYTES_MAX);
    Ok(head(file, wanted)? == (position.head_bytes, position.head))
}

/// The file that a path was rotated to: another name in its folder that begins with its own.
fn rotated(path: &Path, position: &Position) -> Option<File> {
    let name = path.file_name()?.to_str()?;
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let candidates =
        entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(|it| it.starts_with(name)));
    candidates.filter_map(|entry| File::open(entry.path()).ok()).find(|file| is_same(file, position).unwrap_or(false))
}

/// The place behind the last line feed, so that a line which is being written is read whole.
fn last_line_end(file: &File) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let from = size.saturating_sub(LINE_BYTES_MAX as u64);
    let mut bytes = vec![0; LINE_BYTES_MAX];
    let count = read_at(file, &mut bytes, from)?;
    Ok(memchr::memrchr(b'\n', &bytes[..count]).map_or(if from == 0 { 0 } else { size }, |at| from + at as u64 + 1))
}
