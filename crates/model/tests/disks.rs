//! Superblocks and tables of partitions, as the real tools write them (`golden/disks.txt`):
//! what blkid and sfdisk say of them is said here, and a cut or an overwritten one is
//! something else or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use model::format::partition_table::{self, Place};
use model::format::superblock::{Kind, probe};

/// A disk of the golden file: its bytes by offset, and what is said of it.
#[derive(Default)]
struct Disk {
    name: String,
    bytes: BTreeMap<u64, u8>,
    holds: Option<String>,
    partitions: Vec<String>,
}

impl Disk {
    /// Reads as from a device of `len` bytes.
    fn read(&self, len: u64, offset: u64, buffer: &mut [u8]) -> bool {
        let end = offset.checked_add(buffer.len() as u64);
        for (at, byte) in (offset..).zip(buffer.iter_mut()) {
            *byte = self.bytes.get(&at).copied().unwrap_or_default();
        }
        end.is_some_and(|end| end <= len)
    }
}

fn disks() -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    let lines = include_str!("golden/disks.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap();
        if word == "disk" {
            let name = rest.into();
            disks.push(Disk {
                name,
                ..Disk::default()
            });
            continue;
        }
        let disk = disks.last_mut().unwrap();
        match word {
            "holds" => disk.holds = Some(rest.into()),
            "partition" => disk.partitions.push(rest.into()),
            _ => {
                let offset = u64::from_str_radix(word, 16).unwrap();
                let digits = rest.as_bytes().chunks(2);
                let bytes = digits.map(|two| std::str::from_utf8(two).unwrap());
                let bytes = bytes.map(|two| u8::from_str_radix(two, 16).unwrap());
                disk.bytes.extend((offset..).zip(bytes));
            }
        }
    }
    disks
}

const WHOLE: u64 = 1 << 30;

fn said(disk: &Disk, len: u64) -> Option<String> {
    let found = probe(&mut |offset, buffer| disk.read(len, offset, buffer))?;
    let or_none = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let label = String::from_utf8(found.label).unwrap();
    let (uuid, label) = (or_none(&found.uuid), or_none(&label));
    Some(format!("{} {uuid} {label}", found.kind.name()))
}

#[test]
fn every_file_system_is_known_as_blkid_knows_it() {
    let disks = disks();
    let of_files: Vec<&Disk> = disks.iter().filter(|d| d.holds.is_some()).collect();
    assert!(of_files.len() >= 12, "{}", of_files.len());
    for disk in of_files {
        assert_eq!(said(disk, WHOLE), disk.holds, "{}", disk.name);
        // A device that ends before its superblock does is none of them.
        for len in [0, 1, 512, 1023, 1024, 2047] {
            assert_eq!(said(disk, len), None, "{} of {len} bytes", disk.name);
        }
    }
}

#[test]
fn a_journal_alone_is_no_file_system() {
    let mut disks = disks();
    let disk = disks.iter_mut().find(|d| d.name == "ext4").unwrap();
    disk.bytes.insert(1024 + 0x60, 8);
    assert_eq!(said(disk, WHOLE), None);
}

#[test]
fn swap_has_its_mark_at_the_end_of_a_page_of_any_size() {
    let mut disks = disks();
    let disk = disks.iter_mut().find(|d| d.name == "swap").unwrap();
    let mark: Vec<u8> = (4086..4096).map(|at| disk.bytes[&at]).collect();
    for page in [8192_u64, 16384, 65536] {
        disk.bytes.retain(|at, _| *at < 4000);
        assert_eq!(said(disk, WHOLE), None);
        disk.bytes.extend((page - 10..).zip(mark.clone()));
        assert!(said(disk, WHOLE).unwrap().starts_with(Kind::Swap.name()));
        assert_eq!(said(disk, page - 1), None);
    }
}

#[test]
fn every_partition_is_called_as_sfdisk_calls_it() {
    let mut count = 0;
    for disk in disks() {
        for line in &disk.partitions {
            count += 1;
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            let [number, start, uuid, label] = words[..] else {
                panic!("{line}");
            };
            let place = Place {
                number: number.parse().unwrap(),
                start: start.parse().unwrap(),
                sector_bytes: 512,
            };
            let names = |place, len| {
                let mut read = |offset, buffer: &mut [u8]| disk.read(len, offset, buffer);
                partition_table::names(&mut read, place)
            };
            let found = names(place, WHOLE).unwrap();
            assert_eq!(found.uuid, uuid);
            assert_eq!(
                String::from_utf8(found.label).unwrap(),
                label.replace('-', "")
            );
            assert_eq!(names(place, 511), None);
            if disk.name == "gpt" {
                let elsewhere = Place { start: 1, ..place };
                let beyond = Place {
                    number: 129,
                    ..place
                };
                let none = Place { number: 0, ..place };
                for wrong in [elsewhere, beyond, none] {
                    assert_eq!(names(wrong, WHOLE), None, "{wrong:?}");
                }
            }
        }
    }
    assert_eq!(count, 5);
}
