//! FileWatch: targets in JSON and YAML files. Polled; a file with a fault keeps the targets it last gave.
//!
//! Files are polled by size and time of change, not watched through the kernel: that also works on network disks and for
//! the symbolic links that Kubernetes swaps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use crate::config::{FileSdConfig, Reader, TargetGroup, read_group};
use crate::glob::glob;

/// Largest file of targets, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The label that names the file a target came from.
const FILE_LABEL: &str = "__meta_filepath";

/// The files of one job.
#[derive(Debug)]
pub(crate) struct FileWatch {
    configs: Vec<FileSdConfig>,
    files: BTreeMap<PathBuf, Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    stamp: Option<(SystemTime, u64)>,
    groups: Vec<TargetGroup>,
}

impl FileWatch {
    pub(crate) fn new(configs: Vec<FileSdConfig>) -> FileWatch {
        FileWatch { configs, files: BTreeMap::new() }
    }

    /// The shortest `refresh_interval`, in milliseconds.
    pub(crate) fn refresh_interval_ms(&self) -> u64 {
        let intervals = self.configs.iter().map(|config| config.refresh_interval_ms);
        intervals.min().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
    }

    /// Looks at the files; `all`: reads them even if they look unchanged. `true` when targets may have changed.
    pub(crate) fn poll(&mut self, all: bool) -> bool {
        let mut paths: Vec<PathBuf> =
            self.configs.iter().flat_map(|config| &config.files).flat_map(|pattern| glob(pattern)).collect();
        paths.sort();
        paths.dedup();
        let before = self.files.len();
        self.files.retain(|path, _| paths.binary_search(path).is_ok());
        let mut changed = self.files.len() != before;
        for path in paths {
            let stamp = stamp(&path);
            let watched = self.files.entry(path.clone()).or_default();
            if !all && stamp.is_some() && watched.stamp == stamp {
                continue;
            }
            watched.stamp = stamp;
            match read(&path) {
                Ok(groups) => {
                    changed |= watched.groups != groups;
                    watched.groups = groups;
                }
                Err(error) => tracing::warn!(%error, "file of targets not read, its last targets stay"),
            }
        }
        changed
    }

    /// The targets of all files.
    pub(crate) fn groups(&self) -> Vec<TargetGroup> {
        self.files.values().flat_map(|watched| watched.groups.iter().cloned()).collect()
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Why a file of targets was not read.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: expected at most {FILE_BYTES_MAX} bytes, found {size}", path.display())]
    Size { path: PathBuf, size: u64 },
    #[error("{}: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{0}")]
    Yaml(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonGroup {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > FILE_BYTES_MAX {
        return Err(FileError::Size { path: path.to_owned(), size });
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let mut groups = if is_json { read_json(path, &text)? } else { read_yaml(path, &text)? };
    for group in &mut groups {
        group.labels.retain(|(name, _)| name != FILE_LABEL);
        group.labels.push((FILE_LABEL.to_owned(), path.display().to_string()));
        group.labels.sort();
    }
    Ok(groups)
}

fn read_json(path: &Path, text: &str) -> Result<Vec<TargetGroup>, FileError> {
    let groups: Vec<JsonGroup> =
        serde_json::from_str(text).map_err(|source| FileError::Json { path: path.to_owned(), source })?;
    let groups = groups.into_iter();
    Ok(groups
        .map(|group| TargetGroup { targets: group.targets, labels: group.labels.into_iter().collect() })
        .collect())
}

fn read_yaml(path: &Path, text: &str) -> Result<Vec<TargetGroup>, FileError> {
    let mut reader = Reader::new(&path.display().to_string(), text);
    let mut groups = Vec::new();
    if let Some(root) = reader.parse() {
        for (item, at) in reader.items(&root, "") {
            groups.extend(read_group(&mut reader, item, &at, false));
        }
    }
    match reader.finish().0.first() {
        Some(fault) => Err(FileError::Yaml(fault.headline())),
        None => Ok(groups),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_change_break_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let config = FileSdConfig {
            files: vec![dir.path().join("*.yml"), dir.path().join("a.json")],
            refresh_interval_ms: 1,
        };
        let mut watch = FileWatch::new(vec![config]);
        let targets = |watch: &FileWatch| -> Vec<String> {
            watch.groups().iter().flat_map(|group| group.targets.clone()).collect()
        };
        assert!(!watch.poll(false));

        let yaml = dir.path().join("b.yml");
        std::fs::write(&yaml, "- targets: [b:1, 'b:2']\n  labels: {zone: x}\n").unwrap();
        std::fs::write(dir.path().join("a.json"), r#"[{"targets": ["a:1"], "labels": {"x": "\u00e9"}}]"#)
            .unwrap();
        assert!(watch.poll(false));
        assert_eq!(targets(&watch), ["a:1", "b:1", "b:2"]);
        let labels = &watch.groups()[1].labels;
        assert_eq!(labels[0], (FILE_LABEL.to_owned(), yaml.display().to_string()));
        assert_eq!(labels[1], ("zone".to_owned(), "x".to_owned()));
        assert!(!watch.poll(false), "nothing changed");
        assert!(!watch.poll(true), "read again, and nothing changed");

        for broken in ["- targets: [b:3", "- target: [b:3]", "targets: [b:3]", "- targets: {a: b}"] {
            std::fs::write(&yaml, broken).unwrap();
            watch.poll(true);
            assert_eq!(targets(&watch), ["a:1", "b:1", "b:2"], "{broken}");
        }
        std::fs::remove_file(&yaml).unwrap();
        assert!(watch.poll(false));
        assert_eq!(targets(&watch), ["a:1"]);
    }
}
