//! The options of a mount: words for the kernel's flags, words for user space, and what is
//! left, which the file system itself reads.

use alloc::vec::Vec;

const RDONLY: u32 = 1;
const NOSUID: u32 = 2;
const NODEV: u32 = 4;
const NOEXEC: u32 = 8;
const SYNCHRONOUS: u32 = 16;
const REMOUNT: u32 = 32;
const MANDLOCK: u32 = 64;
const DIRSYNC: u32 = 128;
const NOSYMFOLLOW: u32 = 256;
const NOATIME: u32 = 1024;
const NODIRATIME: u32 = 2048;
const BIND: u32 = 4096;
const REC: u32 = 1 << 14;
const SILENT: u32 = 1 << 15;
const UNBINDABLE: u32 = 1 << 17;
const PRIVATE: u32 = 1 << 18;
const SLAVE: u32 = 1 << 19;
const SHARED: u32 = 1 << 20;
const RELATIME: u32 = 1 << 21;
const I_VERSION: u32 = 1 << 23;
const STRICTATIME: u32 = 1 << 24;
const LAZYTIME: u32 = 1 << 25;

/// What has a system call of its own.
const PROPAGATION: u32 = UNBINDABLE | PRIVATE | SLAVE | SHARED;

/// Word, flags that it sets, flags that it clears.
const FLAGS: &[(&[u8], u32, u32)] = &[
    (b"ro", RDONLY, 0),
    (b"rw", 0, RDONLY),
    (b"nosuid", NOSUID, 0),
    (b"suid", 0, NOSUID),
    (b"nodev", NODEV, 0),
    (b"dev", 0, NODEV),
    (b"noexec", NOEXEC, 0),
    (b"exec", 0, NOEXEC),
    (b"sync", SYNCHRONOUS, 0),
    (b"async", 0, SYNCHRONOUS),
    (b"remount", REMOUNT, 0),
    (b"mand", MANDLOCK, 0),
    (b"nomand", 0, MANDLOCK),
    (b"dirsync", DIRSYNC, 0),
    (b"nosymfollow", NOSYMFOLLOW, 0),
    (b"symfollow", 0, NOSYMFOLLOW),
    (b"noatime", NOATIME, RELATIME | STRICTATIME),
    (b"atime", 0, NOATIME),
    (b"nodiratime", NODIRATIME, 0),
    (b"diratime", 0, NODIRATIME),
    (b"relatime", RELATIME, NOATIME | STRICTATIME),
    (b"norelatime", 0, RELATIME),
    (b"strictatime", STRICTATIME, NOATIME | RELATIME),
    (b"nostrictatime", 0, STRICTATIME),
    (b"lazytime", LAZYTIME, 0),
    (b"nolazytime", 0, LAZYTIME),
    (b"iversion", I_VERSION, 0),
    (b"noiversion", 0, I_VERSION),
    (b"silent", SILENT, 0),
    (b"loud", 0, SILENT),
    (b"bind", BIND, 0),
    (b"rbind", BIND | REC, 0),
    (b"unbindable", UNBINDABLE, 0),
    (b"runbindable", UNBINDABLE | REC, 0),
    (b"private", PRIVATE, 0),
    (b"rprivate", PRIVATE | REC, 0),
    (b"slave", SLAVE, 0),
    (b"rslave", SLAVE | REC, 0),
    (b"shared", SHARED, 0),
    (b"rshared", SHARED | REC, 0),
    // Who may mount it is asked later; what such a mount may not do holds from now on.
    (b"user", NOEXEC | NOSUID | NODEV, 0),
    (b"users", NOEXEC | NOSUID | NODEV, 0),
    (b"owner", NOSUID | NODEV, 0),
    (b"group", NOSUID | NODEV, 0),
];

/// Words for user space, which no kernel knows.
const IGNORED: &[&[u8]] = &[
    b"",
    b"defaults",
    b"auto",
    b"noauto",
    b"nouser",
    b"noowner",
    b"nogroup",
    b"nofail",
    b"_netdev",
    b"loop",
];
const IGNORED_BEGINNINGS: &[&[u8]] = &[
    b"x-",
    b"X-",
    b"comment=",
    b"user=",
    b"uhelper=",
    b"helper=",
    b"loop=",
    b"offset=",
    b"sizelimit=",
];

/// What the options of a mount mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Flags of mount(2).
    pub flags: u32,
    /// What the file system itself reads.
    pub data: Vec<u8>,
    /// Whether a file is to be mounted by way of a loop device.
    pub is_loop: bool,
    /// Whether the directory is made where it is missing.
    pub mkdir: bool,
}

/// One call of mount(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its flags.
    pub flags: u32,
    /// Its data.
    pub data: Vec<u8>,
}

/// The words between commas, but not those within quotation marks.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    text.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
}

fn is_ignored(word: &[u8]) -> bool {
    IGNORED.contains(&word)
        || IGNORED_BEGINNINGS
            .iter()
            .any(|begin| word.starts_with(begin))
}

impl Options {
    /// Reads a list of words.
    pub fn decode(text: &[u8]) -> Self {
        let mut options = Self::default();
        for word in words(text) {
            if let Some((_, set, clear)) = FLAGS.iter().find(|(name, ..)| *name == word) {
                options.flags = options.flags & !clear | set;
                continue;
            }
            options.is_loop |= word == b"loop" || word.starts_with(b"loop=");
            options.mkdir |=
                word.starts_with(b"X-mount.mkdir") || word.starts_with(b"x-mount.mkdir");
            let is_ignored = IGNORED.contains(&word)
                || IGNORED_BEGINNINGS
                    .iter()
                    .any(|begin| word.starts_with(begin));
            if !is_ignored {
                if !options.data.is_empty() {
                    options.data.push(b',');
                }
                options.data.extend_from_slice(word);
            }
        }
        options
    }

    /// The options of `text` that are not for user space alone, for a program that mounts.
    pub fn words(text: &[u8]) -> Vec<u8> {
        let kept: Vec<&[u8]> = words(text).filter(|word| !is_ignored(word)).collect();
        if kept.is_empty() {
            return b"rw".into();
        }
        kept.join(&b',')
    }

    /// Whether it is a part of another file system that shows up at a second place.
    pub fn is_bind(&self) -> bool {
        self.flags & BIND != 0
    }

    /// The calls that mount it: the kernel takes one thing at a time of a bind.
    pub fn calls(&self) -> Vec<Call> {
        let call = |flags, data| Call { flags, data };
        let rest = self.flags & !(PROPAGATION | REC);
        let mut calls = Vec::new();
        if self.is_bind() {
            calls.push(call(self.flags & (BIND | REC), Vec::new()));
            if rest & !(BIND | SILENT) != 0 {
                calls.push(call(rest | REMOUNT, Vec::new()));
            }
        } else {
            calls.push(call(rest, self.data.clone()));
        }
        if self.flags & PROPAGATION != 0 {
            calls.push(call(self.flags & (PROPAGATION | REC), Vec::new()));
        }
        calls
    }

    /// The call that gives a file system that is mounted these options.
    pub fn remount(&self) -> Call {
        Call {
            flags: self.flags & !(PROPAGATION | REC | BIND) | REMOUNT,
            data: self.data.clone(),
        }
    }
}
