//! How root= of the kernel's command line and the first field of fstab(5) name a block
//! device: by its path, by numbers, or by what it holds or is called. Sources: fstab(5),
//! Documentation/admin-guide/kernel-parameters.txt of Linux.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::partition_table::Names;
use super::superblock::Content;
use super::uevent::Number;

/// A name as somebody wrote it, without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// A path, or anything else that is none of the following.
    Path(Vec<u8>),
    /// `MAJOR:MINOR`, or root='s hexadecimal number.
    Number(Number),
    /// Something that is looked for.
    Tag(Tag, Vec<u8>),
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The UUID of the file system.
    Uuid,
    /// Its label.
    Label,
    /// The UUID of the partition.
    PartUuid,
    /// The name of the partition.
    PartLabel,
}

/// How tags are written.
const TAGS: [(&[u8], Tag); 4] = [
    (b"UUID=", Tag::Uuid),
    (b"LABEL=", Tag::Label),
    (b"PARTUUID=", Tag::PartUuid),
    (b"PARTLABEL=", Tag::PartLabel),
];

impl DeviceName {
    /// Reads a name; everything is one.
    pub fn decode(text: &[u8]) -> Self {
        for (start, tag) in TAGS {
            if let Some(value) = text.strip_prefix(start) {
                return Self::Tag(tag, unquoted(value).to_vec());
            }
        }
        match Number::decode(text).or_else(|| hexadecimal(text)) {
            Some(number) => Self::Number(number),
            None => Self::Path(text.to_vec()),
        }
    }

    /// Whether it is looked for in the table of partitions, and not in what a device holds.
    pub const fn is_of_a_partition(&self) -> bool {
        matches!(self, Self::Tag(Tag::PartUuid | Tag::PartLabel, _))
    }

    /// Whether it means the device with this content.
    pub fn means(&self, content: &Content) -> bool {
        match self {
            Self::Tag(Tag::Uuid, uuid) => same(&content.uuid, uuid),
            Self::Tag(Tag::Label, label) => !label.is_empty() && content.label == *label,
            _ => false,
        }
    }

    /// Whether it means the partition of these names.
    pub fn means_partition(&self, names: &Names) -> bool {
        match self {
            Self::Tag(Tag::PartUuid, uuid) => same(&names.uuid, uuid),
            Self::Tag(Tag::PartLabel, label) => !label.is_empty() && names.label == *label,
            _ => false,
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.escape_ascii()),
            Self::Number(number) => write!(f, "{}:{}", number.major, number.minor),
            Self::Tag(tag, value) => {
                let start = TAGS.iter().find(|(_, known)| known == tag);
                let start = start.map_or(&b""[..], |(start, _)| start);
                write!(f, "{}{}", start.escape_ascii(), value.escape_ascii())
            }
        }
    }
}

/// UUIDs are the same in capitals.
fn same(uuid: &String, wanted: &[u8]) -> bool {
    !uuid.is_empty() && uuid.as_bytes().eq_ignore_ascii_case(wanted)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        plain => plain,
    }
}

/// The kernel takes `fd01` for 253:1: eight bits of the driver, eight of the device, and
/// above them twelve more of the device.
fn hexadecimal(text: &[u8]) -> Option<Number> {
    let is_one = (3..=8).contains(&text.len()) && text.iter().all(u8::is_ascii_hexdigit);
    let digits = core::str::from_utf8(text).ok().filter(|_| is_one)?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    Some(Number {
        major: number >> 8 & 0xfff,
        minor: number & 0xff | number >> 12 & 0xf_ff00,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn number(major: u32, minor: u32) -> DeviceName {
        DeviceName::Number(Number { major, minor })
    }

    #[test]
    fn every_way_to_name_a_device() {
        let tag = |tag, value: &[u8]| DeviceName::Tag(tag, value.to_vec());
        for (text, name) in [
            ("UUID=1234-ABCD", tag(Tag::Uuid, b"1234-ABCD")),
            ("LABEL=\"two words\"", tag(Tag::Label, b"two words")),
            ("PARTUUID=deadbeef-01", tag(Tag::PartUuid, b"deadbeef-01")),
            ("PARTLABEL=root", tag(Tag::PartLabel, b"root")),
            ("8:1", number(8, 1)),
            ("fd01", number(253, 1)),
            ("0801", number(8, 1)),
            ("100103", number(1, 0x103)),
            ("/dev/vda1", DeviceName::Path(b"/dev/vda1".to_vec())),
            ("tmpfs", DeviceName::Path(b"tmpfs".to_vec())),
            ("uuid=x", DeviceName::Path(b"uuid=x".to_vec())),
        ] {
            assert_eq!(DeviceName::decode(text.as_bytes()), name, "{text}");
        }
        let shown = DeviceName::decode(b"LABEL=\"two\nwords\"").to_string();
        assert_eq!(shown, "LABEL=two\\nwords");
    }

    #[test]
    fn an_empty_value_means_nothing() {
        let content = Content {
            kind: super::super::superblock::Kind::Squashfs,
            uuid: String::new(),
            label: Vec::new(),
        };
        for text in ["UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="] {
            let name = DeviceName::decode(text.as_bytes());
            assert!(!name.means(&content), "{text}");
            assert!(!name.means_partition(&Names::default()), "{text}");
        }
    }

    #[test]
    fn a_uuid_has_no_case_and_a_label_has() {
        let names = Names {
            uuid: "deadbeef-01".into(),
            label: b"Root".to_vec(),
        };
        let means = |text: &[u8]| DeviceName::decode(text).means_partition(&names);
        assert!(means(b"PARTUUID=DEADBEEF-01"));
        assert!(means(b"PARTLABEL=Root"));
        assert!(!means(b"PARTLABEL=root"));
        assert!(!means(b"UUID=deadbeef-01"));
    }
}
