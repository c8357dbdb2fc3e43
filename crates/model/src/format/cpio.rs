//! The newc cpio archive, which the kernel unpacks as its first root file system.
//!
//! An archive is a list of inodes, each with one or more names. [`encode`] is
//! deterministic: it sorts names by their bytes, so that a directory comes before its
//! entries; it numbers inodes from 1 in that order; owner and group are 0. If a file has
//! several names, the last one gets its data, and the others are empty. GNU cpio writes and
//! reads that, and the kernel reads it. [`decode`] reads one archive, in any order and with
//! any inode numbers.
//!
//! Sources: Documentation/driver-api/early-userspace/buffer-format.rst and
//! init/initramfs.c of Linux for the bounds; cpio(5).

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

/// The longest name and the longest symlink target, in bytes. With the NUL this is the
/// kernel's `PATH_MAX`; the kernel skips longer entries without a message.
pub const NAME_BYTES_MAX: usize = 4095;

/// The length of an archive is a multiple of this, as with GNU cpio.
const BLOCK_BYTES: u64 = 512;

/// Magic and 13 hexadecimal fields of 8 digits.
const HEADER_BYTES: usize = 110;

const MAGIC: &[u8; 6] = b"070701";
const TRAILER: &[u8] = b"TRAILER!!!";

const TYPE_MASK: u32 = 0o170_000;

/// One file system object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode<'a> {
    /// Its names, relative to the root, without a leading slash. Any byte but NUL may occur.
    pub names: Vec<Cow<'a, [u8]>>,
    /// Permission bits, with set-id and sticky: the low 12 bits of the mode.
    pub perm: u32,
    /// What it is.
    pub node: Node<'a>,
}

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    /// A directory.
    Directory,
    /// A regular file and its content.
    File(Cow<'a, [u8]>),
    /// A symbolic link and its target.
    Symlink(Cow<'a, [u8]>),
    /// A character device.
    Char(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
    /// A socket. It is kept, because a directory may hold one; nobody listens on it.
    Socket,
}

/// The number of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The number of the driver.
    pub major: u32,
    /// The number of the device within the driver.
    pub minor: u32,
}

/// Why an archive cannot be written: a name, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// The name, as it was given.
    pub name: Vec<u8>,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What cannot be in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An inode has no name.
    NoName,
    /// A name is empty, absolute, holds a NUL or an empty, `.` or `..` component.
    BadName,
    /// A name or target is longer than [`NAME_BYTES_MAX`].
    TooLong,
    /// `TRAILER!!!` at the top would end the archive.
    Reserved,
    /// Two inodes have the same name.
    Duplicate,
    /// No inode is the directory that should hold this name.
    NoParent,
    /// A file of 4 GiB or more, or too many inodes: the fields have 32 bits.
    TooBig,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::NoName => "an inode without a name",
            Reason::BadName => "not a plain relative path",
            Reason::TooLong => "longer than 4095 bytes, which the kernel would skip",
            Reason::Reserved => "this name marks the end of an archive",
            Reason::Duplicate => "two entries of this name",
            Reason::NoParent => "its directory is not in the archive",
            Reason::TooBig => "4 GiB or more do not fit into a newc archive",
        };
        write!(f, "{}: {reason}", self.name.escape_ascii())
    }
}

/// Why bytes are no archive: where, and what is wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The offset of the header in bytes.
    pub offset: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpio entry at byte {}: {}", self.offset, self.what)
    }
}

/// The numbers of one header. We write 0 for all other fields.
#[derive(Clone, Copy, Default)]
struct Header {
    ino: u32,
    mode: u32,
    nlink: u32,
    mtime: u32,
    size: u32,
    device: (u32, u32),
    rdev: (u32, u32),
    name_size: u32,
}

/// Writes the archive of `inodes` to `sink`, piece by piece. All get the modification time
/// `mtime`, in seconds since 1970.
pub fn encode(
    inodes: &[Inode<'_>],
    mtime: u32,
    mut sink: impl FnMut(&[u8]),
) -> Result<(), EncodeError> {
    let names = sorted_names(inodes)?;
    let mut out = Out {
        sink: &mut sink,
        written: 0,
    };
    let mut seen: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
    for (name, index) in names {
        let Some(inode) = inodes.get(index) else {
            continue;
        };
        let nlink = number(name, inode.names.len() as u64)?;
        let next = number(name, seen.len() as u64 + 1)?;
        let (ino, count) = seen.entry(index).or_insert((next, 0));
        *count += 1;
        let body = match &inode.node {
            Node::File(data) if *count == nlink => data,
            Node::Symlink(target) => target,
            _ => &Cow::Borrowed(&[][..]),
        };
        let header = Header {
            ino: *ino,
            mode: kind(&inode.node) | inode.perm & !TYPE_MASK,
            nlink: directory_links(&inode.node).max(nlink),
            mtime,
            size: number(name, body.len() as u64)?,
            rdev: rdev(&inode.node),
            ..Header::default()
        };
        out.entry(header, name, body);
    }
    let last = Header {
        nlink: 1,
        ..Header::default()
    };
    out.entry(last, TRAILER, &[]);
    out.pad(BLOCK_BYTES);
    Ok(())
}

/// Checks all names. Returns them with the indices of their inodes.
fn sorted_names<'i>(inodes: &'i [Inode<'_>]) -> Result<BTreeMap<&'i [u8], usize>, EncodeError> {
    let mut names = BTreeMap::new();
    for (index, inode) in inodes.iter().enumerate() {
        if inode.names.is_empty() {
            return Err(wrong(b"", Reason::NoName));
        }
        for name in &inode.names {
            check_name(name)?;
            if let Node::Symlink(target) = &inode.node
                && target.len() > NAME_BYTES_MAX
            {
                return Err(wrong(name, Reason::TooLong));
            }
            if names.insert(name.as_ref(), index).is_some() {
                return Err(wrong(name, Reason::Duplicate));
            }
        }
    }
    for name in names.keys() {
        if let Some((parent, _)) = split_last(name) {
            let holder = names.get(parent).and_then(|i| inodes.get(*i));
            if !holder.is_some_and(|i| i.node == Node::Directory) {
                return Err(wrong(name, Reason::NoParent));
            }
        }
    }
    Ok(names)
}

fn check_name(name: &[u8]) -> Result<(), EncodeError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(wrong(name, Reason::TooLong));
    }
    if name == TRAILER {
        return Err(wrong(name, Reason::Reserved));
    }
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    if name.contains(&0) || !name.split(|b| *b == b'/').all(plain) {
        return Err(wrong(name, Reason::BadName));
    }
    Ok(())
}

/// The parent and the last component. `None`: the name has no parent.
fn split_last(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = name.iter().rposition(|b| *b == b'/')?;
    Some((name.get(..slash)?, name.get(slash + 1..)?))
}

fn wrong(name: &[u8], reason: Reason) -> EncodeError {
    EncodeError {
        name: name.to_vec(),
        reason,
    }
}

/// A count as a header field.
fn number(name: &[u8], n: u64) -> Result<u32, EncodeError> {
    u32::try_from(n).map_err(|_| wrong(name, Reason::TooBig))
}

fn kind(node: &Node<'_>) -> u32 {
    match node {
        Node::Socket => 0o140_000,
        Node::Symlink(_) => 0o120_000,
        Node::File(_) => 0o100_000,
        Node::Block(_) => 0o060_000,
        Node::Directory => 0o040_000,
        Node::Char(_) => 0o020_000,
        Node::Fifo => 0o010_000,
    }
}

/// The link count of a directory is 2, as if it had no subdirectories; nobody reads it.
fn directory_links(node: &Node<'_>) -> u32 {
    if *node == Node::Directory { 2 } else { 1 }
}

fn rdev(node: &Node<'_>) -> (u32, u32) {
    match node {
        Node::Char(d) | Node::Block(d) => (d.major, d.minor),
        _ => (0, 0),
    }
}

/// Counts the bytes that it passes on, for the padding.
struct Out<'s> {
    sink: &'s mut dyn FnMut(&[u8]),
    written: u64,
}

impl Out<'_> {
    fn entry(&mut self, mut header: Header, name: &[u8], body: &[u8]) {
        header.name_size = name.len() as u32 + 1;
        self.put(&header.encode());
        self.put(name);
        self.put(&[0]);
        self.pad(4);
        self.put(body);
        self.pad(4);
    }

    fn put(&mut self, bytes: &[u8]) {
        (self.sink)(bytes);
        self.written += bytes.len() as u64;
    }

    fn pad(&mut self, multiple: u64) {
        let missing = (self.written.next_multiple_of(multiple) - self.written) as usize;
        if let Some(zeros) = [0; BLOCK_BYTES as usize].get(..missing) {
            self.put(zeros);
        }
    }
}

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let fields = [
            self.ino,
            self.mode,
            0, // uid
            0, // gid
            self.nlink,
            self.mtime,
            self.size,
            self.device.0,
            self.device.1,
            self.rdev.0,
            self.rdev.1,
            self.name_size,
            0, // check sum, of the crc variant only
        ];
        let mut out = [b'0'; HEADER_BYTES];
        let (magic, digits) = out.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        for (place, field) in digits.chunks_exact_mut(8).zip(fields) {
            for (i, digit) in place.iter_mut().enumerate() {
                let nibble = field >> (28 - 4 * i) & 15;
                *digit =
                    char::from_digit(nibble, 16).map_or(b'0', |c| c.to_ascii_uppercase() as u8);
            }
        }
        out
    }

    /// Real archives use upper-case and lower-case digits.
    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let (magic, digits) = bytes.split_at_checked(6).ok_or("cut off")?;
        if magic != MAGIC {
            return Err("no newc magic 070701");
        }
        let mut fields = [0_u32; 13];
        for (field, place) in fields.iter_mut().zip(digits.chunks_exact(8)) {
            for digit in place {
                let value = char::from(*digit).to_digit(16).ok_or("a bad digit")?;
                *field = *field << 4 | value;
            }
        }
        let [
            ino,
            mode,
            _,
            _,
            nlink,
            mtime,
            size,
            dev_major,
            dev_minor,
            major,
            minor,
            name_size,
            _,
        ] = fields;
        Ok(Self {
            ino,
            mode,
            nlink,
            mtime,
            size,
            device: (dev_major, dev_minor),
            rdev: (major, minor),
            name_size,
        })
    }
}

/// Reads the archive at the start of `bytes`, up to its trailer.
pub fn decode(bytes: &[u8]) -> Result<Vec<Inode<'_>>, DecodeError> {
    let mut inodes: Vec<Inode<'_>> = Vec::new();
    let mut linked: BTreeMap<(u32, (u32, u32)), usize> = BTreeMap::new();
    let mut at = 0;
    loop {
        let fail = |what| DecodeError { offset: at, what };
        let Raw {
            header,
            name,
            body,
            end,
        } = entry(bytes, at).map_err(fail)?;
        if name == TRAILER {
            return Ok(inodes);
        }
        let node = node(&header, body).map_err(fail)?;
        let key = (header.ino, header.device);
        let earlier = match (&node, linked.get(&key)) {
            (Node::Directory, _) | (_, None) => None,
            (_, Some(index)) => inodes.get_mut(*index),
        };
        if let Some(inode) = earlier {
            inode.names.push(Cow::Borrowed(name));
            if !body.is_empty() {
                inode.node = node;
            }
        } else {
            if header.nlink > 1 {
                linked.insert(key, inodes.len());
            }
            inodes.push(Inode {
                names: Vec::from([Cow::Borrowed(name)]),
                perm: header.mode & !TYPE_MASK,
                node,
            });
        }
        at = end;
    }
}

/// One entry as it is in the archive.
struct Raw<'a> {
    header: Header,
    name: &'a [u8],
    body: &'a [u8],
    /// Where the next entry begins, in bytes.
    end: usize,
}

fn entry(bytes: &[u8], at: usize) -> Result<Raw<'_>, &'static str> {
    const CUT: &str = "cut off";
    let name_at = at.checked_add(HEADER_BYTES).ok_or(CUT)?;
    let header = Header::decode(bytes.get(at..name_at).ok_or(CUT)?)?;
    let name_end = name_at.checked_add(header.name_size as usize).ok_or(CUT)?;
    let name = bytes.get(name_at..name_end).ok_or(CUT)?;
    let name = name.strip_suffix(&[0]).ok_or("a name without its NUL")?;
    let body_at = name_end.next_multiple_of(4);
    let body_end = body_at.checked_add(header.size as usize).ok_or(CUT)?;
    let body = bytes.get(body_at..body_end).ok_or(CUT)?;
    Ok(Raw {
        header,
        name,
        body,
        end: body_end.next_multiple_of(4),
    })
}

fn node<'a>(header: &Header, body: &'a [u8]) -> Result<Node<'a>, &'static str> {
    let device = Device {
        major: header.rdev.0,
        minor: header.rdev.1,
    };
    Ok(match header.mode & TYPE_MASK {
        0o140_000 => Node::Socket,
        0o120_000 => Node::Symlink(Cow::Borrowed(body)),
        0o100_000 => Node::File(Cow::Borrowed(body)),
        0o060_000 => Node::Block(device),
        0o040_000 => Node::Directory,
        0o020_000 => Node::Char(device),
        0o010_000 => Node::Fifo,
        _ => return Err("an unknown file type"),
    })
}

#[cfg(test)]
mod tests;
