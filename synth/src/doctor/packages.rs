//! The command that installs a prerequisite, by the package manager that is there.

use super::machine::Machine;

/// Names of one prerequisite's packages in each package manager; `brew` is `None` where macOS has it from elsewhere.
pub(super) struct Packages {
    pub(super) apt: &'static str,
    pub(super) dnf: &'static str,
    pub(super) brew: Option<&'static str>,
}

pub(super) const PYTHON: Packages =
    Packages { apt: "python3 python3-venv", dnf: "python3.12 python3.12-pip", brew: Some("python@3.12") };
pub(super) const COMPILER: Packages = Packages { apt: "gcc libc6-dev", dnf: "gcc", brew: None };
pub(super) const MAKE: Packages = Packages { apt: "make", dnf: "make", brew: None };
pub(super) const PKG_CONFIG: Packages =
    Packages { apt: "pkg-config", dnf: "pkgconf-pkg-config", brew: Some("pkgconf") };
pub(super) const OPENSSL: Packages = Packages { apt: "libssl-dev", dnf: "openssl-devel", brew: Some("openssl@3") };
pub(super) const ARM64_COMPILER: Packages = Packages {
    apt: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    dnf: "gcc-aarch64-linux-gnu",
    brew: Some("messense/macos-cross-toolchains/aarch64-unknown-linux-gnu"),
};

/// The command for this machine's package manager; a sentence when none is known.
pub(super) fn install(machine: &Machine, packages: &Packages) -> String {
    let sudo = if machine.variable("USER") == Some("root") || !machine.has("sudo") { "" } else { "sudo " };
    if machine.has("apt-get") {
        format!("{sudo}apt-get install -y {}", packages.apt)
    } else if machine.has("dnf") {
        format!("{sudo}dnf install -y {}", packages.dnf)
    } else if machine.has("brew") {
        match packages.brew {
            Some(name) => format!("brew install {name}"),
            None => "xcode-select --install".to_owned(),
        }
    } else {
        format!("install it with your package manager (Debian calls it {})", packages.apt)
    }
}
