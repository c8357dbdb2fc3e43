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
pub mod lines;
pub mod mdev_conf;
pub mod modules_alias;
pub mod modules_load;
pub mod mountinfo;
pub mod partition_table;
pub mod proc_locks;
pub mod proc_stat;
pub mod stamp;
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

/// A decimal number without sign or blanks.
pub fn decimal(digits: &[u8]) -> Option<u32> {
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn a_number_is_digits_only() {
        assert_eq!(decimal(b"042"), Some(42));
        for bad in [&b""[..], b"+1", b"-1", b"1 ", b"4294967296", b"0x1"] {
            assert_eq!(decimal(bad), None);
        }
    }
}
