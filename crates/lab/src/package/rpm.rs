//! A package for rpm, version 4 of the format: a lead, a signature header with digests, a header,
//! and an archive of cpio with gzip (<https://rpm-software-management.github.io/rpm/manual/format_v4.html>).
//!
//! Names of runit are links in it, and so it conflicts with a package of runit's. It has no
//! scripts.

mod header;

use anyhow::Result;
use model::format::cpio::Node;

use super::contents::{Contents, DOC};
use super::facts::{self, Facts};
use crate::image::{self, Compress};
use crate::oci;
use crate::tree::Tree;
use header::{Header, Value};

const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// A release of the package, as opposed to one of sunup.
const RELEASE: &str = "1";

/// SHA-256, by its number in OpenPGP.
const SHA256: u32 = 8;

/// Flags of a dependency (rpmds.h).
const EQUAL: u32 = 8;
const OF_RPM: u32 = 1 << 24 | 8 | 2;

/// The flag of a file that is documentation.
const DOCUMENT: u32 = 2;

/// One file of it.
struct File {
    /// Absolute.
    path: String,
    mode: u16,
    content: Vec<u8>,
    target: String,
}

/// The package.
///
/// # Errors
/// The files cannot be packed.
pub fn package(contents: &Contents, facts: &Facts) -> Result<Vec<u8>> {
    let files = files(contents);
    let payload = image::pack(&archive(&files, facts.time), Compress::Gzip)?;
    let mut header = Header::new(header::IMMUTABLE);
    describe(&mut header, facts, &files);
    depend(&mut header, facts);
    list(&mut header, &files, facts.time);
    header.put(5092, Value::texts([oci::sha256(&payload)]));
    header.put(5093, Value::Int32(vec![SHA256]));
    let header = header.bytes();

    let mut signature = Header::new(header::SIGNATURES);
    signature.put(273, Value::Text(oci::sha256(&header)));
    let size = header.len() + payload.len();
    signature.put(1000, Value::Int32(vec![u32::try_from(size)?]));
    let mut signature = signature.bytes();
    signature.resize(signature.len().next_multiple_of(8), 0);
    Ok([lead(facts), signature, header, payload].concat())
}

/// What rpm itself has not read for long, but file(1) does.
fn lead(facts: &Facts) -> Vec<u8> {
    let mut lead = LEAD_MAGIC.to_vec();
    // Version 3.0, a binary package.
    lead.extend([3, 0, 0, 0]);
    lead.extend(facts.machine.rpm.to_be_bytes());
    let mut name = format!("sunup-{}-{RELEASE}", facts.version).into_bytes();
    name.resize(66, 0);
    lead.extend(name);
    // Linux, and a signature that is a header.
    lead.extend([0, 1, 0, 5]);
    lead.resize(96, 0);
    lead
}

/// Everything in the order of its path, which rpm wants.
fn files(contents: &Contents) -> Vec<File> {
    let mut tree = Tree::default();
    tree.put_tree(b"usr", &contents.files);
    for name in &contents.names {
        let path = format!("usr/{}", name.path);
        tree.put_link(path.as_bytes(), name.target.as_bytes());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let entries = tree.entries().filter_map(|entry| {
        let path = format!("/{}", text(entry.name));
        let (kind, content, target) = match entry.node {
            Node::File(content) => (0o100_000, content.to_vec(), String::new()),
            Node::Symlink(target) => (0o120_000, Vec::new(), text(target)),
            // All others are of other packages.
            _ if path.ends_with(DOC) => (0o040_000, Vec::new(), String::new()),
            _ => return None,
        };
        Some(File {
            path,
            mode: kind | entry.perm as u16,
            content,
            target,
        })
    });
    entries.collect()
}

impl File {
    fn is_regular(&self) -> bool {
        self.mode >> 12 == 0o10
    }

    /// What stands for it in the archive.
    fn data(&self) -> &[u8] {
        if self.target.is_empty() {
            &self.content
        } else {
            self.target.as_bytes()
        }
    }

    fn flags(&self) -> u32 {
        let documents = ["/share/doc/", "/share/man/"];
        let is_one = documents.iter().any(|dir| self.path.contains(dir));
        if is_one { DOCUMENT } else { 0 }
    }

    /// The directory, with a slash at its end, and the name in it.
    fn split(&self) -> (&str, &str) {
        let at = self.path.rfind('/').map_or(0, |slash| slash + 1);
        self.path.split_at(at)
    }
}

fn describe(header: &mut Header, facts: &Facts, files: &[File]) {
    let size = files.iter().map(|file| file.data().len() as u32).sum();
    let text = |text: &str| Value::Text(text.to_owned());
    header.put(100, Value::texts(["C".to_owned()]));
    header.put(1000, text("sunup"));
    header.put(1001, text(facts.version));
    header.put(1002, text(RELEASE));
    header.put(1004, Value::Translated(facts::SUMMARY.to_owned()));
    header.put(1005, Value::Translated(facts::DESCRIPTION.join("\n")));
    header.put(1006, Value::Int32(vec![facts.time]));
    header.put(1007, text("localhost"));
    header.put(1009, Value::Int32(vec![size]));
    header.put(1011, text(facts::AUTHORS));
    header.put(1014, text(facts::LICENSE));
    header.put(
        1016,
        Value::Translated("System Environment/Base".to_owned()),
    );
    header.put(1021, text("linux"));
    header.put(1022, text(facts.machine.name));
    // A package without the name of a source package is taken for one.
    let source = format!("sunup-{}-{RELEASE}.src.rpm", facts.version);
    header.put(1044, Value::Text(source));
    header.put(1124, text("cpio"));
    header.put(1125, text("gzip"));
    header.put(1126, text("9"));
    header.put(5011, Value::Int32(vec![SHA256]));
}

/// What it gives, needs, and cannot stand beside.
fn depend(header: &mut Header, facts: &Facts) {
    let own = format!("{}-{RELEASE}", facts.version);
    let machine = facts.machine.name.replace('_', "-");
    let strings = |some: &[&str]| Value::texts(some.iter().map(|&text| text.to_owned()));
    header.put(1047, strings(&["sunup", &format!("sunup({machine})")]));
    header.put(1112, Value::Int32(vec![EQUAL; 2]));
    header.put(1113, strings(&[&own, &own]));
    let needs = [
        ("rpmlib(CompressedFileNames)", "3.0.4-1"),
        ("rpmlib(FileDigests)", "4.6.0-1"),
        ("rpmlib(PayloadFilesHavePrefix)", "4.0-1"),
    ];
    header.put(1048, Value::Int32(vec![OF_RPM; needs.len()]));
    header.put(1049, strings(&needs.map(|need| need.0)));
    header.put(1050, strings(&needs.map(|need| need.1)));
    header.put(1053, Value::Int32(vec![0]));
    header.put(1054, strings(&["runit"]));
    header.put(1055, strings(&[""]));
}

fn list(header: &mut Header, files: &[File], time: u32) {
    let mut dirs: Vec<String> = files.iter().map(|file| file.split().0.to_owned()).collect();
    dirs.sort();
    dirs.dedup();
    let dir_of = |file: &File| dirs.iter().position(|dir| dir == file.split().0);
    let digest = |file: &File| {
        let sum = file.is_regular().then(|| oci::sha256(&file.content));
        sum.unwrap_or_default()
    };
    let numbers = |of: &dyn Fn(&File) -> u32| Value::Int32(files.iter().map(of).collect());
    let shorts = |of: &dyn Fn(&File) -> u16| Value::Int16(files.iter().map(of).collect());
    let texts = |of: &dyn Fn(&File) -> String| Value::texts(files.iter().map(of));
    header.put(1028, numbers(&|file| file.data().len() as u32));
    header.put(1030, shorts(&|file| file.mode));
    header.put(1033, shorts(&|_| 0));
    header.put(1034, numbers(&|_| time));
    header.put(1035, texts(&digest));
    header.put(1036, texts(&|file| file.target.clone()));
    header.put(1037, numbers(&File::flags));
    header.put(1039, texts(&|_| "root".to_owned()));
    header.put(1040, texts(&|_| "root".to_owned()));
    header.put(1045, numbers(&|_| u32::MAX));
    header.put(1095, numbers(&|_| 1));
    header.put(1096, Value::Int32((1..).take(files.len()).collect()));
    header.put(1097, texts(&|_| String::new()));
    header.put(
        1116,
        numbers(&|file| dir_of(file).unwrap_or_default() as u32),
    );
    header.put(1117, texts(&|file| file.split().1.to_owned()));
    header.put(1118, Value::texts(dirs.iter().cloned()));
}

/// newc, as the kernel has it, but for the dot in front of each path.
fn archive(files: &[File], time: u32) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut put = |number: usize, mode: u16, time: u32, path: &str, data: &[u8]| {
        let (size, name_size) = (data.len(), path.len() + 1);
        let links = 1;
        archive.extend(
            format!(
                "070701{number:08x}{mode:08x}{:08x}{:08x}{links:08x}{time:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}{path}\0",
                0, 0, 0, 0, 0, 0, 0
            )
            .bytes(),
        );
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(data);
        archive.resize(archive.len().next_multiple_of(4), 0);
    };
    for (at, file) in files.iter().enumerate() {
        let path = format!(".{}", file.path);
        put(at + 1, file.mode, time, &path, file.data());
    }
    put(0, 0, 0, "TRAILER!!!", &[]);
    archive
}
