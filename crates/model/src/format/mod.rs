//! The formats of files and messages. Each is one pure file with `decode` and `encode`.

pub mod account;
pub mod adopt;
pub mod backoff;
pub mod boot_record;
pub mod cmdline;
pub mod cpio;
pub mod crash_loop;
pub mod device_name;
pub mod exits;
pub mod fstab;
pub mod inittab;
pub mod issue;
pub mod json;
pub mod kill;
pub mod lines;
pub mod mdev_conf;
pub mod modules_alias;
pub mod modules_load;
pub mod mountinfo;
pub mod notify;
pub mod notify_message;
pub mod number;
pub mod owner;
pub mod partition_table;
pub mod proc_locks;
pub mod proc_stat;
pub mod restart;
pub mod signal;
pub mod stamp;
pub mod state;
pub mod status;
pub mod superblock;
pub mod svlogd_config;
pub mod sysctl;
pub mod tai64n;
pub mod time_zone;
pub mod tmpfiles;
pub mod uevent;
pub mod utmp;

/// What is wrong in a file of a few lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong, in printable characters.
    pub reason: alloc::string::String,
}

/// The first line that is not blank, without blanks around it, and its number. An empty
/// one stands for none.
fn first_line(content: &[u8]) -> (usize, &[u8]) {
    let lines = content.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let mut lines = (1..).zip(lines);
    lines.find(|(_, text)| !text.is_empty()).unwrap_or((1, b""))
}

/// The words, which blanks and ends of lines separate, with the numbers of their lines.
fn words(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = (1..).zip(content.split(|b| *b == b'\n'));
    let words = lines.flat_map(|(line, text)| {
        let words = text.split(u8::is_ascii_whitespace);
        words.map(move |word| (line, word))
    });
    words.filter(|(_, word)| !word.is_empty())
}

/// A decimal number without sign or blanks.
pub fn decimal(digits: &[u8]) -> Option<u32> {
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// The mode of a file in octal digits.
pub fn octal_mode(digits: &[u8]) -> Option<u32> {
    const MAX: u32 = 0o7777;
    let is_octal = |b: &u8| (b'0'..=b'7').contains(b);
    let text = core::str::from_utf8(digits).ok()?;
    let mode = u32::from_str_radix(text, 8).ok()?;
    (mode <= MAX && digits.iter().all(is_octal)).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::{decimal, octal_mode};

    #[test]
    fn a_mode_is_octal_digits_only() {
        assert_eq!(octal_mode(b"01777"), Some(0o1777));
        for bad in [&b""[..], b"+1", b"8", b"7 ", b"10000", b"0o1", b"\xff"] {
            assert_eq!(octal_mode(bad), None);
        }
    }

    #[test]
    fn a_number_is_digits_only() {
        assert_eq!(decimal(b"042"), Some(42));
        for bad in [&b""[..], b"+1", b"-1", b"1 ", b"4294967296", b"0x1"] {
            assert_eq!(decimal(bad), None);
        }
    }
}
