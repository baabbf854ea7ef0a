//! User names and passwords that come as files, as a mounted secret gives them.
//!
//! They are read once, at the start. A changed secret is used by the pods that start after the change.

use std::fmt;
use std::path::{Path, PathBuf};

/// A user name with its password.
#[derive(Debug)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Password,
}

/// A password, which isn't printed.
pub struct Password(String);

impl Password {
    /// The password itself, for the one who asks for it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

impl Credentials {
    /// Reads the files `username` and `password` of `folder`, whose path came from `variable`. Line ends at the end of a
    /// file don't count.
    ///
    /// # Errors
    /// When a file can't be read or is empty.
    pub fn read(folder: &Path, variable: &'static str) -> Result<Self, CredentialsError> {
        Ok(Self {
            username: line(&folder.join("username"), variable)?,
            password: Password(line(&folder.join("password"), variable)?),
        })
    }
}

fn line(file: &Path, variable: &'static str) -> Result<String, CredentialsError> {
    let text = std::fs::read_to_string(file).map_err(|source| CredentialsError::Unreadable {
        file: file.to_owned(),
        variable,
        source,
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(CredentialsError::Empty { file: file.to_owned() });
    }
    Ok(text.to_owned())
}

/// Why credentials can't be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("the credential in {} can't be read; mount the secret there or set `{variable}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The variable that says where the files are.
        variable: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The file is empty.
    #[error("the credential in {} is empty; write a value into the secret", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("username"), "reader\r\n").expect("written");
        std::fs::write(folder.path().join("password"), "hunter2\n").expect("written");
        let credentials = Credentials::read(folder.path(), "SOMEWHERE").expect("both files");
        assert_eq!((credentials.username.as_str(), credentials.password.expose()), ("reader", "hunter2"));
        let printed = format!("{credentials:?} {credentials:#?}");
        assert!(printed.contains("reader") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Credentials::read(folder.path(), "SOMEWHERE").expect_err("no file").to_string();
        assert!(error.contains("/username") && error.contains("`SOMEWHERE`"), "{error}");
        std::fs::write(folder.path().join("username"), "reader").expect("written");
        std::fs::write(folder.path().join("password"), "\n").expect("written");
        let error = Credentials::read(folder.path(), "SOMEWHERE").expect_err("empty");
        assert!(matches!(&error, CredentialsError::Empty { file } if file.ends_with("password")), "{error}");
    }
}
