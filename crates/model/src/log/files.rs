//! The older files of a log: `@LABEL.s`, and `@LABEL.u`, which is not safe on the disk or
//! not processed yet. The label is the time at which the file was set aside, so the order
//! of the names is that of the lines.
//!
//! What a processor made of a file may be no text. It may be compressed, under the same
//! name or another one; then it is passed over.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::format::tai64n::Tai64n;

/// How compressed files begin: gzip, xz, zstd, bzip2, lz4.
const COMPRESSED: [&[u8]; 5] = [
    b"\x1f\x8b",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"\x04\x22\x4d\x18",
];

/// `@` and the digits of a label.
const LABEL_BYTES: usize = 25;

/// The older files of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The names of those that can be read; the oldest is the first. Of a file that is
    /// there as `.s` and as `.u`, the latter is complete.
    pub names: BTreeSet<Vec<u8>>,
    /// How many others there are, such as `@LABEL.s.gz`.
    pub others: usize,
}

/// When a file was set aside; `None`: its name is not that of an older file.
pub fn label(name: &[u8]) -> Option<Tai64n> {
    let (label, kind) = name.split_at_checked(LABEL_BYTES)?;
    let time = Tai64n::from_hex(label.strip_prefix(b"@")?)?;
    matches!(kind, b".s" | b".u").then_some(time)
}

/// The name that a file has after or before it was made safe.
pub fn twin(name: &[u8]) -> Vec<u8> {
    let (rest, last) = name.split_at(name.len().saturating_sub(1));
    let other: &[u8] = if last == b"u" { b"s" } else { b"u" };
    [rest, other].concat()
}

impl Files {
    /// Adds an entry of the directory.
    pub fn add(&mut self, name: &[u8]) {
        if label(name).is_some() {
            let twin = twin(name);
            if name.ends_with(b"u") {
                self.names.remove(&twin);
            }
            if !self.names.contains(&twin) {
                self.names.insert(name.to_vec());
            }
        } else if name.starts_with(b"@") && !name.ends_with(b".t") {
            // With .t, a processor has not finished it.
            self.others += 1;
        }
    }
}

/// Whether a file that begins so is compressed.
pub fn is_compressed(head: &[u8]) -> bool {
    COMPRESSED.iter().any(|magic| head.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn name(digit: char, rest: &str) -> Vec<u8> {
        format!("@40000000{digit}b9aca0a1dcd6500{rest}").into_bytes()
    }

    #[test]
    fn files_are_in_the_order_of_their_labels() {
        let mut files = Files::default();
        for entry in [
            name('5', ".s"),
            name('4', ".u"),
            name('4', ".s"),
            name('3', ".s"),
            name('6', ".t"),
            name('2', ".s.gz"),
            name('2', ""),
            b"@x.s".to_vec(),
            b"current".to_vec(),
            b"lock".to_vec(),
            b".hidden".to_vec(),
        ] {
            files.add(&entry);
        }
        let expected = [name('3', ".s"), name('4', ".u"), name('5', ".s")];
        assert!(files.names.iter().eq(&expected));
        assert_eq!(files.others, 3);
        files.add(&name('3', ".u"));
        assert!(!files.names.contains(&name('3', ".s")) && files.names.len() == 3);
        assert_eq!(twin(&name('4', ".u")), name('4', ".s"));
        assert_eq!(twin(&name('4', ".s")), name('4', ".u"));
        assert_eq!(twin(b""), b"u");
        let time = label(&name('3', ".s")).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&time.hex()),
            "400000003b9aca0a1dcd6500"
        );
    }

    #[test]
    fn compressed_files_are_known_by_their_beginning() {
        assert!(is_compressed(b"\x1f\x8b\x08\0"));
        assert!(is_compressed(b"BZh91AY"));
        for text in [&b""[..], b"\x1f", b"@4000", b"2026-11-29"] {
            assert!(!is_compressed(text));
        }
    }
}
