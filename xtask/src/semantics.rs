//! Checks that each test that `docs/semantics.md` names is there.
//!
//! The page promises something and says which test fails when that is broken. A test that was renamed or removed would
//! leave a promise that nobody checks, so names are looked up in the sources. That the named test shows the promise is for
//! people to see.
//!
//! Sources are read line by line, which is enough because all of them have passed `rustfmt`.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Columns of the page's tables that hold nothing but names of tests and words about them.
const COLUMNS: [&str; 4] = ["tests", "any bytes", "damaged samples", "memory bound"];

/// The sentence of a section that says where its tests are; the crate's name follows.
const DEFAULT_CRATE: &str = "Tests are in the crate `";

/// Where packages are, from the root of the workspace.
const PACKAGES: [&str; 6] = ["crates/*", "functions/*", "infra", "consumer", "synth", "xtask"];

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("tests are named that aren't there; mend the name, or write the test:\n{}", .0.join("\n"))]
    Missing(Vec<String>),
    #[error("`docs/semantics.md` names {0} tests only, so its tables weren't understood")]
    TooFew(usize),
}

/// Looks up each name of the page.
pub(crate) fn check() -> Result<String, Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    let page = "docs/semantics.md";
    let names = names(&read(&root.join(page))?);
    if names.len() < 100 {
        return Err(Error::TooFew(names.len()));
    }
    let tests = tests(root)?;
    let missing = missing(page, &names, &tests);
    match missing.is_empty() {
        true => Ok(format!("{page}: {} names of tests, all there", names.len())),
        false => Err(Error::Missing(missing)),
    }
}

/// A name in the page.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    line: usize,
    /// The crate that the section's tests are in, if it says so.
    default_crate: Option<String>,
    /// Its parts; `*` stands for any one.
    parts: Vec<String>,
}

/// All names in the columns for tests.
fn names(page: &str) -> Vec<Name> {
    let mut names = Vec::new();
    let (mut default_crate, mut columns) = (None, None);
    for (index, line) in page.lines().enumerate() {
        if line.starts_with("## ") {
            default_crate = None;
        }
        if let Some((_, rest)) = line.split_once(DEFAULT_CRATE) {
            default_crate = rest.split('`').next().map(str::to_owned);
        }
        let Some(cells) = cells(line) else {
            columns = None;
            continue;
        };
        let columns: &Vec<usize> = columns.get_or_insert_with(|| {
            let is_for_tests = |(_, cell): &(usize, &String)| COLUMNS.contains(&cell.trim());
            cells.iter().enumerate().filter(is_for_tests).map(|(column, _)| column).collect()
        });
        for cell in columns.iter().filter_map(|column| cells.get(*column)) {
            let quoted = cell.split('`').skip(1).step_by(2);
            names.extend(quoted.flat_map(expanded).map(|path| Name {
                line: index + 1,
                default_crate: default_crate.clone(),
                parts: path.split("::").map(str::to_owned).collect(),
            }));
        }
    }
    names
}

/// The cells of a table's row; a bar in backticks parts none. Nothing for other lines.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.trim().strip_prefix('|')?.trim_end_matches('|');
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    for character in row.chars() {
        is_quoted ^= character == '`';
        match (character, cells.last_mut()) {
            ('|', _) if !is_quoted => cells.push(String::new()),
            (_, Some(cell)) => cell.push(character),
            (_, None) => {}
        }
    }
    Some(cells)
}

/// A path with its first list in braces written out, for each of the list and of all that follow.
fn expanded(path: &str) -> Vec<String> {
    let list = path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match list {
        None => vec![path.to_owned()],
        Some((before, (list, after))) => {
            list.split(',').flat_map(|item| expanded(&format!("{before}{}{after}", item.trim()))).collect()
        }
    }
}

/// A test in the sources.
#[derive(Debug)]
struct Test {
    /// Of its package.
    crate_name: String,
    /// Modules and name, from the package's root or the integration test's file on.
    path: Vec<String>,
    /// The file's text, where a macro's modules get their names.
    source: std::sync::Arc<str>,
}

impl Test {
    /// Whether the test's path ends like this.
    fn ends_with(&self, parts: &[String]) -> bool {
        let is_same = |own: &String, part: &String| {
            part == "*" || own == part || (own.starts_with('$') && words(&self.source).any(|word| word == part))
        };
        self.path.len() >= parts.len()
            && self.path.iter().rev().zip(parts.iter().rev()).all(|(own, part)| is_same(own, part))
    }

    fn full_name(&self) -> String {
        format!("{}::{}", self.crate_name, self.path.join("::"))
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
}

/// Of a name that no test has: where it is, and the nearest that there is.
fn missing(page: &str, names: &[Name], tests: &[Test]) -> Vec<String> {
    let is_there = |name: &Name| {
        tests.iter().any(|test| {
            let is_default = name.default_crate.as_ref() == Some(&test.crate_name);
            let is_named = name.parts.first().is_some_and(|first| first.replace('_', "-") == test.crate_name);
            // One part alone could be anything; a path says at least the module or the crate.
            name.parts.len() > 1
                && (is_default && test.ends_with(&name.parts) || is_named && test.ends_with(&name.parts[1..]))
        })
    };
    let mut missing = Vec::new();
    for name in names.iter().filter(|name| !is_there(name)) {
        let text = name.parts.join("::");
        let with_crate = name.default_crate.iter().map(|default| format!("{default}::{text}")).next();
        let distance = |test: &&Test| {
            let full = test.full_name();
            let candidates = [Some(&text), with_crate.as_ref()].into_iter().flatten();
            candidates.map(|candidate| distance(candidate, &full)).min()
        };
        let mut line = format!("  {page}:{}: no test `{text}`", name.line);
        if let Some(nearest) = tests.iter().min_by_key(distance) {
            // Writing to a string cannot fail.
            let _ = write!(line, "; the nearest is `{}`", nearest.full_name());
        }
        missing.push(line);
    }
    missing
}

/// How many letters must be put in, taken out or changed to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// All tests of the workspace.
fn tests(root: &Path) -> Result<Vec<Test>, Error> {
    let mut packages = Vec::new();
    for place in PACKAGES {
        match place.strip_suffix("/*") {
            Some(folder) => packages.extend(entries(&root.join(folder))?),
            None => packages.push(root.join(place)),
        }
    }
    let mut tests = Vec::new();
    for package in packages.iter().filter(|package| package.join("Cargo.toml").exists()) {
        let crate_name = package.file_name().unwrap_or_default().to_string_lossy();
        for folder in [package.join("src"), package.join("tests")].iter().filter(|folder| folder.exists()) {
            let mut files = Vec::new();
            rust_files(folder, &mut files)?;
            for file in files {
                let modules = modules_of_file(file.strip_prefix(folder).unwrap_or(&file));
                tests.extend(tests_of_file(&crate_name, &modules, &read(&file)?));
            }
        }
    }
    Ok(tests)
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = || std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut entries = read().map_err(|source| Error::Read { path: folder.to_owned(), source })?;
    entries.sort();
    Ok(entries)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for path in entries(folder)? {
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The module that a file is, by its place in `src` or `tests`.
fn modules_of_file(file: &Path) -> Vec<String> {
    let file = file.with_extension("");
    let mut modules: Vec<String> = file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if modules.last().is_some_and(|last| matches!(last.as_str(), "lib" | "main" | "mod")) {
        modules.pop();
    }
    modules
}

/// The tests of a file: functions under an attribute `test`, in the modules that are open there. Modules of a macro keep the
/// macro's name for them, which begins with `$`.
fn tests_of_file(crate_name: &str, modules: &[String], source: &str) -> Vec<Test> {
    let text: std::sync::Arc<str> = source.into();
    let mut tests = Vec::new();
    // Each with what ends it: a brace as far in as its first line.
    let mut open: Vec<(String, String)> = Vec::new();
    let mut is_test = false;
    for line in source.lines() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        if open
            .last()
            .is_some_and(|(_, end)| line == end || line.strip_prefix(end).is_some_and(|rest| rest.starts_with(')')))
        {
            open.pop();
        } else if let Some(module) = opened_module(code) {
            open.push((module.to_owned(), format!("{indent}}}")));
        } else if code == "#[test]" || code.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && let Some(name) = function(code) {
            let inner = open.iter().map(|(module, _)| module.clone());
            let path = modules.iter().cloned().chain(inner).chain([name.to_owned()]).collect();
            tests.push(Test { crate_name: crate_name.to_owned(), path, source: std::sync::Arc::clone(&text) });
            is_test = false;
        }
    }
    tests
}

/// The name of the module that a line opens.
fn opened_module(code: &str) -> Option<&str> {
    let (before, name) = code.strip_suffix(" {")?.split_once("mod ")?;
    matches!(before, "" | "$(" | "pub " | "pub(crate) " | "pub(super) ").then_some(name)
}

/// The name of the function that a line begins.
fn function(code: &str) -> Option<&str> {
    let code = code.strip_prefix("async ").unwrap_or(code);
    code.strip_prefix("fn ")?.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
macro_rules! laws {
    ($($law:ident),*) => {
        $(mod $law {
            #[test]
            fn holds() {}
        })*
    };
}
laws!(gravity);

fn helper() {}

#[cfg(test)]
mod tests {
    #[test]
    fn first() {}

    fn no_test() {}

    proptest! {
        /// Says why.
        #[test]
        fn property(a in any::<u8>()) {}
    }

    mod deeper {
        #[tokio::test(start_paused = true)]
        #[expect(clippy::unwrap_used, reason = \"a test\")]
        async fn waits() {}
    }

    #[test]
    fn last() {}
}
";

    fn sources() -> Vec<Test> {
        let modules = modules_of_file(Path::new("kinds/email.rs"));
        let mut tests = tests_of_file("event-transformer", &modules, SOURCE);
        tests.extend(tests_of_file("aws", &modules_of_file(Path::new("stream.rs")), "#[test]\nfn other() {}\n"));
        tests
    }

    /// What is said of a page with one table.
    fn check(cell: &str) -> Vec<String> {
        let page = format!(
            "## A\n\nTests are in the crate `event-transformer` unless\n\n| promise | tests |\n|---|---|\n| `x::y` | {cell} |\n"
        );
        missing("page.md", &names(&page), &sources())
    }

    #[test]
    fn tests_are_found_by_file_and_module() {
        let found: Vec<String> = sources().iter().map(Test::full_name).collect();
        let own = |rest: &str| format!("event-transformer::kinds::email::{rest}");
        let expected = ["tests::first", "tests::property", "tests::deeper::waits", "tests::last"].map(own);
        assert_eq!(found[0], own("$law::holds"));
        assert_eq!(found[1..5], expected);
        assert_eq!(found[5..], ["aws::stream::other"]);
        for (file, modules) in
            [("lib.rs", ""), ("a/mod.rs", "a"), ("a/b.rs", "a::b"), ("main.rs", ""), ("it/main.rs", "it")]
        {
            assert_eq!(modules_of_file(Path::new(file)).join("::"), modules, "{file}");
        }
    }

    #[test]
    fn names_that_are_right_pass() {
        for good in [
            "`kinds::email::tests::first`",
            "`email::tests::property`, and with words `event_transformer::kinds::email::tests::last`",
            "`kinds::email::tests::deeper::{waits}`",
            "`email::tests::{first,last}`",
            "`kinds::*::tests::first`",
            "`email::gravity::holds`, `email::*::holds`",
            "`aws::stream::other`",
        ] {
            assert_eq!(check(good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn names_that_are_wrong_are_told_with_their_place_and_the_nearest() {
        for (bad, nearest) in [
            ("kinds::email::tests::fist", "event-transformer::kinds::email::tests::first"),
            ("kinds::*::tests::lost", "event-transformer::kinds::email::tests::last"),
            ("aws::stream::othr", "aws::stream::other"),
            ("stream::other", "aws::stream::other"),
        ] {
            let expected = format!("  page.md:7: no test `{bad}`; the nearest is `{nearest}`");
            assert_eq!(check(&format!("`{bad}`")), [expected]);
        }
    }

    #[test]
    fn only_whole_paths_of_tests_are_names() {
        for bad in ["first", "email::tests::no_test", "email::helper", "email::levity::holds", "mail::tests::first"] {
            assert_eq!(check(&format!("`{bad}`")).len(), 1, "{bad}");
        }
        let said = check("`email::tests::{first,second,last}`");
        assert!(said.len() == 1 && said[0].contains("`email::tests::second`"), "{said:?}");
    }

    #[test]
    fn only_columns_of_tests_are_read_and_each_section_has_its_crate() {
        let page = "| parser | any bytes | memory bound | note |\n|---|---|---|---|\n| `a\\|b` | `a::x` | `a::{y,z}` | `n::n` |\n\n\
                    | what | figure |\n|---|---|\n| `p::q` | `r::s` |\n\n## B\nTests are in the crate `b`.\n| tests |\n|---|\n| `t` |\n## C\n| tests |\n|---|\n| `u` |\n";
        let found: Vec<(usize, Option<String>, String)> =
            names(page).into_iter().map(|name| (name.line, name.default_crate, name.parts.join("::"))).collect();
        let b = Some("b".to_owned());
        let expected = [(3, None, "a::x"), (3, None, "a::y"), (3, None, "a::z"), (13, b, "t"), (17, None, "u")];
        assert_eq!(found, expected.map(|(line, default, text)| (line, default, text.to_owned())));
    }

    #[test]
    fn the_page_names_tests_that_are_there() {
        if let Err(error) = super::check() {
            panic!("{error}");
        }
    }
}
