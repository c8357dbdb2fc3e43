//! Release binaries, for the machines that sunup is tested on and for others: each by the
//! target that rustup has, linked by Debian's cross compiler (glibc) or by the linker that
//! comes with Rust (musl). `crates/lab/cross-in-debian.sh` does without rustup.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::debian::{self, Need};
use crate::workspace;

/// What to build.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Build for this target alone; may be given more than once
    #[arg(long, value_name = "TRIPLE", value_parser = Target::named)]
    pub target: Vec<Target>,
    /// Where to put the binaries [default: release in the target directory's lab]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A kind of machine and of C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Rust's name of it.
    pub triple: &'static str,
    linker: Linker,
}

/// What links a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linker {
    /// The linker that comes with Rust; so does musl.
    Own,
    /// A compiler of Debian's, and the package with the C library for it.
    Gcc(Need, &'static str),
}

/// All that are known.
pub const TARGETS: [Target; 5] = [
    X86_64,
    AARCH64,
    Target {
        triple: "riscv64gc-unknown-linux-gnu",
        linker: Linker::Gcc(
            Need("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
            "libc6-dev-riscv64-cross",
        ),
    },
    Target {
        triple: "x86_64-unknown-linux-musl",
        linker: Linker::Own,
    },
    Target {
        triple: "aarch64-unknown-linux-musl",
        linker: Linker::Own,
    },
];

/// A PC.
pub const X86_64: Target = Target {
    triple: "x86_64-unknown-linux-gnu",
    linker: Linker::Gcc(
        Need("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
        "libc6-dev-amd64-cross",
    ),
};

/// A 64-bit processor of ARM.
pub const AARCH64: Target = Target {
    triple: "aarch64-unknown-linux-gnu",
    linker: Linker::Gcc(
        Need("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        "libc6-dev-arm64-cross",
    ),
};

impl Target {
    pub(crate) fn named(triple: &str) -> Result<Self, String> {
        let known = TARGETS.into_iter().find(|target| target.triple == triple);
        known.ok_or_else(|| {
            let names = TARGETS.map(|target| target.triple);
            format!("known are {}", names.join(", "))
        })
    }

    /// The static release binary, built for such a machine.
    ///
    /// # Errors
    /// What rustup or Debian's packages lack, and what cargo says.
    pub fn build(self) -> Result<PathBuf> {
        workspace::provide_target(self.triple)?;
        let linker = match self.linker {
            Linker::Own => "rust-lld",
            Linker::Gcc(compiler @ Need(program, package), library) => {
                // Where the compiler is there, so is the library.
                if !debian::missing(&[compiler]).is_empty() {
                    let why = format!("a program for {} needs a linker", self.triple);
                    debian::provide_packages(&[package, library], &why)?;
                }
                program
            }
        };
        let variable = self.triple.replace('-', "_").to_uppercase();
        workspace::build_sunup_with(|cargo| {
            cargo.args(["--target", self.triple]);
            cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
        })
    }
}

/// Builds all that is asked for, or all there is, and says what came of it.
///
/// # Errors
/// The first target that cannot be built, and files that cannot be written.
pub fn run(options: &Options) -> Result<()> {
    let out = match &options.out {
        Some(dir) => dir.clone(),
        None => workspace::scratch()?.join("release"),
    };
    fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
    let targets = match &options.target[..] {
        [] => TARGETS.to_vec(),
        some => some.to_vec(),
    };
    for target in targets {
        let built = target.build().with_context(|| target.triple.to_owned())?;
        let version = env!("CARGO_PKG_VERSION");
        let file = out.join(format!("sunup-{version}-{}", target.triple));
        let size = fs::copy(&built, &file).with_context(|| format!("write {}", file.display()))?;
        println!("{}: {size} bytes", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_names() {
        for target in TARGETS {
            assert_eq!(Target::named(target.triple), Ok(target));
        }
        let e = Target::named("pdp11").unwrap_err();
        assert!(e.contains("x86_64-unknown-linux-musl"), "{e}");
    }
}
