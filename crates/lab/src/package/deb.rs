//! A package for Debian and what is made of it: an archive of ar(5) with two archives of tar, one
//! for dpkg and one for the machine (deb(5)).
//!
//! dpkg gets only files under names of our own. The names of runit are links that the scripts in
//! `packaging/debian` make and take back, so that each name leads to a program at any moment, also
//! if the machine loses power: `/sbin/init` is one of those who need them.

use std::fmt::Write as _;

use anyhow::Result;
use model::format::cpio::Node;

use super::contents::Contents;
use super::facts::{self, Facts};
use crate::image::{self, Compress};
use crate::oci;
use crate::tree::Tree;

/// Completions for zsh, and where Debian's zsh looks for those of packages.
const ZSH: &[u8] = b"usr/share/zsh/site-functions/_sunup";
const ZSH_OF_PACKAGES: &[u8] = b"usr/share/zsh/vendor-completions/_sunup";

/// Debian 12 calls it by this path; Debian 13 has a link there.
const INIT: &str = "/usr/lib/runit/runit-init ../../bin/sunup\n";

const SCRIPTS: [(&str, &str); 4] = [
    (
        "preinst",
        include_str!("../../../../packaging/debian/preinst"),
    ),
    (
        "postinst",
        include_str!("../../../../packaging/debian/postinst"),
    ),
    ("prerm", include_str!("../../../../packaging/debian/prerm")),
    (
        "postrm",
        include_str!("../../../../packaging/debian/postrm"),
    ),
];

/// What the scripts share stands in the place of this line.
const COMMON_LINE: &str = "# @COMMON@\n";
const COMMON: &str = include_str!("../../../../packaging/debian/common");
/// In it, the table of names stands in the place of this line.
const NAMES_LINE: &str = "@NAMES@\n";

/// The package.
///
/// # Errors
/// A file that does not fit into it.
pub fn package(contents: &Contents, facts: &Facts) -> Result<Vec<u8>> {
    let mut data = Tree::default();
    data.put_tree(b"usr", &contents.files);
    if data.has(ZSH) {
        data.put_link(ZSH_OF_PACKAGES, b"../site-functions/_sunup");
    }
    let mut control = Tree::default();
    let text = control_file(&data, facts)?;
    control.put_file(b"control", false, text.into_bytes());
    let common = COMMON.replace(NAMES_LINE, &names(contents));
    for (name, script) in SCRIPTS {
        let script = script.replace(COMMON_LINE, &common);
        control.put_file(name.as_bytes(), true, script.into_bytes());
    }
    let pack = |tree: &Tree| image::pack(&oci::tar(tree, facts.time)?, Compress::Gzip);
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", pack(&control)?),
        ("data.tar.gz", pack(&data)?),
    ];
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let (time, size) = (facts.time, content.len());
        let header = format!("{name:<16}{time:<12}0     0     100644  {size:<10}`\n");
        archive.extend(header.bytes());
        archive.extend(&content);
        archive.extend((size % 2 == 1).then_some(b'\n'));
    }
    Ok(archive)
}

/// What apt and dpkg show of it.
fn control_file(data: &Tree, facts: &Facts) -> Result<String> {
    let kib = |entry: crate::tree::Entry<'_>| match entry.node {
        Node::File(content) => content.len().div_ceil(1024),
        _ => 1,
    };
    let size: usize = data.entries().map(kib).sum();
    let mut text = format!(
        "Package: sunup\nVersion: {}\nArchitecture: {}\nMaintainer: {}\nInstalled-Size: {size}\n\
         Recommends: runit-run | runit-init\nEnhances: runit, runit-init\n\
         Section: admin\nPriority: optional\nDescription: {}\n",
        facts.version,
        facts.machine.debian,
        facts::AUTHORS,
        facts::SUMMARY,
    );
    for line in facts::DESCRIPTION {
        writeln!(text, " {line}")?;
    }
    text.push_str(
        " .\n Where Debian's runit is installed, or will be, its programs are put aside by\n \
         dpkg-divert, and are back when this package is removed.\n",
    );
    Ok(text)
}

/// A line for each name of runit's: its path, and where it leads to.
fn names(contents: &Contents) -> String {
    let lines = contents.names.iter();
    let lines = lines.map(|name| format!("/usr/{} {}\n", name.path, name.target));
    lines.chain([INIT.to_owned()]).collect()
}
