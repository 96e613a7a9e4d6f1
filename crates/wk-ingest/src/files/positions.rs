//! How far each file has been delivered, kept in a JSON file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The number of the format of the positions file.
const FORMAT: u32 = 1;

/// How far one file has been delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The device that the file is on.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// The place behind the last delivered line.
    pub offset: u64,
    /// How many bytes of the beginning `head` is of.
    pub head_bytes: u64,
    /// A hash of the beginning.
    pub head: u64,
}

/// The positions of all files.
#[derive(Debug, Default)]
pub struct Positions {
    files: BTreeMap<PathBuf, Position>,
    changed: bool,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    files: BTreeMap<PathBuf, Position>,
}

impl Positions {
    /// Reads the positions; a file that is not there holds none.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or was written by a newer version.
    pub fn load(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let stored: Stored = serde_json::from_slice(&text)?;
        if stored.format > FORMAT {
            let what = format!("the positions have format {}, this version reads up to {FORMAT}", stored.format);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Self { files: stored.files, changed: false })
    }

    /// The position of a file.
    pub fn get(&self, path: &Path) -> Option<&Position> {
        self.files.get(path)
    }

    /// Tells whether no file has a position.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Moves a file's position.
    pub fn set(&mut self, path: &Path, position: Position) {
        self.changed |= self.files.insert(path.to_owned(), position) != Some(position);
    }

    /// Forgets a file.
    pub fn remove(&mut self, path: &Path) {
        self.changed |= self.files.remove(path).is_some();
    }

    /// What to write, if anything changed since it was last written.
    pub fn changed_text(&self) -> Option<String> {
        let stored = Stored { format: FORMAT, files: self.files.clone() };
        self.changed.then(|| serde_json::to_string(&stored).expect("positions are numbers under paths that are UTF-8"))
    }

    /// Notes that the last text was written.
    pub fn saved(&mut self) {
        self.changed = false;
    }
}

/// Replaces a file so that after a power cut either the old or the new text is there.
///
/// # Errors
/// Any of the file operations.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("tmp");
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: Position = Position { device: 1, inode: 2, offset: 3, head_bytes: 4, head: u64::MAX };

    #[test]
    fn positions_come_back_from_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("positions.json");
        assert!(Positions::load(&path).unwrap().is_empty());
        let mut positions = Positions::default();
        assert_eq!(positions.changed_text(), None);
        positions.set(Path::new("/var/log/syslog"), POSITION);
        positions.set(Path::new("/var/log/gone"), POSITION);
        positions.remove(Path::new("/var/log/gone"));
        write(&path, &positions.changed_text().unwrap()).unwrap();
        positions.saved();
        assert_eq!(positions.changed_text(), None);
        let loaded = Positions::load(&path).unwrap();
        assert_eq!(loaded.get(Path::new("/var/log/syslog")), Some(&POSITION));
        assert_eq!(loaded.files.len(), 1);
    }

    #[test]
    fn version_1_is_still_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("positions.json");
        let text = r#"{"format":1,"files":{"/var/log/syslog":{"device":1,"inode":2,"offset":3,"head_bytes":4,"head":18446744073709551615}}}"#;
        fs::write(&path, text).unwrap();
        assert_eq!(Positions::load(&path).unwrap().get(Path::new("/var/log/syslog")), Some(&POSITION));
    }

    #[test]
    fn damaged_and_newer_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("positions.json");
        for text in ["", "{", r#"{"format":2,"files":{}}"#] {
            fs::write(&path, text).unwrap();
            assert!(Positions::load(&path).is_err(), "{text}");
        }
    }
}
