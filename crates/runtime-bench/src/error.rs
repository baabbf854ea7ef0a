//! Why something could not be measured.

use std::io;
use std::path::PathBuf;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine refused something that every measurement needs.
    #[error("cannot {doing}")]
    Machine {
        /// What was tried.
        doing: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// A file can't be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A program can't be started.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The programs don't build.
    #[error("the programs don't build: cargo ended with {status}; its messages stand above")]
    Build {
        /// How cargo ended.
        status: std::process::ExitStatus,
    },
    /// A program isn't where it was looked for.
    #[error("there is no program `{program}`; build it, or give the folder of the programs with `--programs`")]
    NoProgram {
        /// The program.
        program: String,
    },
    /// The program ended, or asked for nothing for too long.
    #[error("`{}` {what}", program.display())]
    Silent {
        /// The program.
        program: PathBuf,
        /// What it did.
        what: String,
    },
    /// The program answered an event in another way than it should have.
    #[error("`{}` answered with something else than `{expected}`: {answer}", program.display())]
    WrongAnswer {
        /// The program.
        program: PathBuf,
        /// What the answer should have held.
        expected: &'static str,
        /// The answer.
        answer: String,
    },
    /// The zip of a program can't be put together.
    #[error("`{}` can't be packed", program.display())]
    Zip {
        /// The program.
        program: PathBuf,
        /// The reason.
        source: zip::result::ZipError,
    },
    /// An option that isn't known, or one without its value.
    #[error(
        "`{option}` is no option; there are `--programs <folder>`, `--only <text>`, `--starts <number>`, `--invocations <number>` and `--rounds <number>`"
    )]
    Option {
        /// The option.
        option: String,
    },
}

impl Error {
    /// For `map_err` on what the machine does.
    pub fn machine(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Machine { doing, source }
    }
}
