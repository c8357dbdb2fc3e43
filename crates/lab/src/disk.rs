//! A disk: an ext4 file system with a tree's files, the same bytes every time, written
//! without root by the tools of Debian's package e2fsprogs.
//!
//! `mke2fs -d` would copy owners and times of the workstation's files, in the order of its
//! directories. So an empty file system is made, and debugfs puts the entries into it one by
//! one, in the order of their names: what it makes belongs to root.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use model::format::cpio::Node;

use crate::debian::{self, Need};
use crate::tree::Tree;

/// The UUID of the file system, and of its directories' hashes.
pub const UUID: &str = "5ea5ed00-0b00-4d15-8000-73756e757000";
/// Its label.
pub const LABEL: &str = "sunup";
/// The least size, and how much more than its files it holds.
const MIB_MIN: u64 = 64;
const TOOLS: [Need; 3] = [
    Need("mke2fs", "e2fsprogs"),
    Need("debugfs", "e2fsprogs"),
    Need("e2fsck", "e2fsprogs"),
];

/// Writes the disk with the files of `tree`, all of them of the time `mtime` (seconds since
/// 1970), into the file `out`. Without a size it is twice as large as its files; its size in
/// MiB is the result.
///
/// # Errors
/// A tool is missing or fails, or the tree does not fit.
pub fn write(tree: &Tree, out: &Path, size_mib: Option<u64>, mtime: u32) -> Result<u64> {
    debian::provide(&TOOLS)?;
    let work = tempfile::tempdir()?;
    let script = script(tree, work.path())?;
    let mib = size_mib.unwrap_or_else(|| (bytes(tree) >> 19).max(MIB_MIN));
    // Complete or not at all.
    let mut name = out.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let made = make(&new, mib, &script, mtime.max(1));
    let made = made
        .and_then(|()| fs::rename(&new, out).with_context(|| format!("make {}", out.display())));
    if made.is_err() {
        drop(fs::remove_file(&new));
    }
    made.map(|()| mib)
}

fn make(file: &Path, mib: u64, script: &Path, time: u32) -> Result<()> {
    let empty = File::create(file).with_context(|| format!("make {}", file.display()))?;
    empty.set_len(mib << 20)?;
    // No time before 1970 plus one second: to the tools, 0 means now.
    let tool = |name: &str| {
        let mut tool = Command::new(debian::program(name));
        tool.env("E2FSPROGS_FAKE_TIME", time.to_string());
        tool.env("LC_ALL", "C");
        tool
    };
    let hash = format!("hash_seed={UUID},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0");
    let mut mke2fs = tool("mke2fs");
    mke2fs.args([
        "-q", "-F", "-t", "ext4", "-b", "4096", "-L", LABEL, "-U", UUID,
    ]);
    run(mke2fs.args(["-E", &hash]).arg(file), "mke2fs", |o| {
        o.status.success()
    })?;
    let mut debugfs = tool("debugfs");
    // It tells its version there, and every mistake; it ends with 0 after both.
    let is_silent = |output: &Output| output.stderr.split(|b| *b == b'\n').count() <= 2;
    run(
        debugfs.args(["-w", "-f"]).arg(script).arg(file),
        "debugfs",
        is_silent,
    )?;
    let mut check = tool("e2fsck");
    run(check.args(["-f", "-n"]).arg(file), "e2fsck", |o| {
        o.status.success()
    })
}

fn run(command: &mut Command, name: &str, is_well: impl Fn(&Output) -> bool) -> Result<()> {
    let output = command.output().with_context(|| format!("run {name}"))?;
    if !is_well(&output) || !output.status.success() {
        // What debugfs was told is on its standard output; what e2fsck found, too.
        let said = if name == "debugfs" {
            output.stderr
        } else {
            [output.stdout, output.stderr].concat()
        };
        bail!("{name}: {}", String::from_utf8_lossy(&said).trim_end());
    }
    Ok(())
}

/// What the files take, in bytes, in whole blocks.
fn bytes(tree: &Tree) -> u64 {
    let files = tree.entries().map(|entry| match entry.node {
        Node::File(data) => data.len() as u64,
        _ => 0,
    });
    files.map(|len| len.next_multiple_of(4096) + 256).sum()
}

/// The commands that make the tree's entries; the contents of its files are put beside them.
fn script(tree: &Tree, work: &Path) -> Result<PathBuf> {
    let mut text = String::new();
    let mut firsts: Vec<Option<String>> = Vec::new();
    for entry in tree.entries() {
        let path = absolute(entry.name)?;
        let (parent, base) = match entry.name.iter().rposition(|b| *b == b'/') {
            Some(at) => entry.name.split_at(at + 1),
            None => (&b""[..], entry.name),
        };
        let (parent, base) = (absolute(parent)?, quote(text_of(base)?)?);
        if firsts.len() <= entry.inode {
            firsts.resize(entry.inode + 1, None);
        }
        if let Some(first) = firsts.get(entry.inode).cloned().flatten() {
            writeln!(text, "ln {first} {path}")?;
            continue;
        }
        writeln!(text, "cd {parent}")?;
        let kind = match entry.node {
            Node::File(data) => {
                let file = work.join(entry.inode.to_string());
                fs::write(&file, data)?;
                writeln!(text, "write {} {base}", quote(&file.display().to_string())?)?;
                0o100_000
            }
            Node::Directory => {
                // It makes that of what it repairs by itself.
                if entry.name != b"lost+found" {
                    writeln!(text, "mkdir {base}")?;
                }
                0o040_000
            }
            Node::Symlink(target) => {
                let target = quote(text_of(target)?)?;
                writeln!(text, "symlink {base} {target}")?;
                0o120_000
            }
            Node::Char(d) => {
                writeln!(text, "mknod {base} c {} {}", d.major, d.minor)?;
                0o020_000
            }
            Node::Block(d) => {
                writeln!(text, "mknod {base} b {} {}", d.major, d.minor)?;
                0o060_000
            }
            Node::Fifo => {
                writeln!(text, "mknod {base} p")?;
                0o010_000
            }
            // Nobody is there who listens at it.
            Node::Socket => continue,
        };
        writeln!(text, "sif {path} mode 0{:o}", kind | entry.perm)?;
        if entry.names > 1 {
            writeln!(text, "sif {path} links_count {}", entry.names)?;
        }
        if let Some(first) = firsts.get_mut(entry.inode) {
            *first = Some(path);
        }
    }
    let script = work.join("script");
    fs::write(&script, text)?;
    Ok(script)
}

/// A path from the root, as a word of a command.
fn absolute(name: &[u8]) -> Result<String> {
    quote(&format!("/{}", text_of(name)?))
}

fn text_of(name: &[u8]) -> Result<&str> {
    match std::str::from_utf8(name) {
        Ok(name) => Ok(name),
        Err(_) => bail!("{}: a name on a disk must be UTF-8", name.escape_ascii()),
    }
}

fn quote(word: &str) -> Result<String> {
    if word.contains(['"', '\n']) {
        bail!("{word:?}: a name on a disk must not hold quotes or newlines");
    }
    Ok(format!("\"{word}\""))
}
