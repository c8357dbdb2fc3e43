//! A tarball for any Linux: what a package holds, below `files`, and the script that puts it into
//! its place and another that undoes that.

use anyhow::Result;

use super::contents::Contents;
use super::facts::Facts;
use crate::image::{self, Compress};
use crate::oci;
use crate::tree::Tree;

const SCRIPTS: [(&str, &str); 2] = [
    (
        "install.sh",
        include_str!("../../../../packaging/install.sh"),
    ),
    (
        "uninstall.sh",
        include_str!("../../../../packaging/uninstall.sh"),
    ),
];

/// The one directory in it.
pub fn top(facts: &Facts) -> String {
    format!("sunup-{}-{}-linux", facts.version, facts.machine.name)
}

/// The archive.
///
/// # Errors
/// A file that does not fit into it.
pub fn archive(contents: &Contents, facts: &Facts) -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    let top = top(facts);
    for (name, script) in SCRIPTS {
        tree.put_file(format!("{top}/{name}").as_bytes(), true, script.into());
    }
    let files = format!("{top}/files");
    tree.put_tree(files.as_bytes(), &contents.files);
    for name in &contents.names {
        let path = format!("{files}/{}", name.path);
        tree.put_link(path.as_bytes(), name.target.as_bytes());
    }
    image::pack(&oci::tar(&tree, facts.time)?, Compress::Gzip)
}
