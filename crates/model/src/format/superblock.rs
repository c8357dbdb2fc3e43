//! What a block device holds: type, UUID and label of a file system, or of swap space.
//!
//! Only the superblocks are read, through a function that the caller gives, and a device's
//! bytes are never trusted: whatever they are, a fixed number of reads of fixed length is
//! made. UUIDs are written as blkid(8) writes them. The label of a vfat is the one of its
//! boot sector. Sources: Documentation/filesystems of Linux and the headers of its file
//! systems; libblkid's answers for images that the real tools made are the tests.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Fills the buffer from this offset of the device (bytes); whether there were so many.
pub type Read<'a> = dyn FnMut(u64, &mut [u8]) -> bool + 'a;

/// What kind of file system it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The second extended file system, without a journal.
    Ext2,
    /// It with a journal.
    Ext3,
    /// It with anything newer.
    Ext4,
    /// SGI's.
    Xfs,
    /// Of copies on write.
    Btrfs,
    /// FAT with 12, 16 or 32 bits.
    Vfat,
    /// Compressed, read-only.
    Squashfs,
    /// Read-only.
    Erofs,
    /// For flash memory.
    F2fs,
    /// No file system, but swap space.
    Swap,
}

/// Every kind, in the order of their numbers.
const KINDS: [Kind; 10] = [
    Kind::Ext2,
    Kind::Ext3,
    Kind::Ext4,
    Kind::Xfs,
    Kind::Btrfs,
    Kind::Vfat,
    Kind::Squashfs,
    Kind::Erofs,
    Kind::F2fs,
    Kind::Swap,
];

impl Kind {
    /// A number that stands for it, which is not 0.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The kind that [`Self::number`] stands for.
    pub fn of_number(number: u8) -> Option<Self> {
        let at = usize::from(number).checked_sub(1)?;
        KINDS.get(at).copied()
    }

    /// The name that mount(2) knows; for swap space, that of fstab(5).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
            Self::F2fs => "f2fs",
            Self::Swap => "swap",
        }
    }
}

/// What a device holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The kind.
    pub kind: Kind,
    /// Its UUID in text; empty if it has none.
    pub uuid: String,
    /// Its label; empty if it has none.
    pub label: Vec<u8>,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if !self.uuid.is_empty() {
            write!(f, " UUID={}", self.uuid)?;
        }
        if !self.label.is_empty() {
            write!(f, " LABEL={}", self.label.escape_ascii())?;
        }
        Ok(())
    }
}

/// The first bytes of a device: all superblocks but that of btrfs and the mark of swap.
const HEAD_BYTES: usize = EXT + 0x47c;
/// Where the superblocks of ext, erofs and f2fs are, and the header of swap.
const EXT: usize = 1024;
/// Where the superblock of btrfs is.
const BTRFS: u64 = 0x1_0000;
/// The sizes of a page: swap space has its mark at the end of its first one.
const PAGES: [u64; 5] = [4096, 8192, 16384, 32768, 65536];

/// Looks at a device. `None`: it is none of the [`Kind`]s, or it is shorter than their heads.
pub fn probe(read: &mut Read<'_>) -> Option<Content> {
    let mut head = [0; HEAD_BYTES];
    if !read(0, &mut head) {
        return None;
    }
    xfs(&head)
        .or_else(|| btrfs(read))
        .or_else(|| ext(&head))
        .or_else(|| f2fs(&head))
        .or_else(|| erofs(&head))
        .or_else(|| squashfs(&head))
        .or_else(|| swap(&head, read))
        .or_else(|| vfat(&head))
}

fn xfs(head: &[u8]) -> Option<Content> {
    has(head, 0, b"XFSB").then(|| content(Kind::Xfs, at(head, 32, 16), at(head, 108, 12)))
}

fn btrfs(read: &mut Read<'_>) -> Option<Content> {
    let mut block = [0; 0x12b + 256];
    let found = read(BTRFS, &mut block) && has(&block, 0x40, b"_BHRfS_M");
    found.then(|| content(Kind::Btrfs, at(&block, 0x20, 16), at(&block, 0x12b, 256)))
}

fn ext(head: &[u8]) -> Option<Content> {
    const HAS_JOURNAL: u32 = 4;
    /// What ext3 may have: file types, a journal to replay, groups of descriptors.
    const INCOMPATIBLE_3: u32 = 0x2 | 0x4 | 0x10;
    const IS_A_JOURNAL: u32 = 8;
    /// What ext3 may have: sparse superblocks, large files, trees of directories.
    const READ_ONLY_3: u32 = 1 | 2 | 4;
    let block = at(head, EXT, 1024);
    if !has(block, 0x38, &[0x53, 0xef]) {
        return None;
    }
    let features = [0x5c, 0x60, 0x64].map(|offset| le32(block, offset));
    let kind = match features {
        [_, incompatible, _] if incompatible & IS_A_JOURNAL != 0 => return None,
        [_, incompatible, read_only]
            if incompatible & !INCOMPATIBLE_3 != 0 || read_only & !READ_ONLY_3 != 0 =>
        {
            Kind::Ext4
        }
        [compatible, ..] if compatible & HAS_JOURNAL != 0 => Kind::Ext3,
        _ => Kind::Ext2,
    };
    Some(content(kind, at(block, 0x68, 16), at(block, 0x78, 16)))
}

fn f2fs(head: &[u8]) -> Option<Content> {
    has(head, EXT, &[0x10, 0x20, 0xf5, 0xf2]).then(|| {
        let mut found = content(Kind::F2fs, at(head, EXT + 108, 16), &[]);
        found.label = utf16(at(head, EXT + 124, 1024));
        found
    })
}

fn erofs(head: &[u8]) -> Option<Content> {
    let found = has(head, EXT, &[0xe2, 0xe1, 0xf5, 0xe0]);
    found.then(|| content(Kind::Erofs, at(head, EXT + 48, 16), at(head, EXT + 64, 16)))
}

fn squashfs(head: &[u8]) -> Option<Content> {
    const VERSION: usize = 28;
    let found = has(head, 0, b"hsqs") && has(head, VERSION, &[4, 0]);
    found.then(|| content(Kind::Squashfs, &[], &[]))
}

fn swap(head: &[u8], read: &mut Read<'_>) -> Option<Content> {
    const MARK: &[u8; 10] = b"SWAPSPACE2";
    let mut mark = [0; MARK.len()];
    let mut ends = PAGES.into_iter().map(|page| page - MARK.len() as u64);
    // Of either byte order: the machine may have been another one.
    let version = le32(head, EXT);
    let found = (version == 1 || version == 1 << 24)
        && ends.any(|end| read(end, &mut mark) && mark == *MARK);
    found.then(|| content(Kind::Swap, at(head, EXT + 12, 16), at(head, EXT + 28, 16)))
}

fn vfat(head: &[u8]) -> Option<Content> {
    let sector = u16::from_le_bytes([byte(head, 11), byte(head, 12)]);
    let is_sound = has(head, 510, &[0x55, 0xaa])
        && matches!(byte(head, 0), 0xeb | 0xe9)
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && byte(head, 13).is_power_of_two()
        && matches!(byte(head, 16), 1 | 2);
    // FAT32 keeps its fields behind others of its own.
    let serial = match is_sound {
        true if has(head, 54, b"FAT") => 39,
        true if has(head, 82, b"FAT32") => 67,
        _ => return None,
    };
    let number = le32(head, serial);
    let mut found = content(Kind::Vfat, &[], at(head, serial + 4, 11));
    let _never = write!(found.uuid, "{:04X}-{:04X}", number >> 16, number & 0xffff);
    if found.label == b"NO NAME" {
        found.label.clear();
    }
    Some(found)
}

fn content(kind: Kind, uuid: &[u8], label: &[u8]) -> Content {
    let end = label.iter().position(|b| *b == 0).unwrap_or(label.len());
    let label = label.get(..end).unwrap_or_default();
    Content {
        kind,
        uuid: uuid_text(uuid),
        label: label.trim_ascii_end().to_vec(),
    }
}

/// The text of a UUID whose bytes are in the order in which they are written; nothing for
/// one that is all zeroes.
pub fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    if bytes.iter().all(|byte| *byte == 0) {
        return text;
    }
    for (n, byte) in bytes.iter().enumerate() {
        let _never = match n {
            4 | 6 | 8 | 10 => write!(text, "-{byte:02x}"),
            _ => write!(text, "{byte:02x}"),
        };
    }
    text
}

/// Text of 16-bit units, little-endian, up to the first zero.
pub fn utf16(bytes: &[u8]) -> Vec<u8> {
    let units = bytes.chunks_exact(2).map(|two| match two {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    let units = units.take_while(|unit| *unit != 0);
    let chars = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    chars.collect::<String>().into_bytes()
}

fn has(bytes: &[u8], offset: usize, magic: &[u8]) -> bool {
    at(bytes, offset, magic.len()) == magic
}

/// `len` bytes from `offset`; none if they are not all there.
pub fn at(bytes: &[u8], offset: usize, len: usize) -> &[u8] {
    bytes.get(offset..offset + len).unwrap_or_default()
}

fn byte(bytes: &[u8], offset: usize) -> u8 {
    bytes.get(offset).copied().unwrap_or_default()
}

/// A little-endian number of 32 bits at `offset`; 0 if it is not there.
pub fn le32(bytes: &[u8], offset: usize) -> u32 {
    let four = at(bytes, offset, 4).try_into();
    four.map_or(0, u32::from_le_bytes)
}
