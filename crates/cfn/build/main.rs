//! Generates the resource types out of the vendored schemas.
//!
//! One file a service goes to `OUT_DIR`, with one struct a resource type and one module for its nested types, and one
//! file with the descriptions of all types for what the compiler can't hold. The schemas are the only input.

#![expect(clippy::print_stdout, reason = "cargo reads a build script's instructions from there")]

mod describe;
mod emit;
mod kinds;
mod model;
mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value as Json;

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=schemas");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets the manifest's folder"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets the output folder"));
    let schemas = manifest.join("schemas");
    let source = read_json(&schemas.join("SOURCE.json"));
    let types = source["types"].as_object().expect("`types` is an object");

    // Which types exist has to be known before the first is modelled: references name other types.
    let mut kinds = kinds::Kinds::new(types.keys().map(String::as_str));
    let mut services: BTreeMap<String, Vec<model::Resource>> = BTreeMap::new();
    let mut descriptions = describe::Descriptions::default();
    for (type_name, entry) in types {
        let file = entry["file"].as_str().expect("`file` is text");
        let schema = read_json(&schemas.join(file));
        assert_eq!(schema["typeName"], **type_name, "`{file}` holds another type");
        let resource = model::Resource::new(&schema, &mut kinds);
        descriptions.add(&schema, &entry["regions"]);
        services.entry(resource.service.clone()).or_default().push(resource);
    }
    kinds.assert_all_used();

    let mut index = String::new();
    for (service, resources) in &services {
        write(&out.join(format!("{service}.rs")), &emit::service(resources));
        index.push_str(&emit::module_entry(service, resources));
    }
    write(&out.join("services.rs"), &index);
    write(&out.join("descriptions.rs"), &descriptions.source());
    let all: Vec<&model::Resource> = services.values().flatten().collect();
    write(&out.join("construct_each.rs"), &emit::construct_each(&all));
}

fn read_json(path: &Path) -> Json {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{}` is no JSON: {error}", path.display()))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
}
