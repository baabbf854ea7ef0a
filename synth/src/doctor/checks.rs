//! The prerequisites, one function each.

use std::path::Path;

use super::machine::Machine;
use super::packages::{self, Packages};
use super::{Finding, Needs, Verdict};
use crate::artifacts::LAMBDA_TRIPLE;
use crate::local::python;

/// The toolchain file of the project, so that the pinned version is said in one place.
const TOOLCHAIN_FILE: &str = include_str!("../../../rust-toolchain.toml");

/// A debug build of everything; below this it may still work from a partial build.
const BUILD_MIB: u64 = 10 << 10;
/// Below this nothing can be built or installed.
const LEAST_MIB: u64 = 2 << 10;

/// Where cargo reads which linker makes programs for Lambda's processors.
const LAMBDA_LINKER_VARIABLE: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER";
/// That linker, as Debian and Fedora call it.
const LAMBDA_LINKER: &str = "aarch64-linux-gnu-gcc";

/// All checks that `needs` asks for.
pub(super) fn all(machine: &Machine, needs: Needs) -> Vec<Finding> {
    let for_aws = || vec![lambda_target(machine), lambda_linker(machine)];
    match needs {
        Needs::Local => [to_build(machine), python(machine)].concat(),
        Needs::Build => [to_build(machine), for_aws()].concat(),
        Needs::Deploy => vec![credentials(machine)],
        Needs::Aws => [to_build(machine), for_aws(), vec![credentials(machine)]].concat(),
    }
}

fn to_build(machine: &Machine) -> Vec<Finding> {
    vec![
        rust(machine),
        program(
            machine,
            "C compiler",
            &["cc"],
            &packages::COMPILER,
            "compiles the Kafka client and the hash functions",
        ),
        program(machine, "make", &["make", "gmake"], &packages::MAKE, "builds the Kafka client"),
        program(machine, "pkg-config", &["pkg-config", "pkgconf"], &packages::PKG_CONFIG, "finds the OpenSSL library"),
        openssl(machine),
        disk(machine),
    ]
}

fn good(name: &str, found: String, purpose: &'static str) -> Finding {
    Finding { name: name.to_owned(), verdict: Verdict::Ok, found, purpose, repair: None }
}

fn bad(name: &str, verdict: Verdict, found: String, purpose: &'static str, repair: String) -> Finding {
    Finding { name: name.to_owned(), verdict, found, purpose, repair: Some(repair) }
}

fn pinned_rust() -> &'static str {
    let channel = TOOLCHAIN_FILE.lines().find_map(|line| line.trim().strip_prefix("channel"));
    channel.and_then(|rest| rest.split('"').nth(1)).expect("the toolchain file names a channel, as a test shows")
}

fn rust(machine: &Machine) -> Finding {
    const PURPOSE: &str = "builds the functions, the consumer and this tool";
    let pinned = pinned_rust();
    let name = format!("Rust {pinned} with cargo");
    let repair = if machine.has("rustup") {
        format!("rustup toolchain install {pinned}")
    } else {
        "install rustup as https://rustup.rs says; it reads the version from rust-toolchain.toml".to_owned()
    };
    // The version is asked of cargo as well, because one of the two may come from elsewhere.
    let version = |program| {
        let line = machine.run(program, &["--version"])?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    match (version("cargo"), version("rustc")) {
        (Some(_), Some(rustc)) if rustc == pinned => good(&name, rustc, PURPOSE),
        (Some(_), Some(rustc)) if number(&rustc) >= number(pinned) => {
            bad(&name, Verdict::Warning, format!("rustc {rustc}, which is not the tested one"), PURPOSE, repair)
        }
        (Some(_), Some(rustc)) => bad(&name, Verdict::Missing, format!("rustc {rustc} is too old"), PURPOSE, repair),
        (None, _) => bad(&name, Verdict::Missing, "no cargo on `PATH` that runs".to_owned(), PURPOSE, repair),
        (_, None) => bad(&name, Verdict::Missing, "no rustc on `PATH` that runs".to_owned(), PURPOSE, repair),
    }
}

/// `1.95.0-nightly` as `[1, 95, 0]`.
fn number(version: &str) -> Vec<u32> {
    let plain = version.split('-').next().unwrap_or_default();
    plain.split('.').map_while(|part| part.parse().ok()).collect()
}

/// One of several names of the same program.
fn program(machine: &Machine, name: &str, programs: &[&str], packages: &Packages, purpose: &'static str) -> Finding {
    match programs.iter().find_map(|program| machine.find(program)) {
        Some(path) => good(name, path.display().to_string(), purpose),
        None => {
            let found = format!("no `{}` on `PATH`", programs.join("` or `"));
            bad(name, Verdict::Missing, found, purpose, packages::install(machine, packages))
        }
    }
}

fn openssl(machine: &Machine) -> Finding {
    const NAME: &str = "OpenSSL headers";
    const PURPOSE: &str = "TLS of the Kafka client";
    let repair = packages::install(machine, &packages::OPENSSL);
    if let Some(folder) = machine.variable("OPENSSL_DIR") {
        return good(NAME, format!("`OPENSSL_DIR` is {folder}"), PURPOSE);
    }
    let asked = ["pkg-config", "pkgconf"].iter().find(|program| machine.has(program));
    match asked.map(|program| machine.run(program, &["--modversion", "openssl"])) {
        Some(Some(version)) => good(NAME, version, PURPOSE),
        // Homebrew keeps its OpenSSL where pkg-config doesn't look, and the build looks there by itself.
        Some(None) if machine.run("brew", &["--prefix", "openssl@3"]).is_some() => {
            good(NAME, "from Homebrew".to_owned(), PURPOSE)
        }
        Some(None) => bad(NAME, Verdict::Missing, "pkg-config knows no `openssl`".to_owned(), PURPOSE, repair),
        None => bad(NAME, Verdict::Warning, "unknown, for there is no pkg-config".to_owned(), PURPOSE, repair),
    }
}

fn disk(machine: &Machine) -> Finding {
    const NAME: &str = "disk space";
    const PURPOSE: &str = "a debug build, the emulator and the broker";
    let target = machine.variable("CARGO_TARGET_DIR").map_or_else(|| machine.work.clone(), Into::into);
    let Some(free) = machine.free_mib(&target) else {
        return good(NAME, "unknown".to_owned(), PURPOSE);
    };
    let found = format!("{} GiB free at {}", free >> 10, target.display());
    let repair =
        || format!("free at least {} GiB, or set `CARGO_TARGET_DIR` to a folder on another disk", BUILD_MIB >> 10);
    match free {
        0..LEAST_MIB => bad(NAME, Verdict::Missing, found, PURPOSE, repair()),
        LEAST_MIB..BUILD_MIB => bad(NAME, Verdict::Warning, found, PURPOSE, repair()),
        _ => good(NAME, found, PURPOSE),
    }
}

fn python(machine: &Machine) -> Vec<Finding> {
    const PURPOSE: &str = "runs the emulated AWS";
    const MODULES: &str = "Python modules venv and pip";
    const MODULES_PURPOSE: &str = "installs the emulator and the Kafka broker into a folder of their own";
    let name = format!("Python {} or newer", python::MINIMUM);
    let repair = || packages::install(machine, &packages::PYTHON);
    let python = match python::find(&machine.path) {
        Ok(python) => python,
        Err(too_old) => {
            let found = python::found_instead(&too_old);
            let found = found.strip_prefix("and ").unwrap_or(&found).to_owned();
            return vec![bad(&name, Verdict::Missing, found, PURPOSE, repair())];
        }
    };
    let modules = match machine.run_file(&python.program, &["-I", "-c", "import venv, ensurepip"]) {
        Some(_) => good(MODULES, "present".to_owned(), MODULES_PURPOSE),
        None => {
            let found = format!("`{}` has no module venv or ensurepip", python.program.display());
            bad(MODULES, Verdict::Missing, found, MODULES_PURPOSE, repair())
        }
    };
    vec![good(&name, format!("{} ({})", python.version, python.program.display()), PURPOSE), modules]
}

fn lambda_target(machine: &Machine) -> Finding {
    const PURPOSE: &str = "builds the functions for Lambda on arm64";
    let name = format!("Rust target {LAMBDA_TRIPLE}");
    let folder = machine.run("rustc", &["--print", "target-libdir", "--target", LAMBDA_TRIPLE]);
    match folder.filter(|folder| Path::new(folder).is_dir()) {
        Some(folder) => good(&name, folder, PURPOSE),
        None => {
            let repair = format!("rustup target add {LAMBDA_TRIPLE}");
            bad(&name, Verdict::Missing, "no standard library for it".to_owned(), PURPOSE, repair)
        }
    }
}

fn lambda_linker(machine: &Machine) -> Finding {
    const NAME: &str = "linker for arm64";
    const PURPOSE: &str = "links the functions for Lambda on arm64";
    if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
        return good(NAME, "this machine's own".to_owned(), PURPOSE);
    }
    if let Some(linker) = machine.variable(LAMBDA_LINKER_VARIABLE) {
        return good(NAME, format!("`{LAMBDA_LINKER_VARIABLE}` is {linker}"), PURPOSE);
    }
    let configured = machine.home_file(".cargo/config.toml").filter(|file| {
        let text = std::fs::read_to_string(file);
        text.is_ok_and(|text| text.contains(LAMBDA_TRIPLE))
    });
    match configured {
        Some(file) => good(NAME, format!("perhaps in {}", file.display()), PURPOSE),
        None => {
            let install = match machine.find(LAMBDA_LINKER) {
                Some(_) => String::new(),
                None => format!("{}, then ", packages::install(machine, &packages::ARM64_COMPILER)),
            };
            // Cargo does not look for one by itself: it takes the machine's own, which makes no arm64 programs.
            let repair = format!("{install}export {LAMBDA_LINKER_VARIABLE}={LAMBDA_LINKER}");
            bad(NAME, Verdict::Missing, format!("`{LAMBDA_LINKER_VARIABLE}` is not set"), PURPOSE, repair)
        }
    }
}

/// Whether the SDK's usual places hold anything; whether AWS accepts it is found out by the first call.
fn credentials(machine: &Machine) -> Finding {
    const NAME: &str = "AWS credentials";
    const PURPOSE: &str = "reads and changes the stacks";
    let set = |name: &str| machine.variable(name).is_some();
    let source = if set("AWS_ACCESS_KEY_ID") && set("AWS_SECRET_ACCESS_KEY") {
        Some("from `AWS_ACCESS_KEY_ID`".to_owned())
    } else if let Some(profile) = machine.variable("AWS_PROFILE") {
        Some(format!("from the profile `{profile}`"))
    } else if set("AWS_WEB_IDENTITY_TOKEN_FILE") && set("AWS_ROLE_ARN") {
        Some("from a web identity".to_owned())
    } else if set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || set("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        Some("from the container".to_owned())
    } else {
        let files = [".aws/credentials", ".aws/config"].iter().find_map(|file| machine.home_file(file));
        files.map(|file| format!("perhaps in {}", file.display()))
    };
    match source {
        Some(source) => good(NAME, source, PURPOSE),
        None => {
            let repair =
                "run `aws configure sso` and set `AWS_PROFILE`, or set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`";
            // The SDK has further sources, such as the machine's own role on EC2.
            bad(NAME, Verdict::Warning, "none found in the usual places".to_owned(), PURPOSE, repair.to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
