//! Templates in folders, as `synth synth` writes them, or single ones in files: the two sides of a comparison without a cloud.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diff::{StackKey, Template};
use infra::environment::Environment;
use serde::Deserialize;

use crate::error::Error;

/// The templates of one side, by stack.
pub(crate) type Side = BTreeMap<StackKey, Template>;

/// The part of an environment's list of files that is read here.
#[derive(Deserialize)]
struct Manifest {
    templates: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    stack: String,
    region: String,
    file: String,
}

/// Reads one side: a folder that `synth synth --out` wrote for `environment`, or a single template.
///
/// An environment that the folder doesn't have is one without stacks: it is made, or goes.
///
/// # Errors
/// There is no such path, or a file in it can't be read or is no template.
pub(crate) fn read(path: &Path, environment: &str) -> Result<Side, Error> {
    if path.is_file() {
        // The same key on both sides, whatever the files are called.
        return Ok(Side::from([(StackKey::new("template", "file"), template(path)?)]));
    }
    let list = path.join(environment).join("manifest.json");
    if !list.is_file() {
        return match fs::read_dir(path) {
            Ok(_) => Ok(Side::new()),
            Err(error) => {
                Err(unreadable(path, error)
                    .hint("write a folder with `synth synth --out <folder>`, or name two templates"))
            }
        };
    }
    let text = fs::read(&list).map_err(|error| unreadable(&list, error))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
        Error::configuration(format!("`{}` is no list of templates", list.display()))
            .caused_by(error)
            .hint("write the folder anew with `synth synth --out <folder>`")
    })?;
    let templates = manifest.templates.into_iter().map(|Listed { stack, region, file }| {
        let inside = Path::new(&file).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return Err(Error::configuration(format!(
                "`{}` names `{file}`, which is no file below it",
                list.display()
            )));
        }
        Ok((StackKey::new(stack, region), template(&path.join(file))?))
    });
    templates.collect()
}

/// What the checkout says.
///
/// # Errors
/// The environment describes no system that can be deployed.
pub(crate) fn of_checkout(environment: &Environment) -> Result<Side, Error> {
    let stacks = crate::deploy::stacks_of(environment)?.into_iter().map(|stack| {
        let template = Template::new(stack.template.document().clone())
            .map_err(|error| Error::internal(format!("the template of {} is none", stack.key)).caused_by(error))?;
        Ok((StackKey::new(stack.key.name, stack.key.region), template))
    });
    stacks.collect()
}

fn template(path: &Path) -> Result<Template, Error> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    Template::parse(&text)
        .map_err(|error| Error::configuration(format!("`{}` can't be compared", path.display())).caused_by(error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    Error::configuration(format!("`{}` can't be read", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = r#"{"Resources": {"A": {"Type": "AWS::SQS::Queue"}}}"#;

    fn error(path: &Path, folder: &Path) -> String {
        read(path, "sandbox").unwrap_err().render().replace(&folder.display().to_string(), "DIR")
    }

    #[test]
    fn a_folder_a_file_or_nothing_is_a_side() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(read(path, "sandbox").unwrap(), Side::new());
        fs::create_dir_all(path.join("sandbox/us-west-2")).unwrap();
        fs::write(path.join("sandbox/us-west-2/data.json"), TEMPLATE).unwrap();
        let list =
            r#"{"templates": [{"stack": "data", "region": "us-west-2", "file": "sandbox/us-west-2/data.json"}]}"#;
        fs::write(path.join("sandbox/manifest.json"), list).unwrap();
        let side = read(path, "sandbox").unwrap();
        assert_eq!(side.keys().map(ToString::to_string).collect::<Vec<_>>(), ["data@us-west-2"]);
        assert_eq!(read(&path.join("sandbox/us-west-2/data.json"), "x").unwrap().len(), 1);
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(error(&path.join("nowhere"), path).contains("`DIR/nowhere` can't be read"));
        fs::create_dir_all(path.join("sandbox")).unwrap();
        for (list, expected) in [
            ("[]", "`DIR/sandbox/manifest.json` is no list of templates"),
            (r#"{"templates": [{"stack": "a", "region": "b", "file": "../x"}]}"#, "no file below it"),
            (r#"{"templates": [{"stack": "a", "region": "b", "file": "x.json"}]}"#, "`DIR/x.json` can't be read"),
        ] {
            fs::write(path.join("sandbox/manifest.json"), list).unwrap();
            assert!(error(path, path).contains(expected), "{}", error(path, path));
        }
        fs::write(path.join("x.json"), "Resources:").unwrap();
        assert!(error(path, path).contains("`DIR/x.json` can't be compared"), "{}", error(path, path));
    }
}
