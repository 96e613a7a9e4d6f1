//! A disk in memory that keeps, when its power is cut, only what was synced: bytes by the file's sync, names by the
//! folder's.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::io::{Io, ReadFile, WriteFile};

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: usize,
}

type Files = BTreeMap<PathBuf, Arc<Mutex<Content>>>;

#[derive(Debug, Default)]
struct Inner {
    files: Files,
    /// What the folders' entries are after a power cut.
    durable: Files,
    /// Changing operations until the power is cut; `None` for never.
    left: Option<usize>,
}

#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

fn cut() -> io::Error {
    io::Error::other("the power is cut")
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Lets `operations` more changes happen, and none after.
    pub fn cut_after(&self, operations: usize) {
        self.inner().left = Some(operations);
    }

    /// Lets changes happen again.
    pub fn mend(&self) {
        self.inner().left = None;
    }

    /// Tells whether the power was cut before a change could happen.
    pub fn is_cut(&self) -> bool {
        self.inner().left == Some(0)
    }

    /// The disk as it is found after a power cut.
    pub fn after_cut(&self) -> Self {
        let inner = self.inner();
        let kept = inner.durable.iter().map(|(path, content)| {
            let content = content.lock().unwrap();
            let bytes = content.bytes[..content.synced].to_vec();
            (path.clone(), Arc::new(Mutex::new(Content { synced: bytes.len(), bytes })))
        });
        let files: Files = kept.collect();
        Self(Arc::new(Mutex::new(Inner { durable: files.clone(), files, left: None })))
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.inner().files.keys().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    /// The bytes of the file called `name`.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let inner = self.inner();
        let (_, content) = inner.files.iter().find(|(path, _)| path.ends_with(name)).unwrap();
        content.lock().unwrap().bytes.clone()
    }

    /// Changes the bytes of the file called `name`.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let inner = self.inner();
        let (_, content) = inner.files.iter().find(|(path, _)| path.ends_with(name)).unwrap();
        change(&mut content.lock().unwrap().bytes);
    }

    /// One more changing operation.
    fn change(&self) -> io::Result<std::sync::MutexGuard<'_, Inner>> {
        let mut inner = self.inner();
        match &mut inner.left {
            Some(0) => return Err(cut()),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(inner)
    }
}

struct Writing(Disk, Arc<Mutex<Content>>);

impl WriteFile for Writing {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _inner = self.0.change()?;
        self.1.lock().unwrap().bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let _inner = self.0.change()?;
        let mut content = self.1.lock().unwrap();
        content.synced = content.bytes.len();
        Ok(())
    }
}

struct Reading(Arc<Mutex<Content>>);

impl ReadFile for Reading {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = self.0.lock().unwrap();
        let rest = content.bytes.get(offset as usize..).unwrap_or(&[]);
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

impl Io for Disk {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        assert!(self.inner().files.keys().all(|path| path.parent() == Some(dir)));
        Ok(self.names())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut inner = self.change()?;
        if inner.files.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let content = Arc::<Mutex<Content>>::default();
        inner.files.insert(path.to_owned(), Arc::clone(&content));
        Ok(Box::new(Writing(self.clone(), content)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let content = self.inner().files.get(path).cloned().ok_or_else(missing)?;
        Ok(Box::new(Reading(content)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.change()?;
        let content = inner.files.remove(from).ok_or_else(missing)?;
        inner.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // Looking for a file that is not there changes nothing.
        if !self.inner().files.contains_key(path) {
            return Err(missing());
        }
        self.change()?.files.remove(path).map(drop).ok_or_else(missing)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut inner = self.change()?;
        inner.durable = inner.files.clone();
        Ok(())
    }
}
