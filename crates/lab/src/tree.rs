//! A file tree in memory: what an image is made of.
//!
//! It is filled from directories and by hand, and needs no privilege: device
//! nodes are only described. A later entry of a name replaces the earlier one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use model::format::cpio::{self, Device, Inode, Node};

/// Names, and the inodes they stand for.
#[derive(Clone, Default)]
pub struct Tree {
    inodes: Vec<(u32, Node<'static>)>,
    names: BTreeMap<Vec<u8>, usize>,
}

/// A name in a tree, and what it stands for.
pub struct Entry<'a> {
    /// The path, without a slash in front.
    pub name: &'a [u8],
    /// The number of the inode: names of the same number are hard links.
    pub inode: usize,
    /// How many names the inode has.
    pub names: usize,
    /// Permissions.
    pub perm: u32,
    /// What it is.
    pub node: &'a Node<'static>,
}

impl Tree {
    /// All names, in their order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut counts = vec![0; self.inodes.len()];
        for inode in self.names.values() {
            counts[*inode] += 1;
        }
        self.names.iter().filter_map(move |(name, inode)| {
            let (perm, node) = self.inodes.get(*inode)?;
            Some(Entry {
                name,
                inode: *inode,
                names: counts[*inode],
                perm: *perm,
                node,
            })
        })
    }

    /// Takes a name away, with all that is below it.
    pub fn remove_below(&mut self, name: &[u8]) {
        let below = [name, b"/"].concat();
        self.names
            .retain(|other, _| other != name && !other.starts_with(&below));
    }

    /// Puts another tree at `name`.
    pub fn put_tree(&mut self, name: &[u8], other: &Tree) {
        self.put(name, 0o755, Node::Directory);
        let mut firsts: HashMap<usize, Vec<u8>> = HashMap::new();
        for entry in other.entries() {
            let place = [name, b"/", entry.name].concat();
            if let Some(first) = firsts.get(&entry.inode) {
                self.put_name(&place, first);
            } else {
                self.put(&place, entry.perm, entry.node.clone());
                firsts.insert(entry.inode, place);
            }
        }
    }

    /// Puts an entry at `name`, and directories (0755) above it where there are none.
    pub fn put(&mut self, name: &[u8], perm: u32, node: Node<'static>) {
        self.add_parents(name);
        let index = self.inodes.len();
        self.inodes.push((perm, node));
        self.names.insert(name.to_vec(), index);
    }

    /// Puts an executable (0755) or plain (0644) file.
    pub fn put_file(&mut self, name: &[u8], executable: bool, content: Vec<u8>) {
        let perm = if executable { 0o755 } else { 0o644 };
        self.put(name, perm, Node::File(Cow::Owned(content)));
    }

    /// Puts a symbolic link.
    pub fn put_link(&mut self, name: &[u8], target: &[u8]) {
        self.put(name, 0o777, Node::Symlink(Cow::Owned(target.to_vec())));
    }

    /// Puts `new` in the place of every `old` in the text of a file.
    pub fn replace(&mut self, name: &[u8], old: &str, new: &str) {
        let inode = self.names.get(name).and_then(|i| self.inodes.get_mut(*i));
        if let Some((_, Node::File(content))) = inode {
            let text = String::from_utf8_lossy(content).replace(old, new);
            *content = Cow::Owned(text.into_bytes());
        }
    }

    /// Puts another name of what is at `of`: a hard link. Nothing if nothing is there.
    pub fn put_name(&mut self, name: &[u8], of: &[u8]) {
        if let Some(index) = self.names.get(of).copied() {
            self.add_parents(name);
            self.names.insert(name.to_vec(), index);
        }
    }

    /// Whether `name` is there.
    pub fn has(&self, name: &[u8]) -> bool {
        self.names.contains_key(name)
    }

    /// What is at `name`.
    pub fn get(&self, name: &[u8]) -> Option<&Node<'static>> {
        let index = self.names.get(name)?;
        self.inodes.get(*index).map(|(_, node)| node)
    }

    /// Whether a symbolic link is at `name`.
    pub fn is_link(&self, name: &[u8]) -> bool {
        matches!(self.get(name), Some(Node::Symlink(_)))
    }

    /// The names that begin with `prefix`, without it.
    #[cfg(test)]
    pub fn names_below(&self, prefix: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.names
            .keys()
            .filter_map(move |name| name.strip_prefix(prefix))
    }

    /// The last components of the links that lead to a file of the name `base`.
    pub fn links_to(&self, base: &[u8]) -> Vec<String> {
        let last = |path: &[u8]| path.rsplit(|b| *b == b'/').next().map(<[u8]>::to_vec);
        let leads = |index: &usize| match self.inodes.get(*index) {
            Some((_, Node::Symlink(target))) => last(target).as_deref() == Some(base),
            _ => false,
        };
        let names = self.names.iter().filter(|(_, index)| leads(index));
        names
            .filter_map(|(name, _)| String::from_utf8(last(name)?).ok())
            .collect()
    }

    /// Takes `name` away, and what is below it.
    pub fn remove(&mut self, name: &[u8]) {
        self.names.retain(|other, _| {
            let rest = other.strip_prefix(name);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        });
    }

    /// Takes every name away whose last component is `base` and which is not a directory.
    pub fn remove_by_base(&mut self, base: &[u8]) {
        let inodes = &self.inodes;
        self.names.retain(|name, index| {
            let same = name.rsplit(|b| *b == b'/').next() == Some(base);
            let directory = inodes.get(*index).is_some_and(|i| i.1 == Node::Directory);
            !same || directory
        });
    }

    fn add_parents(&mut self, name: &[u8]) {
        let slashes = name.iter().enumerate().filter(|(_, b)| **b == b'/');
        for (end, _) in slashes {
            let parent = name.get(..end).unwrap_or_default();
            if !self.has(parent) {
                let index = self.inodes.len();
                self.inodes.push((0o755, Node::Directory));
                self.names.insert(parent.to_vec(), index);
            }
        }
    }

    /// Adds what is below the directory `dir` as it is: permissions, symbolic
    /// and hard links, device nodes, names of any bytes. Owners are not kept:
    /// in an image everything belongs to root.
    pub fn add_dir(&mut self, dir: &Path) -> Result<()> {
        self.walk(dir, b"", &mut HashMap::new())
    }

    /// Adds what is below `dir`, a checkout of plain files: git keeps of their
    /// permissions only whether they are executable, and so does this.
    pub fn add_plain_dir(&mut self, dir: &Path) -> Result<()> {
        let first = self.inodes.len();
        self.add_dir(dir)?;
        for (perm, node) in self.inodes.iter_mut().skip(first) {
            let searchable = *node == Node::Directory || *perm & 0o100 != 0;
            *perm = match node {
                Node::Symlink(_) => 0o777,
                _ if searchable => 0o755,
                _ => 0o644,
            };
        }
        Ok(())
    }

    fn walk(
        &mut self,
        dir: &Path,
        under: &[u8],
        seen: &mut HashMap<(u64, u64), usize>,
    ) -> Result<()> {
        let entries = fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("read {}", dir.display()))?;
            let path = entry.path();
            let name = join(under, &entry.file_name());
            let meta =
                fs::symlink_metadata(&path).with_context(|| format!("stat {}", path.display()))?;
            let inode = (meta.dev(), meta.ino());
            if let Some(index) = seen.get(&inode) {
                self.names.insert(name, *index);
                continue;
            }
            let index = self.inodes.len();
            let perm = meta.permissions().mode() & 0o7777;
            self.put(&name, perm, read_node(&path, &meta)?);
            if meta.is_dir() {
                self.walk(&path, &name, seen)?;
            } else if meta.nlink() > 1 {
                seen.insert(inode, index);
            }
        }
        Ok(())
    }

    /// The newc archive of the tree, modified at `mtime` seconds since 1970.
    pub fn archive(&self, mtime: u32) -> Result<Vec<u8>> {
        let mut names: BTreeMap<usize, Vec<Cow<'_, [u8]>>> = BTreeMap::new();
        for (name, index) in &self.names {
            names.entry(*index).or_default().push(Cow::Borrowed(name));
        }
        let inodes: Vec<Inode<'_>> = names
            .into_iter()
            .filter_map(|(index, names)| {
                let (perm, node) = self.inodes.get(index)?;
                Some(Inode {
                    names,
                    perm: *perm,
                    node: borrow(node),
                })
            })
            .collect();
        let mut archive = Vec::new();
        if let Err(e) = cpio::encode(&inodes, mtime, |bytes| archive.extend_from_slice(bytes)) {
            bail!("cpio archive: {e}");
        }
        Ok(archive)
    }
}

fn borrow<'a>(node: &'a Node<'static>) -> Node<'a> {
    match node {
        Node::File(data) => Node::File(Cow::Borrowed(data)),
        Node::Symlink(target) => Node::Symlink(Cow::Borrowed(target)),
        other => other.clone(),
    }
}

fn join(under: &[u8], name: &OsStr) -> Vec<u8> {
    let mut path = under.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    path
}

fn read_node(path: &Path, meta: &Metadata) -> Result<Node<'static>> {
    let kind = meta.file_type();
    let device = Device {
        major: rustix::fs::major(meta.rdev()),
        minor: rustix::fs::minor(meta.rdev()),
    };
    Ok(if kind.is_dir() {
        Node::Directory
    } else if kind.is_symlink() {
        let target = fs::read_link(path).with_context(|| format!("read {}", path.display()))?;
        Node::Symlink(Cow::Owned(target.into_os_string().into_vec()))
    } else if kind.is_char_device() {
        Node::Char(device)
    } else if kind.is_block_device() {
        Node::Block(device)
    } else if kind.is_fifo() {
        Node::Fifo
    } else if kind.is_socket() {
        Node::Socket
    } else {
        if u32::try_from(meta.len()).is_err() {
            bail!(
                "{}: 4 GiB or more do not fit into a newc archive",
                path.display()
            );
        }
        let data = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Node::File(Cow::Owned(data))
    })
}
