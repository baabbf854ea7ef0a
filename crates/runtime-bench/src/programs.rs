//! Where the programs are: built with the profile that is deployed, or in a folder that is given; and how large they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use programs::{FUNCTIONS, LAMBDA_PROFILE, Packing, executables_in, is_of_surrounding_package, zipped};

use crate::Error;

/// The programs by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Builds all functions for this machine with the profile that is deployed. Cargo says on stderr how far it is.
    ///
    /// # Errors
    /// When they don't build.
    pub fn build() -> Result<Self, Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        command.args(["build", "--profile", LAMBDA_PROFILE, "--message-format=json-render-diagnostics"]);
        command.args(FUNCTIONS.iter().flat_map(|name| ["-p", name]));
        std::env::vars_os().filter(|(name, _)| is_of_surrounding_package(name)).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().map_err(|source| Error::Start { program: cargo.into(), source })?;
        if !output.status.success() {
            return Err(Error::Build { status: output.status });
        }
        Self::all(executables_in(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The programs in `folder`, each under its name.
    ///
    /// # Errors
    /// When one isn't there.
    pub fn in_folder(folder: &Path) -> Result<Self, Error> {
        Self::all(FUNCTIONS.iter().map(|name| ((*name).to_owned(), folder.join(name))).collect())
    }

    /// Where a program is.
    ///
    /// # Errors
    /// When it isn't known.
    pub fn path(&self, name: &str) -> Result<&Path, Error> {
        self.0.get(name).map(PathBuf::as_path).ok_or_else(|| Error::NoProgram { program: name.to_owned() })
    }

    fn all(found: BTreeMap<String, PathBuf>) -> Result<Self, Error> {
        match FUNCTIONS.iter().find(|name| !found.get(**name).is_some_and(|path| path.is_file())) {
            None => Ok(Self(found)),
            Some(missing) => Err(Error::NoProgram { program: (*missing).to_owned() }),
        }
    }
}

/// Bytes of a program, and of the zip that Lambda gets. The zip depends on the program alone.
///
/// # Errors
/// When the program can't be read.
pub fn sizes(program: &Path) -> Result<(u64, u64), Error> {
    let code = fs::read(program).map_err(|source| Error::File { path: program.to_owned(), source })?;
    let packed = zipped(&code, Packing::Small).map_err(|source| Error::Zip { program: program.to_owned(), source })?;
    Ok((code.len() as u64, packed.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = Programs::in_folder(Path::new("/nowhere")).expect_err("nothing is there");
        assert!(error.to_string().contains("`authorizer`"), "{error}");
    }
}
