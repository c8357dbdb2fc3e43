//! The kernel's command line, as far as it says where the root file system is and how it is
//! mounted. Sources: Documentation/admin-guide/kernel-parameters.txt and lib/cmdline.c of
//! Linux; `overlayroot=` is that of Debian's package overlayroot.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::decimal;
use super::device_name::DeviceName;

/// How long the root's device is waited for if nothing else is said, in seconds.
pub const WAIT_S: u32 = 30;

/// What the command line says about the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The device.
    pub device: Option<DeviceName>,
    /// Types to try, in order; none: the one that the device holds.
    pub kinds: Vec<Vec<u8>>,
    /// Options as in fstab(5).
    pub options: Vec<u8>,
    /// Whether it is mounted to be written to.
    pub writable: bool,
    /// How long the device is waited for, in seconds; `None`: for ever.
    pub wait_s: Option<u32>,
    /// What to start in it, if not the usual.
    pub init: Option<Vec<u8>>,
    /// Whether what is written is kept in memory.
    pub overlay: bool,
    /// What is wrong, a line each.
    pub mistakes: Vec<String>,
}

/// Reads the command line; of a word that is there twice the last one counts.
pub fn root(text: &[u8]) -> Root {
    let mut root = Root {
        device: None,
        kinds: Vec::new(),
        options: Vec::new(),
        writable: false,
        wait_s: Some(WAIT_S),
        init: None,
        overlay: false,
        mistakes: Vec::new(),
    };
    for word in words(text) {
        let (name, value) = match word.iter().position(|b| *b == b'=') {
            Some(at) => (
                word.get(..at).unwrap_or_default(),
                Some(word.get(at + 1..).unwrap_or_default()),
            ),
            None => (word.as_slice(), None),
        };
        root.take(name, value);
    }
    root
}

impl Root {
    fn take(&mut self, name: &[u8], value: Option<&[u8]>) {
        match (name, value) {
            (b"root", Some(name)) => {
                self.device = (!name.is_empty()).then(|| DeviceName::decode(name));
            }
            (b"rootfstype", Some(kinds)) => {
                let kinds = kinds.split(|b| *b == b',').filter(|kind| !kind.is_empty());
                self.kinds = kinds.map(<[u8]>::to_vec).collect();
            }
            (b"rootflags", Some(options)) => self.options = options.to_vec(),
            (b"ro", None) => self.writable = false,
            (b"rw", None) => self.writable = true,
            (b"rootwait", None) => self.wait_s = None,
            (b"rootwait" | b"rootdelay", Some(value)) => match decimal(value) {
                // A device that needs so long: no reason to wait less.
                Some(s) if name == b"rootdelay" => self.wait_s = self.wait_s.map(|w| w.max(s)),
                Some(s) => self.wait_s = Some(s),
                None => self.wrong(name, value, "a number of seconds is expected"),
            },
            (b"init", Some(path)) => self.init = (!path.is_empty()).then(|| path.to_vec()),
            (b"overlayroot", Some(b"" | b"disabled")) => self.overlay = false,
            (b"overlayroot", Some(value)) => {
                // Whoever wants what is written to be elsewhere does not want it on the disk.
                self.overlay = true;
                if value != b"tmpfs" {
                    self.wrong(name, value, "taken as tmpfs, which is all that is known");
                }
            }
            _ => {}
        }
    }

    fn wrong(&mut self, name: &[u8], value: &[u8], why: &str) {
        let (name, value) = (name.escape_ascii(), value.escape_ascii());
        self.mistakes.push(format!("{name}={value}: {why}"));
    }
}

/// The words of the kernel, up to `--`. Blanks within double quotes separate nothing; quotes
/// around a word or a value are taken off.
fn words(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut quoted = false;
    let words = text.split(move |byte| {
        quoted ^= *byte == b'"';
        byte.is_ascii_whitespace() && !quoted
    });
    let words = words.filter(|word| !word.is_empty());
    words.map(unquoted).take_while(|word| word != b"--")
}

fn unquoted(word: &[u8]) -> Vec<u8> {
    if let [b'"', rest @ ..] = word {
        return rest.strip_suffix(b"\"").unwrap_or(rest).to_vec();
    }
    let value = word.iter().position(|b| *b == b'=').map_or(0, |at| at + 1);
    match word.split_at_checked(value) {
        Some((name, [b'"', rest @ ..])) if value > 0 => {
            [name, rest.strip_suffix(b"\"").unwrap_or(rest)].concat()
        }
        _ => word.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::device_name::Tag;
    use super::*;
    use alloc::vec;

    fn device(text: &str) -> Option<DeviceName> {
        root(text.as_bytes()).device
    }

    #[test]
    fn an_ordinary_machine() {
        let found = root(
            b"BOOT_IMAGE=/boot/vmlinuz root=UUID=12-34 ro quiet rootfstype=ext4,ext3 \
            rootflags=data=ordered,noatime init=/lib/init rootdelay=5 rootdelay=60\n",
        );
        let uuid = DeviceName::Tag(Tag::Uuid, b"12-34".to_vec());
        assert_eq!(found.device, Some(uuid));
        assert_eq!(found.kinds, [b"ext4", b"ext3"]);
        assert_eq!(found.options, b"data=ordered,noatime");
        assert_eq!(found.init, Some(b"/lib/init".to_vec()));
        assert_eq!(
            (found.writable, found.wait_s, found.overlay),
            (false, Some(60), false)
        );
        assert_eq!(found.mistakes, Vec::<String>::new());
    }

    #[test]
    fn nothing_said_is_the_kernels_default() {
        for text in [
            "",
            "quiet",
            "root=",
            "root",
            "xroot=/dev/a",
            "-- root=/dev/a rw",
        ] {
            let found = root(text.as_bytes());
            assert_eq!(found.device, None, "{text}");
            assert_eq!((found.writable, found.wait_s), (false, Some(WAIT_S)));
        }
    }

    #[test]
    fn the_last_word_counts() {
        assert!(root(b"ro rw").writable);
        assert!(!root(b"rw ro").writable);
        assert_eq!(
            device("root=/dev/a root=/dev/b"),
            Some(DeviceName::Path(b"/dev/b".to_vec()))
        );
        assert_eq!(root(b"rootwait rootdelay=7").wait_s, None);
        assert_eq!(root(b"rootwait=90").wait_s, Some(90));
        assert_eq!(root(b"rootdelay=5").wait_s, Some(WAIT_S));
        assert_eq!(root(b"rootwait rootwait=1").wait_s, Some(1));
    }

    #[test]
    fn quotes_hold_words_together() {
        let label = Some(DeviceName::Tag(Tag::Label, b"two words".to_vec()));
        for text in [
            "a \"root=LABEL=two words\" b",
            "root=\"LABEL=two words\"",
            "root=LABEL=\"two words\" rw",
            "root=\"LABEL=two words",
        ] {
            assert_eq!(device(text), label, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let found = root(b"rootdelay=soon rootwait=-1 overlayroot=/dev/sdb");
        assert_eq!(
            found.mistakes,
            vec![
                "rootdelay=soon: a number of seconds is expected",
                "rootwait=-1: a number of seconds is expected",
                "overlayroot=/dev/sdb: taken as tmpfs, which is all that is known",
            ]
        );
        assert!(found.overlay);
        assert!(!root(b"overlayroot=tmpfs overlayroot=disabled").overlay);
    }
}
