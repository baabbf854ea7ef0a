//! Showing the logs of a platform's processes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::folder::Folder;
use super::problem::Problem;
use crate::ui::Ui;

/// How often a followed log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The end of a log that is read to find its last lines; bytes.
const TAIL: u64 = 1 << 20;

/// Writes the last `lines` lines of one log (or all) to stdout, and what follows until Ctrl-C if asked.
pub(crate) async fn show(
    ui: &Ui,
    folder: &Folder,
    which: Option<&str>,
    follow: bool,
    lines: usize,
) -> Result<(), Problem> {
    let mut logs = available(folder)?;
    if let Some(which) = which {
        let meant = meant(&logs, which)?;
        logs.retain(|name, _| *name == meant);
    }
    let prefixed = logs.len() > 1;
    let print = |name: &str, line: &str| {
        if prefixed {
            ui.answer(&format!("[{name}] {line}"));
        } else {
            ui.answer(line);
        }
    };
    let mut ends = BTreeMap::new();
    for (name, path) in &logs {
        let (text, end) = read_tail(path)?;
        for line in last_lines(&text, lines) {
            print(name, line);
        }
        ends.insert(name.clone(), end);
    }
    while follow && !ui.is_closed() {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(LOOK_EVERY) => (),
        }
        for (name, path) in &logs {
            let end = ends.entry(name.clone()).or_default();
            for line in read_new(path, end)?.lines() {
                print(name, line);
            }
        }
    }
    Ok(())
}

/// The last `count` lines of a log, for error messages; empty if it can't be read.
pub(crate) fn tail(path: &Path, count: usize) -> String {
    let text = read_tail(path).map(|(text, _)| text).unwrap_or_default();
    last_lines(&text, count).join("\n")
}

/// The log of that very name, or the only one whose name begins with `which`: `consumer` is `consumer-us-west-2`.
fn meant(logs: &BTreeMap<String, PathBuf>, which: &str) -> Result<String, Problem> {
    if logs.contains_key(which) {
        return Ok(which.to_owned());
    }
    let list = |names: &[&str]| names.join(", ");
    let all: Vec<&str> = logs.keys().map(String::as_str).collect();
    let fitting: Vec<&str> = all.iter().copied().filter(|name| name.starts_with(which)).collect();
    let available = match (fitting.as_slice(), all.as_slice()) {
        ([only], _) => return Ok((*only).to_owned()),
        (_, []) => "there are none yet".to_owned(),
        ([], all) => format!("there are: {}", list(all)),
        (several, _) => format!("several begin so: {}", list(several)),
    };
    Err(Problem::NoSuchLog { which: which.to_owned(), available })
}

fn available(folder: &Folder) -> Result<BTreeMap<String, PathBuf>, Problem> {
    let logs = folder.logs();
    let entries = match fs::read_dir(&logs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => {
            return Err(Problem::File { action: "read", path: logs, source });
        }
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let named = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log")).filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        Some((name, path))
    });
    Ok(named.collect())
}

fn last_lines(text: &str, count: usize) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

/// The end of the file as text, and its length.
fn read_tail(path: &Path) -> Result<(String, u64), Problem> {
    let failed = |source| Problem::File { action: "read", path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    let mut end = length.saturating_sub(TAIL);
    let text = read_new(path, &mut end)?;
    Ok((text, end))
}

/// What was added after `end`, up to the last whole line; moves `end`.
fn read_new(path: &Path, end: &mut u64) -> Result<String, Problem> {
    let failed = |source| Problem::File { action: "read", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length < *end {
        // The log was moved aside and begins anew.
        *end = 0;
    }
    file.seek(SeekFrom::Start(*end)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).map_err(failed)?;
    let last_break = bytes.iter().rposition(|byte| *byte == b'\n');
    // A line beyond the limit is shown in parts: waiting for its end would wait for ever.
    let partial = if bytes.len() as u64 == TAIL { bytes.len() } else { 0 };
    let whole = last_break.map_or(partial, |position| position + 1);
    *end += whole as u64;
    Ok(String::from_utf8_lossy(&bytes[..whole]).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::ui::Format;

    fn folder(checkout: &Path) -> Folder {
        let folder = Folder::of(checkout, "sandbox").expect("a good name");
        folder.create().expect("writable");
        folder
    }

    #[tokio::test]
    async fn the_last_lines_of_one_log_come_plain_and_of_several_with_their_names() {
        let checkout = tempfile::tempdir().expect("a folder");
        let folder = folder(checkout.path());
        fs::write(folder.log("broker"), "one\ntwo\nthree\n").expect("writable");
        fs::write(folder.log("emulator"), "four\n").expect("writable");
        for (which, expected) in
            [(Some("broker"), "two\nthree\n"), (None, "[broker] two\n[broker] three\n[emulator] four\n")]
        {
            let (ui, buffers) = Ui::buffered(Format::Human);
            show(&ui, &folder, which, false, 2).await.expect("readable");
            assert_eq!(buffers.out(), expected);
        }
        let problem =
            show(&Ui::buffered(Format::Human).0, &folder, Some("brokr"), false, 2).await.expect_err("there is none");
        assert_eq!(problem.to_string(), "there is no log of `brokr`; there are: broker, emulator");
    }

    #[test]
    fn a_beginning_that_fits_one_log_is_enough() {
        let logs = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), PathBuf::new())).collect();
        let one = logs(&["broker", "consumer-us-west-2", "emulator"]);
        assert_eq!(meant(&one, "consumer").expect("one fits"), "consumer-us-west-2");
        assert_eq!(meant(&logs(&["a", "a-b"]), "a").expect("the very name"), "a");
        let two = logs(&["consumer-us-east-1", "consumer-us-west-2"]);
        let problem = meant(&two, "consumer").expect_err("two fit");
        assert!(problem.to_string().ends_with("several begin so: consumer-us-east-1, consumer-us-west-2"), "{problem}");
    }

    #[test]
    fn only_whole_lines_are_taken_and_a_new_beginning_is_noticed() {
        let checkout = tempfile::tempdir().expect("a folder");
        let path = checkout.path().join("a.log");
        let mut file = File::create(&path).expect("writable");
        let mut end = 0;
        file.write_all(b"one\ntw").expect("writable");
        assert_eq!(read_new(&path, &mut end).expect("readable"), "one\n");
        file.write_all(b"o\n").expect("writable");
        assert_eq!(read_new(&path, &mut end).expect("readable"), "two\n");
        assert_eq!(read_new(&path, &mut end).expect("readable"), "");
        fs::write(&path, "new\n").expect("writable");
        assert_eq!(read_new(&path, &mut end).expect("readable"), "new\n");
    }
}
