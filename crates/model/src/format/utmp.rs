//! A record of utmp(5), in the layout of glibc for machines whose `time_t` in this file has
//! 32 bits (x86, x86_64, arm, riscv and others): 384 bytes, with numbers in the byte order of
//! the machine.

use alloc::vec::Vec;
use core::ops::Range;

/// The length of a record in bytes.
pub const SIZE: usize = 384;

/// What a record is about (`ut_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Kind {
    /// A process that init started.
    Init = 5,
    /// A process that asks for a login name.
    Login = 6,
    /// A user's session.
    User = 7,
    /// A process that has ended.
    Dead = 8,
}

/// What getty writes.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What the record is about.
    pub kind: Kind,
    /// The process.
    pub pid: i32,
    /// The terminal without /dev/.
    pub line: &'a [u8],
    /// The user, or LOGIN.
    pub user: &'a [u8],
    /// The remote host, if any.
    pub host: &'a [u8],
    /// The time in seconds since 1970. (Without a sign, the field is enough until 2106.)
    pub time_s: u32,
    /// The microseconds of that second.
    pub time_us: u32,
}

const LINE_BYTES: usize = 32;
const ID_BYTES: usize = 4;

/// The places of the fields.
const KIND: Range<usize> = 0..2;
const PID: Range<usize> = 4..8;
const LINE: Range<usize> = 8..40;
const USER: Range<usize> = 44..76;
const HOST: Range<usize> = 76..332;
const TIME: Range<usize> = 340..348;

/// The bytes of the record. A text that is too long is cut.
pub fn encode(record: &Record) -> [u8; SIZE] {
    let mut fields = Vec::with_capacity(SIZE);
    fields.extend((record.kind as i16).to_ne_bytes());
    fields.extend([0; 2]);
    fields.extend(record.pid.to_ne_bytes());
    text(&mut fields, record.line, LINE_BYTES);
    text(&mut fields, id_of(record.line), ID_BYTES);
    text(&mut fields, record.user, 32);
    text(&mut fields, record.host, 256);
    // Exit status and session stay 0.
    fields.extend([0; 8]);
    fields.extend(record.time_s.to_ne_bytes());
    fields.extend(record.time_us.to_ne_bytes());
    let mut bytes = [0; SIZE];
    for (to, from) in bytes.iter_mut().zip(fields) {
        *to = from;
    }
    bytes
}

/// The id of a record is the end of the line's name: `tty1`, `tyS0`, `ts/0`.
fn id_of(line: &[u8]) -> &[u8] {
    line.get(line.len().saturating_sub(ID_BYTES)..)
        .unwrap_or_default()
}

fn text(fields: &mut Vec<u8>, text: &[u8], size: usize) {
    let kept = text.get(..size).unwrap_or(text);
    fields.extend(kept);
    fields.extend(core::iter::repeat_n(0, size - kept.len()));
}

/// Where a record of this line belongs in the file, counted in records: it replaces the
/// record of the line, or comes at the end.
///
/// `None`: the file is no whole number of records, so it has another layout.
pub fn place_of(file: &[u8], line: &[u8]) -> Option<usize> {
    let (records, []) = file.as_chunks::<SIZE>() else {
        return None;
    };
    let mut id = Vec::with_capacity(ID_BYTES);
    text(&mut id, id_of(line), ID_BYTES);
    let own = records.iter().position(|record| {
        let kind = i16::from_ne_bytes([record[0], record[1]]);
        (Kind::Init as i16..=Kind::Dead as i16).contains(&kind) && record.get(40..44) == Some(&id)
    });
    Some(own.unwrap_or(records.len()))
}

/// The place of the record of the user on this line, counted in records.
///
/// `None`: nobody is on the line, or the file is no whole number of records.
pub fn session_of(file: &[u8], line: &[u8]) -> Option<usize> {
    let (records, []) = file.as_chunks::<SIZE>() else {
        return None;
    };
    let mut wanted = Vec::with_capacity(LINE_BYTES);
    text(&mut wanted, line, LINE_BYTES);
    records.iter().position(|record| {
        let is_used = record
            .get(USER)
            .is_some_and(|user| user.first() != Some(&0));
        is_used && record.get(LINE) == Some(&wanted)
    })
}

/// The place of the record of a process that asks for a login or is one, counted in records.
pub fn place_of_process(file: &[u8], pid: i32) -> Option<usize> {
    let (records, []) = file.as_chunks::<SIZE>() else {
        return None;
    };
    records.iter().position(|record| {
        let kind = i16::from_ne_bytes([record[0], record[1]]);
        let is_live = (Kind::Init as i16..=Kind::User as i16).contains(&kind);
        is_live && record.get(PID) == Some(&pid.to_ne_bytes())
    })
}

/// The lines on which somebody is logged in. A name that could lead out of /dev is left out.
pub fn lines_in_use(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (records, _) = file.as_chunks::<SIZE>();
    records.iter().filter_map(|record| {
        let is_session = record.get(KIND)? == (Kind::User as i16).to_ne_bytes();
        let line = record.get(LINE)?.split(|b| *b == 0).next()?;
        (is_session && is_name_below_dev(line)).then_some(line)
    })
}

/// Whether this is the name of a device below /dev, and of nothing else.
fn is_name_below_dev(name: &[u8]) -> bool {
    let mut parts = name.split(|b| *b == b'/');
    parts.all(|part| !part.is_empty() && !part.starts_with(b"."))
        && name.iter().all(u8::is_ascii_graphic)
}

/// Marks a record: the session has ended, and when. Fields that are not about the user stay.
pub fn log_out(record: &mut [u8; SIZE], seconds: u32, micros: u32) {
    let dead = (Kind::Dead as i16).to_ne_bytes();
    let times = [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat();
    for (place, bytes) in [(KIND, &dead[..]), (USER, &[]), (HOST, &[]), (TIME, &times)] {
        let from = bytes.iter().copied().chain(core::iter::repeat(0));
        for (to, byte) in record
            .get_mut(place)
            .unwrap_or_default()
            .iter_mut()
            .zip(from)
        {
            *to = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record {
        kind: Kind::Login,
        pid: 0x0102_0304,
        line: b"ttyS0",
        user: b"LOGIN",
        host: b"far",
        time_s: 0x6920_0000,
        time_us: 7,
    };

    #[test]
    #[cfg(target_endian = "little")]
    fn fields_lie_where_glibc_has_them() {
        let bytes = encode(&RECORD);
        assert_eq!(bytes[..8], [6, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(&bytes[8..14], b"ttyS0\0");
        assert_eq!(&bytes[40..44], b"tyS0");
        assert_eq!(&bytes[44..50], b"LOGIN\0");
        assert_eq!(&bytes[76..80], b"far\0");
        assert_eq!(bytes[332..340], [0; 8]);
        assert_eq!(bytes[340..348], [0, 0, 0x20, 0x69, 7, 0, 0, 0]);
        assert_eq!(bytes[348..], [0; 36]);
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = [b'x'; 300];
        let bytes = encode(&Record {
            line: &long,
            host: &long,
            ..RECORD
        });
        assert_eq!(bytes[8..44], [b'x'; 36]);
        assert_eq!(bytes[76..332], [b'x'; 256]);
        assert_eq!(&bytes[44..49], b"LOGIN");
    }

    #[test]
    fn a_line_has_one_record() {
        let mut file = Vec::new();
        assert_eq!(place_of(&file, b"ttyS0"), Some(0));
        for line in [&b"tty1"[..], b"ttyS0", b"pts/3"] {
            file.extend(encode(&Record { line, ..RECORD }));
        }
        assert_eq!(place_of(&file, b"ttyS0"), Some(1));
        assert_eq!(place_of(&file, b"pts/3"), Some(2));
        assert_eq!(place_of(&file, b"tty2"), Some(3));
        file.push(0);
        assert_eq!(place_of(&file, b"ttyS0"), None);
    }

    #[test]
    fn lines_of_users_that_lie_below_dev() {
        let mut file = Vec::new();
        for (kind, line) in [
            (Kind::User, &b"tty1"[..]),
            (Kind::Login, b"tty2"),
            (Kind::Dead, b"pts/1"),
            (Kind::User, b"pts/3"),
            (Kind::User, b"../etc/passwd"),
            (Kind::User, b"/dev/sda"),
            (Kind::User, b"a/./b"),
            (Kind::User, b"pts/"),
            (Kind::User, b"t\n"),
            (Kind::User, b""),
            (Kind::User, b"a-name-of-just-thirty-two-bytes."),
        ] {
            let record = Record {
                kind,
                line,
                ..RECORD
            };
            file.extend(encode(&record));
        }
        file.extend(b"half a record");
        let lines: Vec<&[u8]> = lines_in_use(&file).collect();
        let long = b"a-name-of-just-thirty-two-bytes.";
        assert_eq!(lines, [&b"tty1"[..], b"pts/3", long]);
    }

    #[test]
    fn a_session_ends_in_its_place() {
        let mut file = Vec::new();
        for line in [&b"tty1"[..], b"tty2"] {
            file.extend(encode(&Record { line, ..RECORD }));
        }
        assert_eq!(session_of(&file, b"tty2"), Some(1));
        assert_eq!(session_of(&file, b"tty"), None);
        assert_eq!(place_of_process(&file, RECORD.pid), Some(0));
        assert_eq!(place_of_process(&file, RECORD.pid + 1), None);
        assert_eq!(place_of_process(&file[1..], RECORD.pid), None);
        let mut record = encode(&RECORD);
        log_out(&mut record, 5, 6);
        let expected = Record {
            kind: Kind::Dead,
            user: b"",
            host: b"",
            time_s: 5,
            time_us: 6,
            ..RECORD
        };
        assert_eq!(record, encode(&expected));
        // After a logout, the record is no session any more.
        assert_eq!(place_of_process(&record, RECORD.pid), None);
        assert_eq!(session_of(&record, RECORD.line), None);
        assert_eq!(session_of(&file[1..], b"tty2"), None);
    }
}
