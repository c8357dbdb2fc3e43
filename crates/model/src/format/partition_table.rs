//! What a partition is called in its table: the PARTUUID and the PARTLABEL of root= and of
//! fstab(5).
//!
//! The kernel has read the table and tells number and start of each partition; here only
//! the names are looked up, in at most two reads. In a GPT the entry must begin where the
//! kernel says that the partition begins, so that remains of an old table count for nothing.
//! In an MBR a partition is called by the number of the disk and its own. Sources: the UEFI
//! specification, chapter 5; block/partitions of Linux.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::superblock::{Read, at, le32, utf16, uuid_text};

/// The names of a partition; what is empty it does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// PARTUUID.
    pub uuid: String,
    /// PARTLABEL, in UTF-8.
    pub label: Vec<u8>,
}

/// Where the kernel found a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 1.
    pub number: u32,
    /// Its first sector of 512 bytes.
    pub start: u64,
    /// The disk's own sectors, in bytes.
    pub sector_bytes: u32,
}

/// Where an MBR begins to be more than code: the number of the disk.
const MBR: u64 = 440;
/// The type of the partition that says: this is a GPT.
const PROTECTIVE: u8 = 0xee;

/// The names of the partition of a disk, which `read` reads.
pub fn names(read: &mut Read<'_>, place: Place) -> Option<Names> {
    let mut mbr = [0; 72];
    if !read(MBR, &mut mbr) || at(&mbr, 70, 2) != [0x55, 0xaa] {
        return None;
    }
    let types = [10, 26, 42, 58].map(|offset| at(&mbr, offset, 1));
    if types.contains(&&[PROTECTIVE][..]) {
        return gpt(read, place);
    }
    let disk = le32(&mbr, 0);
    let uuid = match disk {
        0 => String::new(),
        disk => format!("{disk:08x}-{:02x}", place.number),
    };
    let label = Vec::new();
    Some(Names { uuid, label })
}

fn gpt(read: &mut Read<'_>, place: Place) -> Option<Names> {
    let sector = u64::from(place.sector_bytes);
    let mut header = [0; 92];
    if !read(sector, &mut header) || at(&header, 0, 8) != b"EFI PART" {
        return None;
    }
    let (count, size) = (le32(&header, 80), le32(&header, 84));
    if place.number > count {
        return None;
    }
    let index = u64::from(place.number.checked_sub(1)?);
    let table = le64(&header, 72).checked_mul(sector)?;
    let offset = index.checked_mul(size.into())?.checked_add(table)?;
    let mut entry = [0; 128];
    if !read(offset, &mut entry) {
        return None;
    }
    let start = le64(&entry, 32).checked_mul(sector)? / 512;
    (start == place.start).then(|| Names {
        uuid: uuid_text(&written_order(at(&entry, 16, 16))),
        label: utf16(at(&entry, 56, 72)),
    })
}

/// A GPT has the first three parts of a UUID as little-endian numbers.
fn written_order(guid: &[u8]) -> Vec<u8> {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    ORDER.iter().filter_map(|i| guid.get(*i).copied()).collect()
}

fn le64(bytes: &[u8], offset: usize) -> u64 {
    u64::from(le32(bytes, offset)) | u64::from(le32(bytes, offset + 4)) << 32
}
