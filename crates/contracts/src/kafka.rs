//! How a program connects to Kafka and to the Schema Registry.

use crate::Setting;

/// Writes an enum whose variants are words: each word stands once, and what it isn't is told in one phrase.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* } or $phrase:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl Setting for $name {
            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($phrase.to_owned()),
                }
            }

            fn render(&self) -> String {
                match self {
                    $(Self::$variant => $word,)*
                }
                .to_owned()
            }
        }
    };
}

pub(crate) use words;

words! {
    /// How the connection to Kafka is secured.
    KafkaSecurity {
        /// No encryption, no authentication: only for a broker on this machine.
        Plaintext = "plaintext",
        /// TLS, and SASL inside.
        SaslSsl = "sasl_ssl",
        /// TLS with a certificate of the client too.
        Mtls = "mtls",
    } or "none of `plaintext`, `sasl_ssl` and `mtls`"
}

words! {
    /// How SASL shows who the client is.
    SaslMechanism {
        /// The password is sent, inside TLS.
        Plain = "PLAIN",
        /// The password is proven and not sent.
        ScramSha512 = "SCRAM-SHA-512",
    } or "neither `PLAIN` nor `SCRAM-SHA-512`"
}

words! {
    /// Who decides which member of a group gets which partitions.
    GroupProtocol {
        /// The members, by the assignor that they have in common; each brings its own timeouts.
        Classic = "classic",
        /// The broker (KIP-848, Kafka 4.0 or newer), which sets the timeouts too.
        Consumer = "consumer",
    } or "neither `classic` nor `consumer`"
}

/// Where a program finds the user name and the password that a server asks it for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialsFolder {
    /// The server asks for none; `none` in a variable.
    None,
    /// The absolute path of a folder with the files `username` and `password`.
    Mounted(String),
}

impl Setting for CredentialsFolder {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            path if path.starts_with('/') => Ok(Self::Mounted(path.to_owned())),
            _ => Err("neither `none` nor the absolute path of a folder".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Mounted(path) => path.clone(),
        }
    }
}

/// Whose certificates a server shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaFile {
    /// Those of the authorities that the system trusts; `system` in a variable.
    System,
    /// Those of the authorities in this file (PEM), by its absolute path, and of no others.
    File(String),
}

impl Setting for CaFile {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "system" => Ok(Self::System),
            path if path.starts_with('/') => Ok(Self::File(path.to_owned())),
            _ => Err("neither `system` nor the absolute path of a file".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::System => "system".to_owned(),
            Self::File(path) => path.clone(),
        }
    }
}
