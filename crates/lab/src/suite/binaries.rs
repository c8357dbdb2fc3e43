//! The test binaries: built once for all suites, with the tests in each.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{sys, workspace};

/// A test binary of cargo's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The directory of its package, which is where it runs.
    pub dir: PathBuf,
    /// Its target: a file of tests, or the library or program with its unit tests.
    pub target: String,
    /// What kind of target: `test`, `lib` or `bin`.
    pub kind: String,
    /// The file.
    pub path: PathBuf,
    /// The names of its tests.
    pub tests: Vec<String>,
}

impl Binary {
    /// Whether it is the one of a package with this target and kind.
    pub fn is(&self, package: &str, kind: &str, target: &str) -> bool {
        self.is_of(package) && self.kind == kind && self.target == target
    }

    /// Whether it belongs to a package.
    pub fn is_of(&self, package: &str) -> bool {
        self.dir.file_name().is_some_and(|name| name == package)
    }

    /// What cargo tells a test binary that it runs.
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        vec![("CARGO_MANIFEST_DIR".into(), self.dir.clone().into())]
    }
}

/// Builds those of these packages, and asks each for its tests.
///
/// # Errors
/// If cargo cannot build them, or one does not say what tests it has.
pub fn build(packages: &[&str]) -> Result<Vec<Binary>> {
    let mut command = workspace::cargo();
    command.args([
        "test",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    for package in packages {
        command.args(["--package", package]);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo test")?;
    if !output.status.success() {
        bail!("build the tests: cargo says why above");
    }
    let mut binaries = named(&output.stdout);
    for binary in &mut binaries {
        binary.tests = tests(&binary.path)?;
    }
    binaries.retain(|binary| !binary.tests.is_empty());
    Ok(binaries)
}

/// The test binaries in cargo's stream of messages.
fn named(messages: &[u8]) -> Vec<Binary> {
    let lines = messages.split(|b| *b == b'\n');
    let values = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let binary = |message: Value| {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let manifest = PathBuf::from(text(&message["manifest_path"])?);
        Some(Binary {
            dir: manifest.parent()?.to_path_buf(),
            target: text(&message["target"]["name"])?,
            kind: text(&message["target"]["kind"][0])?,
            path: text(&message["executable"])?.into(),
            tests: Vec::new(),
        })
        .filter(|_| message["profile"]["test"] == true)
    };
    values.filter_map(binary).collect()
}

fn tests(binary: &Path) -> Result<Vec<String>> {
    let output = sys::pristine(binary).arg("--list").output();
    let output = output.with_context(|| format!("run {}", binary.display()))?;
    if !output.status.success() {
        bail!("{} --list: {}", binary.display(), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_test_binaries_among_cargos_messages() {
        let stream = br#"{"manifest_path":"/s/sunup/Cargo.toml","target":{"kind":["bin"],"name":"sunup"},"profile":{"test":false},"executable":"/t/sunup"}
{"manifest_path":"/s/sunup/Cargo.toml","target":{"kind":["test"],"name":"it"},"profile":{"test":true},"executable":"/t/it"}
{"reason":"build-finished","success":true}
"#;
        let found = named(stream);
        assert_eq!(found.len(), 1);
        assert!(found[0].is("sunup", "test", "it"));
        assert_eq!(found[0].path, PathBuf::from("/t/it"));
    }
}
