//! Keeps the records and pages of the last deployments in the environment's state folder.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::page::page;
use super::record::{Record, RunResult};

/// How many deployments are kept.
const KEPT: usize = 20;

/// A page or record that can't be written.
#[derive(Debug, thiserror::Error)]
#[error("{path} can't be written")]
pub(crate) struct KeepError {
    path: PathBuf,
    source: io::Error,
}

/// Writes the record and its page into `folder`, and to `copy` as well, beside which the record gets the ending `json`;
/// gives where the page is. Of older ones only the last few stay.
pub(crate) fn keep(record: &Record, folder: &Path, copy: Option<&Path>) -> Result<PathBuf, KeepError> {
    let html = page(record);
    let mut json = serde_json::to_string_pretty(record).expect("a record has only text keys");
    json.push('\n');
    let result = match record.result {
        RunResult::Succeeded => "succeeded",
        RunResult::Unchanged => "unchanged",
        RunResult::Failed => "failed",
        RunResult::Interrupted => "interrupted",
    };
    let name = format!("{}-{result}.html", record.started_at.strftime("%Y-%m-%dT%H-%M-%S.%3fZ"));
    let own = folder.join(name);
    for path in [Some(own.as_path()), copy].into_iter().flatten() {
        write(path, &html)?;
        write(&path.with_extension("json"), &json)?;
    }
    remove_old(folder);
    Ok(copy.map_or(own, Path::to_owned))
}

fn write(path: &Path, text: &str) -> Result<(), KeepError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let written = parent.map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|source| KeepError { path: path.to_owned(), source })
}

/// Names begin with the time, so they sort by it. What can't be removed costs disk space and nothing else.
fn remove_old(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let is_ours = |path: &&PathBuf| {
        let ending = path.extension().and_then(OsStr::to_str);
        matches!(ending, Some("html" | "json"))
    };
    let stems: BTreeSet<&OsStr> = paths.iter().filter(is_ours).filter_map(|path| path.file_stem()).collect();
    let old: BTreeSet<&OsStr> = stems.iter().rev().skip(KEPT).copied().collect();
    for path in paths.iter().filter(is_ours).filter(|path| path.file_stem().is_some_and(|stem| old.contains(stem))) {
        let _ = fs::remove_file(path);
    }
}
