//! What shows a server who the consumer is, and the consumer who a server is: files, as a mounted secret gives them.
//!
//! They are read once, at the start. A changed secret is used by the pods that start after the change.
//! What is secret is never printed, and never part of an error.

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
    /// When a file can't be read or is empty; all of them at once.
    pub fn read(folder: &Path, variable: &'static str) -> Result<Self, CredentialsError> {
        let line = |file: &str| line(&folder.join(file), variable);
        let (username, password) = both(line("username"), line("password"))?;
        Ok(Self { username, password: Password(password) })
    }
}

/// The client's own certificate and its key, which stay in their files.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The certificate's file (PEM), with those between it and the authority.
    pub certificate: PathBuf,
    /// The key's file (PEM), without a passphrase.
    pub key: PathBuf,
}

impl ClientCertificate {
    /// Finds the files `certificate.pem` and `key.pem` of `folder`, whose path came from `variable`.
    ///
    /// # Errors
    /// When a file can't be read or doesn't hold what its name says; all of them at once.
    pub fn find(folder: &Path, variable: &'static str) -> Result<Self, CredentialsError> {
        let certificate = pem(&folder.join("certificate.pem"), variable, Pem::Certificate);
        let key = pem(&folder.join("key.pem"), variable, Pem::Key);
        let (certificate, key) = both(certificate, key)?;
        Ok(Self { certificate, key })
    }
}

/// Finds the file with the certificates of the authorities that are trusted, whose path came from `variable`.
///
/// # Errors
/// When it can't be read or holds no certificate.
pub fn authorities(file: &Path, variable: &'static str) -> Result<PathBuf, CredentialsError> {
    pem(file, variable, Pem::Certificate)
}

/// Both, or everything that is wrong with either.
///
/// # Errors
/// When one is an error.
pub fn both<A, B>(
    first: Result<A, CredentialsError>,
    second: Result<B, CredentialsError>,
) -> Result<(A, B), CredentialsError> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(mut first), Err(second)) => {
            first.mistakes.extend(second.mistakes);
            Err(first)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// What a file of the form PEM has to hold.
#[derive(Clone, Copy)]
enum Pem {
    Certificate,
    Key,
}

fn pem(file: &Path, variable: &'static str, what: Pem) -> Result<PathBuf, CredentialsError> {
    let text = line(file, variable)?;
    let has = |label: &str| text.lines().any(|line| line.starts_with("-----BEGIN ") && line.ends_with(label));
    let problem = match what {
        Pem::Certificate if has("CERTIFICATE-----") => return Ok(file.to_owned()),
        Pem::Certificate => "holds no certificate; write one in the form PEM into the secret",
        Pem::Key if has("ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") => {
            "holds a key with a passphrase; write the key without one into the secret, which is encrypted itself"
        }
        Pem::Key if has("PRIVATE KEY-----") => return Ok(file.to_owned()),
        Pem::Key => "holds no private key; write one in the form PEM into the secret",
    };
    Err(Mistake { file: file.to_owned(), problem: Problem::Content(problem) }.into())
}

fn line(file: &Path, variable: &'static str) -> Result<String, CredentialsError> {
    let mistake = |problem| Mistake { file: file.to_owned(), problem };
    let text = std::fs::read_to_string(file).map_err(|source| mistake(Problem::Unreadable { variable, source }))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(mistake(Problem::Content("is empty; write a value into the secret")).into());
    }
    Ok(text.to_owned())
}

/// Why credentials can't be had.
#[derive(Debug)]
pub struct CredentialsError {
    /// What is wrong with which file; at least one, each file once.
    pub mistakes: Vec<Mistake>,
}

/// What is wrong with a file.
#[derive(Debug)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a file.
#[derive(Debug)]
pub enum Problem {
    /// It can't be read.
    Unreadable {
        /// The variable that says where the file is.
        variable: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else; the rest of a sentence that starts with the file.
    Content(&'static str),
}

impl From<Mistake> for CredentialsError {
    fn from(mistake: Mistake) -> Self {
        Self { mistakes: vec![mistake] }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.problem {
            Problem::Unreadable { variable, source } => {
                write!(f, "{file} can't be read ({source}); mount the secret there or set `{variable}`")
            }
            Problem::Content(problem) => write!(f, "{file} {problem}"),
        }
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("credentials can't be had: ")?;
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CredentialsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &tempfile::TempDir, file: &str, text: &str) {
        std::fs::write(folder.path().join(file), text).expect("written");
    }

    #[test]
    fn passwords_are_not_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder, "username", "reader\r\n");
        write(&folder, "password", "hunter2\n");
        let credentials = Credentials::read(folder.path(), "SOMEWHERE").expect("both files");
        assert_eq!((credentials.username.as_str(), credentials.password.expose()), ("reader", "hunter2"));
        let printed = format!("{credentials:?} {credentials:#?}");
        assert!(printed.contains("reader") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn what_is_missing_is_named_all_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Credentials::read(folder.path(), "SOMEWHERE").expect_err("no file").to_string();
        for part in ["/username can't be read", "/password can't be read", "`SOMEWHERE`"] {
            assert!(error.contains(part), "{error}");
        }
        write(&folder, "username", "reader");
        write(&folder, "password", "\n");
        let error = Credentials::read(folder.path(), "SOMEWHERE").expect_err("empty").to_string();
        assert!(error.contains("/password is empty") && !error.contains("/username"), "{error}");
    }

    #[test]
    fn certificates_and_keys_are_told_apart_and_not_printed() {
        let pem = |label: &str| format!("-----BEGIN {label}-----\nc2VjcmV0\n-----END {label}-----\n");
        let folder = tempfile::tempdir().expect("a folder");
        let refused = || ClientCertificate::find(folder.path(), "SOMEWHERE").expect_err("wrong").to_string();
        assert!(refused().contains("/certificate.pem can't be read") && refused().contains("/key.pem can't be read"));
        // Mixed up.
        write(&folder, "certificate.pem", &pem("PRIVATE KEY"));
        write(&folder, "key.pem", &pem("CERTIFICATE"));
        let error = refused();
        assert!(
            error.contains("/certificate.pem holds no certificate") && error.contains("/key.pem holds no private key")
        );
        assert!(!error.contains("c2VjcmV0"), "{error}");
        write(&folder, "certificate.pem", &(pem("CERTIFICATE") + &pem("CERTIFICATE")));
        write(&folder, "key.pem", &pem("ENCRYPTED PRIVATE KEY"));
        assert!(refused().contains("/key.pem holds a key with a passphrase"));
        for label in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
            write(&folder, "key.pem", &pem(label));
            let found = ClientCertificate::find(folder.path(), "SOMEWHERE").expect(label);
            assert!(found.certificate.ends_with("certificate.pem") && found.key.ends_with("key.pem"));
        }
        assert!(authorities(&folder.path().join("certificate.pem"), "SOMEWHERE").is_ok());
        assert!(authorities(&folder.path().join("key.pem"), "SOMEWHERE").is_err());
    }
}
