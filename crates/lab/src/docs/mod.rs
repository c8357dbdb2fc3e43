//! `lab docs`: the documents and the manual as a site of plain files, to read in any browser or
//! to be served by any server.
//!
//! Each document and each page of the manual is a page; what these link to in the sources is
//! one, too. A site with a link that leads nowhere is an error. It is the same bytes every time.

mod check;
mod index;
mod layout;
mod links;
mod manual;
mod markdown;
mod page;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::debian::{self, Need};
use crate::workspace;
use links::MANUAL;
use manual::Names;
use page::Page;

pub use check::complaints;

/// Documents beside those in [`DOCUMENTS`].
const AT_THE_TOP: [&str; 5] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
];
/// Where the other documents are.
const DOCUMENTS: &str = "docs";
/// What shows that a directory is a site of ours, which may be replaced.
const MARK: &str = ".sunup-docs";

/// Where to write the site.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// The directory, which is made, or is a site of before [default: docs in the target directory's lab]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A site: the content of each file, by its path.
pub type Site = BTreeMap<String, Vec<u8>>;

/// Writes the site, and says where its first page is. What it needs is installed if root asks.
///
/// # Errors
/// If something cannot be read, made or written, or a link leads nowhere.
pub fn run(options: &Options) -> Result<()> {
    debian::provide_packages(
        &debian::missing(&[Need("mandoc", "mandoc")]),
        "the manual needs more",
    )?;
    let out = match &options.out {
        Some(dir) => dir.clone(),
        None => workspace::scratch()?.join("docs"),
    };
    let site = site(&workspace::root())?;
    let wrong = complaints(&site);
    if !wrong.is_empty() {
        bail!("links lead nowhere:\n  {}", wrong.join("\n  "));
    }
    write(&site, &out).with_context(|| format!("write {}", out.display()))?;
    println!("{}", out.join(layout::INDEX).display());
    Ok(())
}

/// Makes the site of the sources.
///
/// # Errors
/// If something cannot be read, or mandoc fails.
pub fn site(root: &Path) -> Result<Site> {
    let names = Names::read(root)?;
    let (pages, assets) = gather(root, &names)?;
    let mut site: Site = pages
        .values()
        .map(|page| (page.place(), layout::framed(page).into_bytes()))
        .collect();
    for file in assets {
        let content = fs::read(root.join(&file)).with_context(|| format!("read {file}"))?;
        site.insert(links::place(&file), content);
    }
    site.insert(layout::INDEX.into(), index::first(&pages)?.into_bytes());
    site.insert(
        links::place(MANUAL),
        index::of_manual(&pages, &names).into_bytes(),
    );
    site.insert(layout::STYLE.into(), include_bytes!("style.css").to_vec());
    Ok(site)
}

/// All pages, by the files that they are made of: the documents, the manual, and what these
/// link to; and the files that are no pages.
fn gather(root: &Path, names: &Names) -> Result<(BTreeMap<String, Page>, BTreeSet<String>)> {
    let mut wanted: Vec<String> = AT_THE_TOP.map(str::to_owned).to_vec();
    wanted.extend(names.pages().map(|name| format!("{MANUAL}/{name}")));
    find_documents(root, DOCUMENTS, &mut wanted)?;
    let (mut pages, mut assets) = (BTreeMap::new(), BTreeSet::new());
    while let Some(file) = wanted.pop() {
        if file == MANUAL || pages.contains_key(&file) || !root.join(&file).is_file() {
            // What is not there, or is a directory, is found by who follows the link.
            continue;
        }
        if links::is_asset(&file) {
            assets.insert(file);
            continue;
        }
        let page = match file.strip_prefix(MANUAL).and_then(|f| f.strip_prefix('/')) {
            Some(name) => manual::page(root, name, names)?,
            None if links::is_document(&file) => {
                let document = markdown::document(&file, &page::read(root, &file)?, names);
                wanted.extend(document.linked);
                document.page
            }
            None => Page::of_source(&file, &page::read(root, &file)?),
        };
        pages.insert(file, page);
    }
    Ok((pages, assets))
}

/// The documents in a directory and those below it.
fn find_documents(root: &Path, dir: &str, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(root.join(dir)).with_context(|| format!("read {dir}"))? {
        let entry = entry?;
        let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            find_documents(root, &path, found)?;
        } else if links::is_document(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Writes the site in place of an earlier one; a directory with anything else is left alone.
fn write(site: &Site, out: &Path) -> Result<()> {
    if out.join(MARK).exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)?;
    if fs::read_dir(out)?.next().is_some() {
        bail!("it holds something else; name a directory that is empty or not there");
    }
    fs::write(out.join(MARK), "")?;
    for (path, content) in site {
        let path = out.join(path);
        fs::create_dir_all(path.parent().unwrap_or(out))?;
        fs::write(path, content)?;
    }
    Ok(())
}
