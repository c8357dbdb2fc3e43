//! Where things are: the sources, cargo's target directory, and our binary.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::sys;

/// The top directory of the sources.
pub fn root() -> PathBuf {
    // Set by `cargo run`; a binary called by hand has the place it was built in.
    let own = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.ancestors().nth(2).unwrap_or(&own).to_path_buf()
}

/// Lab's own directory under cargo's target directory: downloads and verdicts.
pub fn scratch() -> Result<PathBuf> {
    let own = env::current_exe().context("find lab's own binary")?;
    // Cargo marks its directory, wherever it was told to have it.
    let marked = own
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists());
    let target = marked.map_or_else(|| root().join("target"), Path::to_path_buf);
    let scratch = target.join("lab");
    std::fs::create_dir_all(&scratch).with_context(|| format!("make {}", scratch.display()))?;
    Ok(scratch)
}

/// lab's own program, to start more of, even if cargo has put a new one in its place.
pub fn lab() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}

/// Builds the static release binary and says where it is.
pub fn build_sunup() -> Result<PathBuf> {
    build_sunup_with(|_| {})
}

/// As [`build_sunup`], with more words for cargo.
pub fn build_sunup_with(more: impl FnOnce(&mut Command)) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--package=sunup", "--bin=sunup"]);
    more(&mut cargo);
    let output = cargo
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo build")?;
    if !output.status.success() {
        bail!("build sunup: cargo says why above");
    }
    executable(&output.stdout).ok_or_else(|| anyhow!("build sunup: cargo names no executable"))
}

/// The names of our applets, from a build for the workstation.
pub fn applets() -> Result<Vec<String>> {
    let output = cargo()
        .args(["run", "--quiet", "--package=sunup", "--", "--list"])
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    if !output.status.success() {
        bail!("build sunup: cargo says why above");
    }
    let list = String::from_utf8_lossy(&output.stdout);
    Ok(list.lines().map(str::to_owned).collect())
}

/// Whether the compiler can make programs for a target.
pub fn has_target(target: &str) -> bool {
    let ask = ["--print", "target-libdir", "--target", target];
    let output = Command::new("rustc")
        .args(ask)
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let dir = String::from_utf8_lossy(&output.stdout);
        output.status.success() && Path::new(dir.trim_end()).is_dir()
    })
}

/// Has rustup install what makes programs for a target, if it is missing.
///
/// # Errors
/// If it is missing still.
pub fn provide_target(target: &str) -> Result<()> {
    if !has_target(target) {
        let add = ["target", "add", target];
        let output = Command::new("rustup")
            .args(add)
            .stdin(Stdio::null())
            .output();
        if !output.is_ok_and(|output| output.status.success()) || !has_target(target) {
            bail!("this compiler cannot build for {target}: `rustup target add {target}`");
        }
    }
    Ok(())
}

/// The path in cargo's stream of messages.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    messages
        .split(|b| *b == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
}

/// Cargo's directory for all that is built.
///
/// # Errors
/// Cargo does not say where it is.
pub fn target() -> Result<PathBuf> {
    let words = ["metadata", "--no-deps", "--format-version=1"];
    let output = cargo().args(words).output().context("run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("ask cargo metadata")?;
    let target = metadata["target_directory"].as_str();
    Ok(target.context("cargo names no target directory")?.into())
}

/// Cargo, in the sources.
pub fn cargo() -> Command {
    let mut command = sys::pristine(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_executable_among_cargos_messages() {
        let stream = b"{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                       not json\n\
                       {\"reason\":\"compiler-artifact\",\"executable\":\"/t/sunup\"}\n\
                       {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(stream), Some(PathBuf::from("/t/sunup")));
        assert_eq!(executable(b""), None);
    }
}
