//! Where a platform lives on disk: one state folder per checkout and environment, and the id that marks its processes.
//!
//! Holds paths and names only; what is inside the files is the matter of [`super::state`].

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Marks every process of one platform, in the variable `TANDEM_PLATFORM`.
///
/// Derived from the paths of state folder and checkout and the environment's name, never stored alone:
/// processes are found again even when the state folder is gone, and two checkouts never share an id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlatformId(String);

impl PlatformId {
    /// The id as it stands in the marker variable.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PlatformId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The variable that names another folder for the state of a checkout's environments.
pub(crate) const STATE_VARIABLE: &str = "TANDEM_STATE";

/// Where the state of a checkout's environments is kept: `TANDEM_STATE`, or else `<checkout>/.tandem`.
///
/// With the variable, one checkout can run an environment twice side by side.
/// The path is absolute: the supervisor, which works in another folder, must come to the same one.
pub(crate) fn state_root(checkout: &Path) -> PathBuf {
    match std::env::var_os(STATE_VARIABLE) {
        Some(folder) if !folder.is_empty() => absolute(Path::new(&folder)),
        _ => absolute(checkout).join(".tandem"),
    }
}

/// Fails only for an empty path or without a current folder, and then the path is used as it is.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The state folder of one environment, `<checkout>/.tandem/<environment>/`.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    checkout: PathBuf,
    environment: String,
    root: PathBuf,
}

impl Folder {
    /// Names the folder of `environment` in `checkout`; makes nothing on disk.
    pub(crate) fn of(checkout: &Path, environment: &str) -> Result<Self, Problem> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if environment.is_empty() || !environment.chars().all(good) {
            return Err(Problem::EnvironmentName { name: environment.to_owned() });
        }
        // Two ways to spell one path must give one platform.
        let checkout = fs::canonicalize(checkout).map_err(Problem::file("find", checkout))?;
        let root = state_root(&checkout).join(environment);
        Ok(Self { checkout, environment: environment.to_owned(), root })
    }

    /// Makes the folder and those inside it.
    pub(crate) fn create(&self) -> Result<(), Problem> {
        for folder in [self.root.clone(), self.logs(), self.temporary(), self.home(), self.programs()] {
            fs::create_dir_all(&folder).map_err(Problem::file("create", &folder))?;
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> PlatformId {
        let paths = [&self.root, &self.checkout].map(|path| path.as_os_str().as_encoded_bytes());
        // No path holds a zero byte, so two pairs of paths never give the same bytes.
        let digest = Sha256::digest(paths.join(&0));
        let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        PlatformId(format!("{}-{short}", self.environment))
    }

    pub(crate) fn checkout(&self) -> &Path {
        &self.checkout
    }

    pub(crate) fn environment(&self) -> &str {
        &self.environment
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.root.join("platform.json")
    }

    /// What the supervisor is to run; written by `up` before it starts one.
    pub(crate) fn orders_file(&self) -> PathBuf {
        self.root.join("orders.json")
    }

    pub(crate) fn registry_file(&self) -> PathBuf {
        self.root.join("schema-registry.json")
    }

    /// Held while `up`, `down` or `reset` work.
    pub(crate) fn change_lock(&self) -> PathBuf {
        self.root.join("platform.lock")
    }

    /// Held by the supervisor as long as it lives.
    pub(crate) fn supervisor_lock(&self) -> PathBuf {
        self.root.join("supervisor.lock")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Copies of binaries that run, so that a rebuild never changes what a restart starts.
    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_checkouts_and_two_environments_never_share_an_id() {
        let one = tempfile::tempdir().expect("a folder");
        let two = tempfile::tempdir().expect("a folder");
        let id = |path: &Path, environment| Folder::of(path, environment).expect("a good name").id();
        assert_eq!(id(one.path(), "sandbox"), id(&one.path().join("."), "sandbox"));
        assert_ne!(id(one.path(), "sandbox"), id(two.path(), "sandbox"));
        assert_ne!(id(one.path(), "sandbox"), id(one.path(), "other"));
    }

    #[test]
    fn two_checkouts_with_one_state_folder_have_ids_of_their_own() {
        let folder = |checkout: &str| Folder {
            checkout: checkout.into(),
            environment: "sandbox".to_owned(),
            root: "/state/sandbox".into(),
        };
        assert_ne!(folder("/one").id(), folder("/two").id());
        assert_eq!(folder("/one").id(), folder("/one").id());
    }

    #[test]
    fn a_relative_state_folder_is_made_absolute() {
        assert!(absolute(Path::new("state")).is_absolute());
        assert_eq!(absolute(Path::new("/state")), Path::new("/state"));
    }

    #[test]
    fn a_name_that_could_leave_the_state_folder_is_refused() {
        let checkout = tempfile::tempdir().expect("a folder");
        for name in ["", "..", "a/b", "Sandbox", "a b"] {
            let problem = Folder::of(checkout.path(), name).expect_err("the name is bad");
            assert!(problem.to_string().contains("is not an environment name"), "{name}: {problem}");
        }
    }
}
