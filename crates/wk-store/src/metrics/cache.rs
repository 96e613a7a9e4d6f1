//! Directories of blocks, loaded when a query needs them and dropped when they take too much memory. Blocks with the
//! same series share one dictionary, and all share the index's series.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use wk_block::{BlockError, Header, Layout, decode_dictionary};
use wk_types::Series;
use xxhash_rust::xxh3::xxh3_128;

use super::file::{BlockFile, FileSource};
use super::rollup::Column;

/// A set of matches smaller than this share of a block's series is looked up, a larger one is scanned for.
const LOOK_UP_SHARE: u64 = 16;

/// Which series a block has: by position, and by number.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// The index's number of each series, in label order.
    pub(super) numbers: Vec<u32>,
    /// The column that each position is, in a block of rollups; its columns of one series have one number.
    pub(super) columns: Vec<Column>,
    /// Number and position, sorted by number.
    positions: Vec<(u32, u32)>,
}

impl Dictionary {
    pub(super) fn new(numbers: Vec<u32>, columns: Vec<Column>) -> Self {
        let mut positions: Vec<(u32, u32)> =
            numbers.iter().enumerate().map(|(position, number)| (*number, position as u32)).collect();
        positions.sort_unstable();
        Self { numbers, columns, positions }
    }

    /// The positions of the series in `matched`, ascending.
    pub(super) fn positions(&self, matched: &RoaringBitmap) -> Vec<usize> {
        if matched.len() * LOOK_UP_SHARE > self.numbers.len() as u64 {
            let all = self.numbers.iter().enumerate();
            return all.filter(|(_, number)| matched.contains(**number)).map(|(position, _)| position).collect();
        }
        let mut found: Vec<usize> = Vec::new();
        for number in matched {
            let begin = self.positions.partition_point(|(other, _)| *other < number);
            let mine = self.positions[begin..].iter().take_while(|(other, _)| *other == number);
            found.extend(mine.map(|(_, position)| *position as usize));
        }
        found.sort_unstable();
        found
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(&*self.numbers) + size_of_val(&*self.columns) + size_of_val(&*self.positions)
    }
}

/// The directory of a block, and its file.
pub(super) struct Loaded {
    pub(super) file: Arc<BlockFile>,
    pub(super) source: FileSource,
    pub(super) layout: Layout,
    pub(super) dictionary: Arc<Dictionary>,
}

/// Remembers a dictionary that was just made.
pub(super) type Keep<'a> = &'a mut dyn FnMut(Dictionary) -> Arc<Dictionary>;

/// What tells one stored dictionary from another: a digest of its bytes, wherever in a file they stand.
type Fingerprint = u128;

/// Loaded directories, the longest unused ones dropped beyond a bound.
pub(super) struct Cache(Mutex<Entries>);

struct Entries {
    bytes_max: usize,
    bytes: usize,
    uses: u64,
    loaded: HashMap<String, (Arc<Loaded>, usize, u64)>,
    dictionaries: Vec<(Fingerprint, Weak<Dictionary>)>,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        let (loaded, dictionaries) = (HashMap::new(), Vec::new());
        Self(Mutex::new(Entries { bytes_max, bytes: 0, uses: 0, loaded, dictionaries }))
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of `file`, read from `source` where it is not here yet. `intern` turns series into numbers, and
    /// holds whatever keeps [`live`](Self::live) from being asked meanwhile until `keep` has been called.
    pub(super) fn load(
        &self,
        file: &Arc<BlockFile>,
        open: impl FnOnce() -> Result<FileSource, BlockError>,
        intern: impl FnOnce(&[Series], Keep<'_>) -> Arc<Dictionary>,
    ) -> Result<Arc<Loaded>, BlockError> {
        if let Some(loaded) = self.entries().touch(&file.name) {
            return Ok(loaded);
        }
        let source = open()?;
        let header = Header::read(&source)?;
        let layout = Layout::read(&header, &source)?;
        let stored = header.dictionary.read(&source)?;
        let fingerprint = xxh3_128(&stored);
        let known = self.entries().dictionary(fingerprint);
        let dictionary = match known {
            Some(known) => known,
            None => {
                let series = decode_dictionary(&header, &stored)?;
                let mut keep = |dictionary| {
                    let dictionary = Arc::new(dictionary);
                    self.entries().dictionaries.push((fingerprint, Arc::downgrade(&dictionary)));
                    dictionary
                };
                intern(&series, &mut keep)
            }
        };
        drop(stored);
        let loaded = Arc::new(Loaded { file: Arc::clone(file), source, layout, dictionary });
        self.entries().insert(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Drops the directory of a file that is no longer there.
    pub(super) fn forget(&self, name: &str) {
        self.entries().remove(name);
    }

    /// The numbers of all series that some directory still refers to.
    pub(super) fn live(&self) -> RoaringBitmap {
        let mut entries = self.entries();
        entries.dictionaries.retain(|(_, dictionary)| dictionary.strong_count() > 0);
        let mut live = RoaringBitmap::new();
        for dictionary in entries.dictionaries.iter().filter_map(|(_, dictionary)| dictionary.upgrade()) {
            live.extend(dictionary.numbers.iter().copied());
        }
        live
    }

    /// About how many bytes of memory the directories take.
    pub(super) fn bytes(&self) -> usize {
        self.entries().bytes
    }
}

impl Entries {
    fn touch(&mut self, name: &str) -> Option<Arc<Loaded>> {
        self.uses += 1;
        let (loaded, _, used) = self.loaded.get_mut(name)?;
        *used = self.uses;
        Some(Arc::clone(loaded))
    }

    fn dictionary(&mut self, fingerprint: Fingerprint) -> Option<Arc<Dictionary>> {
        self.dictionaries.iter().find(|(known, _)| *known == fingerprint)?.1.upgrade()
    }

    fn remove(&mut self, name: &str) {
        if let Some((_, bytes, _)) = self.loaded.remove(name) {
            self.bytes -= bytes;
        }
    }

    fn insert(&mut self, loaded: Arc<Loaded>) {
        let shared = Arc::strong_count(&loaded.dictionary) > 1;
        let bytes = loaded.layout.memory_bytes() + if shared { 0 } else { loaded.dictionary.memory_bytes() };
        self.remove(&loaded.file.name);
        self.uses += 1;
        self.bytes += bytes;
        self.loaded.insert(loaded.file.name.clone(), (loaded, bytes, self.uses));
        if self.bytes > self.bytes_max {
            self.evict();
        }
    }

    /// Drops the longest unused directories until a quarter of the room is free again; the newest one stays.
    fn evict(&mut self) {
        let mut by_use: Vec<(Reverse<u64>, String)> =
            self.loaded.iter().map(|(name, (_, _, used))| (Reverse(*used), name.clone())).collect();
        by_use.sort();
        while self.bytes > self.bytes_max / 4 * 3 && by_use.len() > 1 {
            if let Some((_, name)) = by_use.pop() {
                self.remove(&name);
            }
        }
        self.dictionaries.retain(|(_, dictionary)| dictionary.strong_count() > 0);
    }
}
