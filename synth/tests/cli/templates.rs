//! `list`, `synth` and `check` on the committed environments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::run::{checkout, root, synth, synth_in};

#[test]
fn list_and_synth_agree() {
    let checkout = checkout();
    let listed = synth_in(checkout.path(), "list --env production --format json").json();
    let written = synth_in(checkout.path(), "synth --env production --format json").json();
    let stacks = listed["environments"][0]["stacks"].as_array().expect("stacks");
    let templates = written["environments"][0]["templates"].as_array().expect("templates");
    assert!(!stacks.is_empty());
    assert_eq!(stacks.len(), templates.len());
    let access = stacks.iter().find(|stack| stack["stack"] == "access").expect("`access`");
    assert!(access["bytes"].as_u64().is_some_and(|bytes| bytes <= 51_200), "it is sent without white space: {access}");
    for (stack, template) in stacks.iter().zip(templates) {
        for key in ["stack", "region", "name", "depends_on"] {
            assert_eq!(stack[key], template[key], "{key}");
        }
        let file = checkout.path().join("synth.out").join(template["file"].as_str().expect("a path"));
        let text = fs::read_to_string(&file).expect("a template");
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        // What goes without a bucket is sent without white space if it must be.
        let compact = document.to_string().len();
        let sent = if text.len() > 51_200 && compact <= 51_200 { compact } else { text.len() };
        assert_eq!(stack["bytes"], sent, "{}", file.display());
        let resources = document["Resources"].as_object().map_or(0, serde_json::Map::len);
        assert_eq!(stack["resources"], resources, "{}", file.display());
    }
}

#[test]
fn list_is_a_table_for_people() {
    let ended = synth("list");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let mut lines = ended.out.lines();
    assert_eq!(lines.next(), Some("sandbox (local)"));
    let heading: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(heading, ["stack", "region", "resources", "bytes", "after"]);
    for region in ["us-west-2", "us-east-1"] {
        let events = ended.out.lines().any(|line| line.starts_with("events ") && line.contains(region));
        assert!(events, "{}", ended.out);
    }
}

#[test]
fn two_runs_from_two_folders_write_the_same_bytes() {
    let (one, two) = (checkout(), checkout());
    let outputs =
        [one.path().to_owned(), two.path().join("docs/deeper")].map(|folder| synth_in(&folder, "synth --env all"));
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0].code, 0);
    let files = files(&one.path().join("synth.out"));
    assert_eq!(files, self::files(&two.path().join("synth.out")));
    let listed: Vec<&str> = outputs[0].out.lines().collect();
    for file in files.keys().filter(|file| !file.ends_with("manifest.json")) {
        assert!(listed.contains(&format!("synth.out/{file}").as_str()), "{file} was not named");
    }
}

#[test]
fn a_second_run_writes_nothing() {
    let checkout = checkout();
    let times = || {
        synth_in(checkout.path(), "synth");
        let file = checkout.path().join("synth.out/sandbox/us-west-2/data.json");
        fs::metadata(file).and_then(|metadata| metadata.modified()).expect("a template")
    };
    assert_eq!(times(), times());
}

#[test]
fn files_of_stacks_that_are_no_more_are_removed_and_others_stay() {
    let checkout = checkout();
    synth_in(checkout.path(), "synth");
    let out = checkout.path().join("synth.out");
    let manifest = out.join("sandbox/manifest.json");
    let text = fs::read_to_string(&manifest).expect("a list");
    let with_old = text.replacen(
        "\"templates\": [",
        "\"templates\": [\n{\"stack\": \"old\", \"region\": \"us-west-2\", \"name\": \"old\", \
         \"file\": \"sandbox/us-west-2/old.json\", \"depends_on\": []},\n\
         {\"stack\": \"evil\", \"region\": \"us-west-2\", \"name\": \"evil\", \
         \"file\": \"sandbox/../Cargo.toml\", \"depends_on\": []},",
        1,
    );
    fs::write(&manifest, with_old).expect("a file");
    fs::write(out.join("sandbox/us-west-2/old.json"), "{}").expect("a file");
    fs::write(out.join("sandbox/us-west-2/mine.json"), "{}").expect("a file");
    fs::write(out.join("Cargo.toml"), "").expect("a file");
    assert_eq!(synth_in(checkout.path(), "synth").code, 0);
    assert!(!out.join("sandbox/us-west-2/old.json").exists());
    assert!(out.join("sandbox/us-west-2/mine.json").exists());
    assert!(out.join("Cargo.toml").exists());
    assert_eq!(fs::read_to_string(&manifest).expect("a list"), text);
}

#[test]
fn out_is_where_the_files_go() {
    let checkout = checkout();
    let ended = synth_in(&checkout.path().join("docs"), "synth --out mine --check");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.lines().any(|line| line == "mine/sandbox/us-west-2/data.json"), "{}", ended.out);
    assert!(checkout.path().join("docs/mine/sandbox/us-west-2/data.json").is_file());
    assert!(!checkout.path().join("synth.out").exists());
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let ended = synth_in(&root(), "synth --out Cargo.toml");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(ended.err.starts_with("configuration error: cannot write `Cargo.toml/sandbox/"), "{}", ended.err);
}

#[test]
fn the_committed_environments_break_no_rule() {
    let ended = synth("check --format json");
    let findings = ended.json();
    assert_eq!((ended.code, &findings["errors"]), (0, &serde_json::json!(0)), "{findings:#}");
    assert_eq!(findings["environments"], 3);
    assert!(synth("check").out.contains("in 3 environments: no error"));
}

/// Every file below `folder` by its path there.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}
