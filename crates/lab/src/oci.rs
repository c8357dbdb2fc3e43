//! `lab oci`: a container image, as the OCI image layout has it, with sunup as process 1. It takes
//! no docker, no privilege, and the same input gives the same bytes.
//!
//! An image is one layer (a tar archive, with gzip), a configuration, a manifest and an index,
//! each but the last under the name of its SHA-256. Everything belongs to root; the time is
//! $SOURCE_DATE_EPOCH, or 1970.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use model::format::cpio::Node;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::arch::Arch;
use crate::boot::Parts;
use crate::image::{self, Compress};
use crate::rootfs;
use crate::tree::{Entry, Tree};
use crate::workspace;

/// What to put into an image.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where to write it: a directory, or a file whose name ends in .tar
    #[arg(long, value_name = "DIR|FILE.tar")]
    pub out: PathBuf,
    /// A directory to use as the root file system; sunup is added to it
    #[arg(long, value_name = "DIR", conflicts_with = "busybox")]
    pub rootfs: Option<PathBuf>,
    /// A static busybox, instead of Debian's
    #[arg(long, value_name = "FILE")]
    pub busybox: Option<PathBuf>,
    /// A static sunup, instead of building it
    #[arg(long, value_name = "FILE")]
    pub sunup: Option<PathBuf>,
    /// A directory of services, which becomes /etc/service
    #[arg(long, value_name = "DIR")]
    pub services: Option<PathBuf>,
    /// The name of the image in its index
    #[arg(long, value_name = "NAME", default_value = "latest")]
    pub tag: String,
    /// Further words for `sunup container`, such as `--main app`
    #[arg(
        long,
        value_name = "WORDS",
        allow_hyphen_values = true,
        default_value = ""
    )]
    pub options: String,
    /// The main program, which whoever runs the image may replace
    #[arg(last = true, value_name = "PROGRAM")]
    pub cmd: Vec<String>,
}

/// Process 1.
const SUNUP: &str = "sbin/sunup";
/// Of our own root file system, what only a machine has.
const MACHINE: [&str; 4] = ["dev", "etc/inittab", "etc/mdev.conf", "etc/runit"];

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Makes the image, and tells how large it is.
///
/// # Errors
/// What cannot be read, built or written.
pub fn make(options: &Options) -> Result<()> {
    let bytes = write(options, image::mtime()?)?;
    println!("{}: {bytes} bytes", options.out.display());
    Ok(())
}

/// Makes the image with a time of its own, and returns how large it is.
pub(crate) fn write(options: &Options, time: u32) -> Result<usize> {
    let files = layout(&tree(options)?, options, time)?;
    let out = &options.out;
    if out.extension().is_some_and(|e| e == "tar") {
        let mut tree = Tree::default();
        for (name, content) in &files {
            tree.put_file(name.as_bytes(), false, content.clone());
        }
        fs::write(out, tar(&tree, time)?).with_context(|| format!("write {}", out.display()))?;
    } else {
        write_directory(out, &files)?;
    }
    Ok(files.values().map(Vec::len).sum())
}

fn write_directory(out: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    if fs::read_dir(out).is_ok_and(|mut dir| dir.next().is_some())
        && !out.join("oci-layout").exists()
    {
        bail!("{}: it is neither empty nor an image layout", out.display());
    }
    for (name, content) in files {
        let path = out.join(name);
        let dir = path.parent().unwrap_or(out);
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn tree(options: &Options) -> Result<Tree> {
    let mut tree = Tree::default();
    if let Some(dir) = &options.rootfs {
        tree.add_dir(dir)?;
        add_sunup(&mut tree, options)?;
    } else {
        let parts = Parts {
            busybox: options.busybox.clone(),
            sunup: options.sunup.clone(),
            ..Parts::default()
        };
        tree = rootfs::tree(&parts.source()?)?;
        for name in MACHINE {
            tree.remove_below(name.as_bytes());
        }
    }
    if let Some(dir) = &options.services {
        let mut services = Tree::default();
        services.add_plain_dir(dir)?;
        tree.put_tree(b"etc/service", &services);
    }
    Ok(tree)
}

/// Where /sbin is a link, as it is where /usr has everything, its target gets it.
fn add_sunup(tree: &mut Tree, options: &Options) -> Result<()> {
    let binary = match &options.sunup {
        Some(file) => file.clone(),
        None => workspace::build_sunup()?,
    };
    let binary = fs::read(&binary).with_context(|| format!("read {}", binary.display()))?;
    let sbin = match tree.get(b"sbin") {
        Some(Node::Symlink(target)) => {
            let target = target.strip_prefix(b"/").unwrap_or(target);
            String::from_utf8_lossy(target).into_owned()
        }
        _ => "sbin".to_owned(),
    };
    tree.put_file(format!("{sbin}/sunup").as_bytes(), true, binary);
    let sv = format!("{sbin}/sv");
    if !tree.has(sv.as_bytes()) {
        tree.put_link(sv.as_bytes(), b"sunup");
    }
    Ok(())
}

/// Every file of the layout, by its name.
fn layout(tree: &Tree, options: &Options, time: u32) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut blob = |content: Vec<u8>, kind: &str| {
        let digest = sha256(&content);
        let size = content.len();
        files.insert(format!("blobs/sha256/{digest}"), content);
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": size })
    };
    let archive = tar(tree, time)?;
    let layer = blob(image::pack(&archive, Compress::Gzip)?, LAYER);
    let config = blob(config(options, &sha256(&archive), time), CONFIG);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(manifest.to_string().into_bytes(), MANIFEST);
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": options.tag });
    manifest["platform"] = platform();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    files.insert("index.json".to_owned(), index.to_string().into_bytes());
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    files.insert("oci-layout".to_owned(), version.to_string().into_bytes());
    Ok(files)
}

fn platform() -> Value {
    json!({ "architecture": architecture(), "os": "linux" })
}

/// The image's programs run here, so it is for machines of this kind; Go's name of it is Debian's.
fn architecture() -> &'static str {
    let here = [Arch::X86_64, Arch::Aarch64]
        .into_iter()
        .find(|arch| arch.is_here());
    here.unwrap_or_default().debian()
}

fn config(options: &Options, diff_id: &str, time: u32) -> Vec<u8> {
    let own = ["/".to_owned() + SUNUP, "container".to_owned()];
    let words = options.options.split_whitespace().map(str::to_owned);
    let entrypoint: Vec<String> = own
        .into_iter()
        .chain(words)
        .chain(["--".to_owned()])
        .collect();
    let cmd = match &options.cmd[..] {
        [] if options.services.is_none() && options.rootfs.is_none() => {
            vec!["/bin/sh".to_owned()]
        }
        words => words.to_vec(),
    };
    let config = json!({
        "created": rfc3339(time),
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": entrypoint,
            "Cmd": cmd,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SVDIR=/etc/service"],
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
        "history": [{ "created": rfc3339(time), "created_by": "sunup lab oci" }],
    });
    config.to_string().into_bytes()
}

/// In hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 15];
    let digits = Sha256::digest(bytes)
        .iter()
        .flat_map(digits)
        .collect::<Vec<u8>>();
    let hex = |digit: u8| char::from_digit(digit.into(), 16).unwrap_or_default();
    digits.into_iter().map(hex).collect()
}

/// Seconds since 1970 as a date in UTC.
pub(crate) fn rfc3339(seconds: u32) -> String {
    let (days, rest) = (u64::from(seconds) / 86_400, seconds % 86_400);
    // Civil date from days: years begin in March, so that the day of a leap year is the last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The tree as a tar archive, in the order of names, all of it modified at `time`.
pub(crate) fn tar(tree: &Tree, time: u32) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut firsts: HashMap<usize, &[u8]> = HashMap::new();
    for entry in tree.entries() {
        let Entry { name, node, .. } = entry;
        let path = as_path(name);
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.perm);
        header.set_mtime(time.into());
        header.set_size(0);
        let first = *firsts.entry(entry.inode).or_insert(name);
        if first != name {
            header.set_entry_type(tar::EntryType::Link);
            archive.append_link(&mut header, path, as_path(first))?;
            continue;
        }
        let mut content: &[u8] = &[];
        let mut target = None;
        match node {
            Node::File(data) => {
                content = data;
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(data.len() as u64);
            }
            Node::Directory => header.set_entry_type(tar::EntryType::Directory),
            Node::Symlink(to) => {
                header.set_entry_type(tar::EntryType::Symlink);
                target = Some(as_path(to));
            }
            Node::Fifo => header.set_entry_type(tar::EntryType::Fifo),
            Node::Char(device) | Node::Block(device) => {
                header.set_entry_type(match node {
                    Node::Char(_) => tar::EntryType::Char,
                    _ => tar::EntryType::Block,
                });
                header.set_device_major(device.major)?;
                header.set_device_minor(device.minor)?;
            }
            // Whoever listens makes it anew; tar has none.
            Node::Socket => continue,
        }
        match target {
            Some(target) => archive.append_link(&mut header, path, target)?,
            None => archive.append_data(&mut header, path, content)?,
        }
    }
    Ok(archive.into_inner()?)
}

fn as_path(name: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u32::MAX, "2106-02-07T06:28:15Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }
}
