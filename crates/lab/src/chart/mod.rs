//! `lab chart`: a boot as a page to look at.
//!
//! The record of a boot, its own or one that any machine wrote, becomes one file of HTML with
//! drawings in SVG in it, or a drawing alone. The page needs nothing else: no script, no font
//! and no other file. What a record says is the same as for `sv boot` ([`model::boot_summary`]).

mod draw;
mod machine;
mod page;
mod rows;
mod scale;
mod words;

pub use machine::record_of;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use model::boot_summary::Boot;
use model::format::boot_record::Record;

use crate::{boot, workspace};

/// What to draw.
#[derive(Clone, Debug, Default, clap::Args)]
// Its own group has the name of the machine's.
#[group(skip)]
pub struct Options {
    /// Draw this record, instead of that of a boot of its own (a machine keeps it in /run/sunup/boot)
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Draw this record beside it, on the same scale
    #[arg(long, value_name = "FILE")]
    pub beside: Option<PathBuf>,
    /// Where to write the page; a name that ends in .svg is for the drawing alone
    /// [default: boot.html in the target directory's lab]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Where to keep the record of its own boot
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub keep: Option<PathBuf>,
    /// The machine of its own boot.
    #[command(flatten)]
    pub boot: boot::Options,
}

/// A boot to draw.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// What its record says.
    pub boot: Boot,
}

/// Makes the page.
///
/// # Errors
/// A record cannot be read, or is none; the machine does not boot; the page cannot be written.
pub fn run(options: &Options) -> Result<()> {
    let first = match &options.from {
        Some(path) => read(path)?,
        None => machine::boot(&options.boot, options.keep.as_deref())?,
    };
    let second = options.beside.as_deref().map(read).transpose()?;
    let subjects: Vec<Subject> = [Some(first), second].into_iter().flatten().collect();
    let out = match &options.out {
        Some(path) => path.clone(),
        None => workspace::scratch()?.join("boot.html"),
    };
    let content = if out.extension().is_some_and(|ending| ending == "svg") {
        drawing(&subjects)
    } else {
        page(&subjects)
    };
    std::fs::write(&out, content).with_context(|| format!("write {}", out.display()))?;
    println!("{}", out.display());
    Ok(())
}

fn read(path: &Path) -> Result<Subject> {
    let record = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let Some(record) = Record::decode(&record) else {
        bail!("{}: not the record of a boot", path.display());
    };
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(Subject {
        name: name.to_string_lossy().into_owned(),
        boot: Boot::of(&record),
    })
}

/// The page with one boot, or with two side by side.
pub fn page(subjects: &[Subject]) -> String {
    page::html(subjects).into_string()
}

/// The drawing alone, as a file of its own.
pub fn drawing(subjects: &[Subject]) -> String {
    page::svg_file(subjects).into_string()
}
