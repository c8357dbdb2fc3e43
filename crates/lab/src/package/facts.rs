//! What all packages say about themselves: each fact has its one place here, or where it is
//! taken from. The kind of machine is read from the binary, so it cannot be wrong.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Facts about one build.
pub struct Facts {
    /// Of the workspace.
    pub version: &'static str,
    /// Of all files, in seconds since 1970.
    pub time: u32,
    /// What it runs on.
    pub machine: Machine,
    /// The program.
    pub binary: Vec<u8>,
}

/// In one line.
pub const SUMMARY: &str = "init and service supervision, in the place of runit's programs";

/// In some lines of at most 75 characters.
pub const DESCRIPTION: [&str; 5] = [
    "sunup starts the services of a machine, starts them again when they end,",
    "keeps their logs, and stops them in order. It has runit's programs (sv,",
    "runsvdir, runsv, svlogd, chpst, runit and others) in one static binary,",
    "with the same commands, files and service directories. Services outlive",
    "their supervisor: the next one takes them over, log pipes included.",
];

/// Who answers for the packages.
pub const AUTHORS: &str = "the sunup authors";

/// By the terms of SPDX.
pub const LICENSE: &str = env!("CARGO_PKG_LICENSE");

/// A kind of machine, by everybody's name of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The kernel's name, and rpm's.
    pub name: &'static str,
    /// Debian's name.
    pub debian: &'static str,
    /// Rust's name of it with Linux.
    pub triple: &'static str,
    /// Its number in the first bytes of an rpm.
    pub rpm: u16,
    /// Its number in an ELF file.
    elf: u16,
}

const MACHINES: [Machine; 3] = [
    Machine {
        name: "x86_64",
        debian: "amd64",
        triple: "x86_64-unknown-linux-gnu",
        rpm: 1,
        elf: 62,
    },
    Machine {
        name: "aarch64",
        debian: "arm64",
        triple: "aarch64-unknown-linux-gnu",
        rpm: 19,
        elf: 183,
    },
    Machine {
        name: "riscv64",
        debian: "riscv64",
        triple: "riscv64gc-unknown-linux-gnu",
        rpm: 22,
        elf: 243,
    },
];

impl Machine {
    /// From the first bytes of a program (elf(5): 64 bits, little-endian).
    fn of(program: &[u8]) -> Option<Self> {
        let number = match program.get(..20)? {
            [0x7f, b'E', b'L', b'F', 2, 1, .., low, high] => u16::from_le_bytes([*low, *high]),
            _ => return None,
        };
        MACHINES.into_iter().find(|machine| machine.elf == number)
    }

    /// Whether its programs run here.
    pub fn is_here(self) -> bool {
        self.name == std::env::consts::ARCH
    }

    /// # Errors
    /// Programs of this machine's are needed, and it is another one.
    pub fn must_be_here(self) -> Result<()> {
        if !self.is_here() {
            bail!(
                "a container image holds this machine's busybox, and sunup is for {}: leave it out by --format deb,rpm,tar,sbom",
                self.name
            );
        }
        Ok(())
    }
}

impl Facts {
    /// The facts about a build.
    ///
    /// # Errors
    /// The file cannot be read or is no program that is known; the time is no number.
    pub fn of(binary: &Path) -> Result<Self> {
        let shown = binary.display();
        let binary = fs::read(binary).with_context(|| format!("read {shown}"))?;
        let Some(machine) = Machine::of(&binary) else {
            let names = MACHINES.map(|machine| machine.name).join(", ");
            bail!("{shown}: no program for {names}; leave --sunup out to have it built");
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            time: time()?,
            machine,
            binary,
        })
    }
}

fn time() -> Result<u32> {
    if std::env::var_os("SOURCE_DATE_EPOCH").is_some() {
        return crate::image::mtime();
    }
    // An archive of the sources has no commits.
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(workspace::root())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    Ok(text.ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_from_the_program() {
        let own = fs::read("/proc/self/exe").unwrap();
        assert!(Machine::of(&own).unwrap().is_here());
        let mut other = own[..64].to_vec();
        other[18] = 183;
        assert_eq!(Machine::of(&other).unwrap().debian, "arm64");
        assert_eq!(Machine::of(b"#!/bin/sh\necho no program\n"), None);
        assert_eq!(Machine::of(b"\x7fELF"), None);
    }
}
