//! Block devices as the kernel lists them in /sys/class/block, and the one that a name of
//! root= or of fstab(5) means.
//!
//! A device is read, by a child with a bound, only where a name asks for what it holds:
//! superblocks and tables of partitions, each a few hundred bytes. Devices that others are made
//! of (RAID, LVM), and disks that are divided into partitions, hold nothing themselves. If a
//! name means several devices, the first by name counts.

use model::sorted::sort;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::format::decimal;
use model::format::device_name::DeviceName;
use model::format::partition_table::{self, Names, Place};
use model::format::superblock::{self, Content, Kind};
use model::format::uevent::Number;

use crate::sys::{bounded, file};

/// Where the kernel lists block devices.
const LIST: &str = "/sys/class/block";
/// More devices than a machine has; others are not looked at.
const DEVICES_MAX: usize = 4096;
/// The longest file of a device in sysfs that is read.
const ATTRIBUTE_BYTES_MAX: usize = 4096;
/// So long a device is waited for: a disk may have to begin to turn first.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// A block device.
pub struct Device {
    /// Its name as the kernel has it, with `!` for a slash.
    name: Vec<u8>,
    directory: PathBuf,
    /// Its number in the table of partitions, and the disk.
    partition: Option<(u32, Vec<u8>)>,
}

/// All block devices, by name.
///
/// # Errors
/// The kernel's list cannot be read: sysfs is not mounted.
pub fn all() -> io::Result<Vec<Device>> {
    let entries = fs::read_dir(LIST)?.take(DEVICES_MAX);
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut names: Vec<_> = names.collect();
    sort(&mut names);
    Ok(names.iter().map(|name| Device::new(name)).collect())
}

/// Reads devices. One that does not answer holds nothing, and is not asked again.
pub struct Search {
    tell: fn(&str),
    silent: Vec<PathBuf>,
}

impl Search {
    /// `tell`: for lines that say what is waited for.
    pub const fn new(tell: fn(&str)) -> Self {
        Self {
            tell,
            silent: Vec::new(),
        }
    }

    /// The node of the device that `name` means, if there is one.
    ///
    /// # Errors
    /// See [`all`].
    pub fn find(&mut self, name: &DeviceName) -> io::Result<Option<PathBuf>> {
        if let DeviceName::Path(path) = name {
            let path = PathBuf::from(OsStr::from_bytes(path));
            let found = fs::metadata(&path).is_ok_and(|meta| meta.file_type().is_block_device());
            return Ok(found.then_some(path));
        }
        let devices = all()?;
        let found = devices.iter().find(|device| match name {
            DeviceName::Number(number) => device.number() == Some(*number),
            _ if name.is_of_a_partition() => device.disk().is_some_and(|disk| {
                let names = || device.names().filter(|names| name.means_partition(names));
                self.ask(&disk, &mut || names().is_some().into()) != 0
            }),
            _ => {
                let content = || device.content().filter(|content| name.means(content));
                device.holds_something(&devices)
                    && self.ask(&device.node(), &mut || content().is_some().into()) != 0
            }
        });
        Ok(found.map(Device::node))
    }

    /// What the device at `node` holds; nothing if that is not known, or it cannot be read.
    pub fn kind(&mut self, node: &Path) -> Option<Kind> {
        let mut number = || content(node).map_or(0, |content| content.kind.number());
        Kind::of_number(self.ask(node, &mut number))
    }

    /// The result of `question`, which reads the device; 0: it does not answer.
    pub fn ask(&mut self, node: &Path, question: &mut dyn FnMut() -> u8) -> u8 {
        self.ask_for(READ_LIMIT, node, question)
    }

    fn ask_for(&mut self, limit: Duration, node: &Path, question: &mut dyn FnMut() -> u8) -> u8 {
        if self.silent.iter().any(|silent| silent == node) {
            return 0;
        }
        let (tell, shown) = (self.tell, node.display());
        let mut remind = |s| {
            tell(&format!(
                "{shown}: read: no answer for {s} s; waiting for it"
            ));
        };
        bounded::within_or_here(Some(limit), &mut remind, question).unwrap_or_else(|| {
            let s = limit.as_secs();
            tell(&format!("{shown}: read: no answer in {s} s; left out"));
            self.silent.push(node.to_path_buf());
            0
        })
    }
}

fn content(node: &Path) -> Option<Content> {
    superblock::probe(&mut reader(node)?)
}

impl Device {
    fn new(name: &OsStr) -> Self {
        let directory = Path::new(LIST).join(name);
        let number = attribute(&directory, "partition").and_then(|text| decimal(&text));
        let partition = number.and_then(|number| {
            // The directory of a partition is in that of its disk.
            let real = fs::read_link(&directory).ok()?;
            Some((number, real.parent()?.file_name()?.as_bytes().to_vec()))
        });
        Self {
            name: name.as_bytes().to_vec(),
            directory,
            partition,
        }
    }

    /// Its node in /dev.
    pub fn node(&self) -> PathBuf {
        node(&self.name)
    }

    /// Its size in bytes.
    pub fn size_bytes(&self) -> u64 {
        const SECTOR: u64 = 512;
        self.count("size").unwrap_or(0).saturating_mul(SECTOR)
    }

    /// What it holds, if that is known; reads it without a bound.
    pub fn content(&self) -> Option<Content> {
        content(&self.node())
    }

    /// The disk that it is a partition of.
    fn disk(&self) -> Option<PathBuf> {
        let (_, disk) = self.partition.as_ref()?;
        Some(node(disk))
    }

    fn number(&self) -> Option<Number> {
        Number::decode(&self.attribute("dev")?)
    }

    /// What it is called as a partition, if it is one.
    fn names(&self) -> Option<Names> {
        let (number, disk) = self.partition.as_ref()?;
        let place = Place {
            number: *number,
            start: self.count("start")?,
            sector_bytes: sector_bytes(disk).unwrap_or(512),
        };
        partition_table::names(&mut reader(&node(disk))?, place)
    }

    /// Whether what it holds may be its own, and there is a medium at all. A floppy disk drive
    /// would be waited for.
    fn holds_something(&self, all: &[Self]) -> bool {
        let is_divided = all.iter().any(|other| match &other.partition {
            Some((_, disk)) => *disk == self.name,
            None => false,
        });
        let holders = fs::read_dir(self.directory.join("holders"));
        let is_held = holders.is_ok_and(|mut holders| holders.next().is_some());
        let is_floppy = self.name.starts_with(b"fd");
        !is_divided && !is_held && !is_floppy && self.size_bytes() > 0
    }

    fn attribute(&self, name: &str) -> Option<Vec<u8>> {
        attribute(&self.directory, name)
    }

    fn count(&self, name: &str) -> Option<u64> {
        let text = self.attribute(name)?;
        std::str::from_utf8(&text).ok()?.parse().ok()
    }
}

fn node(name: &[u8]) -> PathBuf {
    let slashes = name.iter().map(|b| if *b == b'!' { b'/' } else { *b });
    let name: Vec<u8> = slashes.collect();
    Path::new("/dev").join(OsStr::from_bytes(&name))
}

fn sector_bytes(disk: &[u8]) -> Option<u32> {
    let directory = Path::new(LIST).join(OsStr::from_bytes(disk));
    decimal(&attribute(&directory, "queue/logical_block_size")?)
}

fn attribute(directory: &Path, name: &str) -> Option<Vec<u8>> {
    let text = file::read(&directory.join(name), ATTRIBUTE_BYTES_MAX).ok()?;
    Some(text.trim_ascii().to_vec())
}

/// Reads a device, or an image of one.
fn reader(node: &Path) -> Option<impl FnMut(u64, &mut [u8]) -> bool> {
    let device = open(node).ok()?;
    Some(move |offset, buffer: &mut [u8]| device.read_exact_at(buffer, offset).is_ok())
}

/// Opens it without waiting for a medium, and only if reading it does not wait for somebody.
fn open(node: &Path) -> io::Result<File> {
    let mut options = File::options();
    let device = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(node)?;
    let kind = device.metadata()?.file_type();
    if kind.is_block_device() || kind.is_file() {
        Ok(device)
    } else {
        Err(io::Error::other("not a block device"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::process::Command;

    const UUID: &str = "8d1fd2a5-3a6c-4d6e-9d3c-0f5e2b7c91a4";

    /// What the tools of the machine write today is known as blkid knows it.
    #[test]
    fn images_hold_what_blkid_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let all: [&[&str]; 4] = [
            &["mke2fs", "-q", "-t", "ext2", "-U", UUID, "-L", "two words"],
            &["mke2fs", "-q", "-t", "ext3", "-U", UUID],
            &["mke2fs", "-q", "-t", "ext4", "-U", UUID, "-L", "fourth"],
            &["mkswap", "-q", "-U", UUID, "-L", "swap"],
        ];
        for words in all {
            let image = File::create(&path).unwrap();
            image.set_len(8 << 20).unwrap();
            // Not everybody's PATH has them.
            let tool = Path::new("/sbin").join(words[0]);
            let mut make = Command::new(tool);
            assert!(
                make.args(&words[1..])
                    .arg(&path)
                    .status()
                    .unwrap()
                    .success()
            );
            let found = content(&path).unwrap();
            let blkid = |tag| {
                let mut blkid = Command::new("/sbin/blkid");
                let blkid = blkid.args(["-p", "-o", "value", "-s", tag]).arg(&path);
                let said = blkid.output().unwrap().stdout;
                String::from_utf8(said).unwrap().trim_end().to_owned()
            };
            assert_eq!(found.kind.name(), blkid("TYPE"), "{words:?}");
            let mut search = Search::new(|line| panic!("{line}"));
            assert_eq!(search.kind(&path), Some(found.kind));
            assert_eq!(found.uuid, blkid("UUID"), "{words:?}");
            assert_eq!(found.label, blkid("LABEL").as_bytes(), "{words:?}");
        }
    }

    #[test]
    fn what_is_no_device_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
        for path in [&fifo, dir.path(), Path::new("/dev/zero")] {
            assert_eq!(content(path), None, "{}", path.display());
        }
        assert_eq!(node(b"cciss!c0d0"), Path::new("/dev/cciss/c0d0"));
    }

    /// Whatever disks this machine has: a name by number means the device of that number.
    #[test]
    fn every_device_is_found_by_its_number() {
        let mut search = Search::new(|line| panic!("{line}"));
        for device in all().unwrap_or_default() {
            let number = device.number().unwrap();
            let name = DeviceName::Number(number);
            assert_eq!(search.find(&name).unwrap(), Some(device.node()));
        }
        for name in [b"UUID=none", b"/dev/null"] {
            let found = search.find(&DeviceName::decode(name));
            assert_eq!(found.unwrap_or_default(), None);
        }
    }

    #[test]
    fn a_device_that_does_not_answer_is_asked_once() {
        let mut search = Search::new(|line| {
            assert_eq!(line, "/dev/dead: read: no answer in 0 s; left out");
        });
        let short = Duration::from_millis(20);
        let mut hangs = || {
            let _never = rustix::event::poll(&mut [], None);
            1
        };
        let dead = Path::new("/dev/dead");
        assert_eq!(search.ask_for(short, dead, &mut hangs), 0);
        // It would not come back if it did it again.
        assert_eq!(search.ask(dead, &mut hangs), 0);
        assert_eq!(search.ask(Path::new("/dev/other"), &mut || 7), 7);
    }
}
