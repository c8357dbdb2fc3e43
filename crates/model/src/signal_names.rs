//! Signals by name, as signal(7) has them on the machines that sunup is built for.

/// Names and numbers; the first name of a number is the one to show.
const NAMES: [(&str, u8); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of a signal by its name, with or without `SIG`.
pub fn number(name: &[u8]) -> Option<u8> {
    let bare = name.strip_prefix(b"SIG").unwrap_or(name);
    let found = NAMES.iter().find(|(known, _)| known.as_bytes() == bare);
    found.map(|(_, number)| *number)
}

/// The name of a signal, without `SIG`; real-time signals have none.
pub fn name(number: u8) -> Option<&'static str> {
    let found = NAMES.iter().find(|(_, known)| *known == number);
    found.map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_one_name_and_each_name_its_number() {
        for signal in 0..=255 {
            assert_eq!(name(signal).is_some(), (1..=31).contains(&signal));
            if let Some(name) = name(signal) {
                assert_eq!(number(name.as_bytes()), Some(signal));
                let long = [&b"SIG"[..], name.as_bytes()].concat();
                assert_eq!(number(&long), Some(signal));
            }
        }
        for wrong in [&b""[..], b"SIG", b"term", b"SIGSIGTERM", b"15", b"TERM "] {
            assert_eq!(number(wrong), None, "{}", wrong.escape_ascii());
        }
    }
}
