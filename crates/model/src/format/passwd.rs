//! Names to numbers in /etc/passwd and /etc/group, without NSS.
//!
//! Both files are lines of fields between colons: the name comes first and its
//! number third (passwd(5), group(5)). Lines that do not read so are passed over,
//! as libc does.

/// The number of the user (text of /etc/passwd) or group (text of /etc/group)
/// called `name`; the first line that names it counts.
pub fn id_of(text: &[u8], name: &[u8]) -> Option<u32> {
    text.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let found = fields.next() == Some(name) && !name.is_empty();
        found.then(|| decimal(fields.nth(1)?)).flatten()
    })
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
    use super::*;

    #[test]
    fn a_name_has_the_number_of_its_first_good_line() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n\
            broken\nweb:x:many:33::/:\nweb:x:33:34::/:\nweb:x:44:44::/:\nlast:x:4294967295:0::/:";
        assert_eq!(id_of(passwd, b"root"), Some(0));
        assert_eq!(id_of(passwd, b"web"), Some(33));
        assert_eq!(id_of(passwd, b"last"), Some(u32::MAX));
        assert_eq!(id_of(b"tty:x:5:a,b\n", b"tty"), Some(5));
        for nobody in [&b"broken"[..], b"ro", b"", b"x"] {
            assert_eq!(id_of(passwd, nobody), None);
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
