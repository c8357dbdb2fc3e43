//! /proc/self/mountinfo: what is mounted where (proc_pid_mountinfo(5)).

use alloc::vec::Vec;

use super::decimal;

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: u32,
    /// The number of the mount that it is mounted on.
    pub parent: u32,
    /// Where it is, as seen from the root of the process.
    pub point: Vec<u8>,
    /// The type of the file system.
    pub kind: Vec<u8>,
    /// Whether the mount or its file system is read-only.
    pub read_only: bool,
}

/// The mounts in the order of the file; lines that are none are left out.
pub fn decode(text: &[u8]) -> Vec<Mount> {
    text.split(|b| *b == b'\n').filter_map(mount).collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    let id = decimal(fields.next()?)?;
    let parent = decimal(fields.next()?)?;
    let _device = fields.next()?;
    let _root = fields.next()?;
    let point = unescaped(fields.next()?);
    let options = fields.next()?;
    // Any number of optional fields, and a dash.
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = unescaped(fields.next()?);
    let _source = fields.next()?;
    let of_file_system = fields.next()?;
    let is_read_only = |options: &[u8]| options.split(|b| *b == b',').any(|word| word == b"ro");
    Some(Mount {
        id,
        parent,
        point,
        kind,
        read_only: is_read_only(options) || is_read_only(of_file_system),
    })
}

/// The file system of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Major and minor number, as /proc/locks has them.
    pub device: (u32, u32),
    /// Its type.
    pub kind: Vec<u8>,
}

/// The file system of the mount of this number.
pub fn file_system(text: &[u8], id: u64) -> Option<FileSystem> {
    let mut lines = text.split(|b| *b == b'\n');
    lines.find_map(|line| {
        let mut fields = line.split(|b| *b == b' ');
        if u64::from(decimal(fields.next()?)?) != id {
            return None;
        }
        let mut device = fields.nth(1)?.splitn(2, |b| *b == b':');
        let device = (decimal(device.next()?)?, decimal(device.next()?)?);
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = unescaped(fields.next()?);
        Some(FileSystem { device, kind })
    })
}

/// The kernel writes blanks, newlines and backslashes as three octal digits.
pub fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (
                b'\\',
                [
                    a @ b'0'..=b'3',
                    b @ b'0'..=b'7',
                    c @ b'0'..=b'7',
                    after @ ..,
                ],
            ) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => plain.push(*first),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;

    /// Of a machine with a disk, and of the manual page.
    const LINES: &[u8] = b"24 1 254:0 / / rw,relatime - ext4 /dev/root rw\n\
        25 24 0:6 / /dev rw,relatime shared:2 - devtmpfs devtmpfs rw,size=4k\n\
        36 24 98:0 /mnt1 /mnt\\040two rw,noatime master:1 shared:7 - ext3 /dev/root ro,errors=continue\n\
        37 24 0:40 / /media ro - vfat /dev/sdb1 rw\n";

    #[test]
    fn lines_of_the_kernel() {
        let mounts = decode(LINES);
        let said: Vec<_> = mounts
            .iter()
            .map(|m| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (m.id, m.parent, text(&m.point), text(&m.kind), m.read_only)
            })
            .collect();
        assert_eq!(
            said,
            vec![
                (24, 1, "/".into(), "ext4".into(), false),
                (25, 24, "/dev".into(), "devtmpfs".into(), false),
                (36, 24, "/mnt two".into(), "ext3".into(), true),
                (37, 24, "/media".into(), "vfat".into(), true),
            ]
        );
    }

    #[test]
    fn a_mount_is_found_by_its_number() {
        let found = |id| file_system(LINES, id).map(|fs| (fs.device, fs.kind));
        assert_eq!(found(36), Some(((98, 0), b"ext3".to_vec())));
        assert_eq!(found(37), Some(((0, 40), b"vfat".to_vec())));
        assert_eq!(found(3), None);
        assert_eq!(found(1 << 40), None);
        for end in 0..LINES.len() {
            drop(file_system(&LINES[..end], 37));
        }
        assert_eq!(file_system(b"1 2 3 / /\n1 0 0:x / / rw - a b c\n", 1), None);
    }

    #[test]
    fn every_cut_is_fewer_mounts() {
        for end in 0..LINES.len() {
            assert!(decode(&LINES[..end]).len() <= 4);
        }
        assert_eq!(decode(b"\n1 2 3\nx y - z\n1 2 a b c d e f g\n"), vec![]);
    }

    #[test]
    fn what_is_no_escape_stays() {
        for (field, plain) in [
            (&b"a\\011b\\134"[..], &b"a\tb\\"[..]),
            (b"\\04", b"\\04"),
            (b"\\400", b"\\400"),
            (b"\\", b"\\"),
        ] {
            assert_eq!(unescaped(field), plain);
        }
    }
}
