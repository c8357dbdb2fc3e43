//! The picture of README.md: what a terminal shows of the real programs, as SVG.
//!
//! A script plays a scene in a terminal (`scene.sh`), what it prints is kept as text with its
//! colours, and the picture is drawn from that, so that a test can draw it again.

mod draw;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// What to draw.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Draw what this file holds, and play nothing
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Where to write the picture; what was shown is written beside it, without .svg
    #[arg(long, value_name = "FILE", default_value = "docs/images/sv.svg")]
    out: PathBuf,
}

/// The terminal's columns.
const COLUMNS: usize = 80;

/// Plays the scene, or reads what was shown, and draws it.
pub fn run(options: &Options) -> Result<()> {
    let shown = if let Some(path) = &options.from {
        fs::read_to_string(path).with_context(|| path.display().to_string())?
    } else {
        let shown = play()?;
        fs::write(options.out.with_extension(""), &shown)?;
        shown
    };
    let out = &options.out;
    fs::write(out, draw::svg(&shown)).with_context(|| out.display().to_string())?;
    println!("{}", out.display());
    Ok(())
}

/// What a terminal shows while the scene is played.
fn play() -> Result<String> {
    let dir = tempfile::Builder::new().prefix("scene").tempdir()?;
    let bin = dir.path().join("bin");
    let home = dir.path().join("home");
    fs::create_dir(&bin)?;
    fs::create_dir(&home)?;
    let sunup = workspace::build_sunup()?;
    fs::copy(&sunup, bin.join("sunup"))?;
    let installed = Command::new(bin.join("sunup"))
        .arg("--install")
        .arg(&bin)
        .output()?;
    ensure!(installed.status.success(), "sunup --install: {installed:?}");
    let scene = dir.path().join("scene.sh");
    fs::write(&scene, include_str!("scene.sh"))?;
    let (scene, home, bin) = (scene.display(), home.display(), bin.display());
    let line = format!("stty columns {COLUMNS} rows 50; exec sh {scene} {home} {bin}");
    let played = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(std::process::Stdio::null())
        .output()
        .context("script")?;
    let shown = String::from_utf8(played.stdout)?;
    ensure!(played.status.success(), "the scene failed:\n{shown}");
    Ok(shown.replace('\r', ""))
}
