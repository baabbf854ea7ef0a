//! The checkout that the tool works on, and the environments in it.

use std::fs;
use std::path::{Path, PathBuf};

use infra::environment::Environment;

use crate::error::Error;

/// The environment that is meant when none is named.
const DEFAULT_ENVIRONMENT: &str = "sandbox";
/// Means every environment, where a command takes several.
const ALL: &str = "all";

/// The root of a checkout: the folder with `Cargo.toml` and `environments/`.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// The checkout around the current folder.
    ///
    /// # Errors
    /// Neither the current folder nor one above it is a checkout.
    pub(crate) fn find() -> Result<Self, Error> {
        let folder = std::env::current_dir()
            .map_err(|error| Error::configuration("cannot tell the current folder").caused_by(error))?;
        Self::around(&folder)
    }

    /// The checkout whose root is `folder` or the nearest folder above it.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn around(folder: &Path) -> Result<Self, Error> {
        let is_root = |folder: &&Path| folder.join("Cargo.toml").is_file() && folder.join("environments").is_dir();
        let root = folder.ancestors().find(is_root).ok_or_else(|| {
            let folder = folder.display();
            Error::configuration(format!(
                "`{folder}` is in no checkout: no folder above it has `Cargo.toml` and `environments/`"
            ))
            .hint("change into a folder of the checkout")
        })?;
        Ok(Self { root: root.to_owned() })
    }

    /// The root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The one environment that a command works on; the default one when none is named.
    ///
    /// # Errors
    /// Several are named, there is no such environment, or its file has mistakes (all of them are said).
    pub(crate) fn environment(&self, named: &[String]) -> Result<Environment, Error> {
        let name = match named {
            [] => DEFAULT_ENVIRONMENT,
            [name] if name != ALL => name,
            _ => {
                return Err(Error::usage("this command works on one environment at a time")
                    .hint("name one environment: `--env sandbox`"));
            }
        };
        let mut environments = self.load(&[name.to_owned()])?;
        environments.pop().ok_or_else(|| Error::internal(format!("environment `{name}` was not loaded")))
    }

    /// The one environment that a command works on, when it is one that can be deployed as it is.
    ///
    /// # Errors
    /// As [`Self::environment`], or its account is a placeholder.
    pub(crate) fn deployable_environment(&self, named: &[String]) -> Result<Environment, Error> {
        let environment = self.environment(named)?;
        environment.deployable().map_err(|mistake| {
            Error::configuration(format!("environment `{}` is in no account yet", environment.environment_name()))
                .detail(mistake.to_string())
        })?;
        Ok(environment)
    }

    /// The environments that a command works on; the default one when none is named.
    ///
    /// # Errors
    /// There is no such environment, or a file has mistakes (all mistakes of all files are said).
    pub(crate) fn environments(&self, named: &[String]) -> Result<Vec<Environment>, Error> {
        if named.is_empty() {
            self.load(&[DEFAULT_ENVIRONMENT.to_owned()])
        } else if named.iter().any(|name| name == ALL) {
            self.all_environments()
        } else {
            self.load(named)
        }
    }

    /// Every environment, in the order of names.
    ///
    /// # Errors
    /// A file has mistakes (all mistakes of all files are said).
    pub(crate) fn all_environments(&self) -> Result<Vec<Environment>, Error> {
        self.load(&self.names()?)
    }

    fn load(&self, names: &[String]) -> Result<Vec<Environment>, Error> {
        let mut environments: Vec<Environment> = Vec::new();
        let mut mistakes = Vec::new();
        for name in names {
            let text = self.read(name)?;
            match Environment::parse(&format!("environments/{name}.toml"), &text) {
                Ok(environment) if environments.contains(&environment) => {}
                Ok(environment) => environments.push(environment),
                Err(found) => mistakes.extend(found),
            }
        }
        if mistakes.is_empty() {
            return Ok(environments);
        }
        let message = match mistakes.len() {
            1 => "there is a mistake in the environment".to_owned(),
            count => format!("there are {count} mistakes in the environment"),
        };
        let error = Error::configuration(message);
        Err(mistakes.iter().fold(error, |error, mistake| error.detail(mistake.to_string())))
    }

    fn read(&self, name: &str) -> Result<String, Error> {
        let path = self.root.join("environments").join(format!("{name}.toml"));
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !plain || !path.is_file() {
            let known = self.names()?.join(", ");
            return Err(Error::usage(format!("there is no environment `{name}`")).hint(format!("there are: {known}")));
        }
        fs::read_to_string(&path)
            .map_err(|error| Error::configuration(format!("cannot read `environments/{name}.toml`")).caused_by(error))
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let unreadable = |error| Error::configuration("cannot read the folder `environments/`").caused_by(error);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join("environments")).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(name) = stem.filter(|_| path.extension().is_some_and(|ending| ending == "toml")) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("Cargo.toml"), "").expect("a file");
        fs::create_dir_all(folder.path().join("environments/deeper")).expect("folders");
        for (name, text) in files {
            fs::write(folder.path().join("environments").join(name), text).expect("a file");
        }
        folder
    }

    #[test]
    fn the_root_is_found_from_below() {
        let folder = checkout(&[]);
        let found = Checkout::around(&folder.path().join("environments/deeper")).expect("a checkout");
        assert_eq!(found.root(), folder.path());
    }

    #[test]
    fn elsewhere_is_no_checkout() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = Checkout::around(folder.path()).expect_err("no checkout");
        assert!(error.to_string().contains("is in no checkout"), "{error}");
    }

    #[test]
    fn an_unknown_environment_names_the_known_ones() {
        let folder = checkout(&[("one.toml", ""), ("two.toml", ""), ("notes.txt", "")]);
        let checkout = Checkout::around(folder.path()).expect("a checkout");
        for name in ["three", "", "../Cargo", "deeper"] {
            let error = checkout.environment(&[name.to_owned()]).expect_err(name);
            assert_eq!(error.to_string(), format!("there is no environment `{name}`"));
            assert_eq!(error.hints(), ["there are: one, two"]);
        }
    }

    #[test]
    fn mistakes_of_all_files_are_said_together() {
        let folder = checkout(&[("one.toml", "name = 1"), ("two.toml", "name = 2")]);
        let error =
            Checkout::around(folder.path()).and_then(|checkout| checkout.all_environments()).expect_err("mistakes");
        for file in ["environments/one.toml:1: `name` is 1", "environments/two.toml:1: `name` is 2"] {
            assert!(error.details().iter().any(|detail| detail.starts_with(file)), "{:?}", error.details());
        }
    }

    #[test]
    fn one_environment_at_a_time_where_a_command_changes_things() {
        let folder = checkout(&[]);
        let checkout = Checkout::around(folder.path()).expect("a checkout");
        for named in [vec!["all".to_owned()], vec!["one".to_owned(), "two".to_owned()]] {
            let error = checkout.environment(&named).expect_err("several");
            assert_eq!(error.to_string(), "this command works on one environment at a time");
        }
    }
}
