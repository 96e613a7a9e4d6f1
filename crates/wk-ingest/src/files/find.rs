//! Finding the files that globs name.

use std::path::{Path, PathBuf};

use regex::Regex;

/// How many entries of one folder are looked at.
const ENTRIES_MAX: usize = 10_000;

/// The regular files that the globs name, sorted, at most `files_max`; compressed and rotated ones are left out.
pub fn files(globs: &[String], files_max: usize) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = globs.iter().flat_map(|glob| matching(glob)).collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|path| is_followed(path));
    found.truncate(files_max);
    found
}

fn matching(glob: &str) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from(if glob.starts_with('/') { "/" } else { "." })];
    for part in glob.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?']) {
            for path in &mut paths {
                path.push(part);
            }
            continue;
        }
        let Some(pattern) = pattern(part) else { return Vec::new() };
        paths = paths.iter().flat_map(|folder| entries(folder, &pattern)).collect();
    }
    paths.retain(|path| path.is_file());
    paths
}

fn entries(folder: &Path, pattern: &Regex) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().take(ENTRIES_MAX).filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| pattern.is_match(name)).map(|name| folder.join(name)).collect()
}

fn pattern(part: &str) -> Option<Regex> {
    let body: String = part
        .chars()
        .map(|c| match c {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            other => regex::escape(&other.to_string()),
        })
        .collect();
    Regex::new(&format!("^(?s:{body})$")).ok()
}

/// Tells whether a file is a log that is still written, by its name.
fn is_followed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let extension = name.rsplit('.').next().unwrap_or("");
    let is_rotated = extension.bytes().all(|byte| byte.is_ascii_digit())
        || name.contains(".log-20")
        || matches!(extension, "old" | "gz" | "xz" | "bz2" | "zst" | "lz4" | "tmp" | "swp");
    !is_rotated && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_name_logs_that_are_still_written() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["a.log", "b.log", "a.log.1", "a.log.2.gz", "a.log-20260601", "syslog", "x/c.log", "y/c.log", ".h.log"]
        {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let root = folder.path().to_str().unwrap();
        let named = |globs: &[&str]| -> Vec<String> {
            let globs: Vec<String> = globs.iter().map(|glob| format!("{root}/{glob}")).collect();
            let relative = |path: PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files(&globs, 100).into_iter().map(relative).collect()
        };
        assert_eq!(named(&["*"]), ["a.log", "b.log", "syslog"]);
        assert_eq!(named(&["syslog", "?.log", "a.log", "none"]), ["a.log", "b.log", "syslog"]);
        assert_eq!(named(&["*/c.log"]), ["x/c.log", "y/c.log"]);
        assert_eq!(files(&[format!("{root}/*")], 1).len(), 1);
    }

    #[test]
    fn characters_of_regular_expressions_stand_for_themselves() {
        let pattern = pattern("a+(b).*").unwrap();
        assert!(pattern.is_match("a+(b).log"));
        assert!(!pattern.is_match("aab.log"));
    }
}
