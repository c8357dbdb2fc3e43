//! Who is on which line: utmp (now) and wtmp (history), where the machine keeps
//! these files. Best effort: a failure never keeps anybody from logging in.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use model::format::utmp::{self, Kind, Record};
use rustix::fs::{FlockOperation, OFlags};
use rustix::time::{ClockId, clock_gettime};

use super::file;

const UTMP: [&str; 2] = ["/run/utmp", "/var/run/utmp"];
const WTMP: &str = "/var/log/wtmp";

/// A utmp beyond this is not searched, nor written.
const UTMP_BYTES_MAX: usize = 1 << 20;

/// Elsewhere glibc's record has another layout.
const KNOWN_LAYOUT: bool = cfg!(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "arm",
    target_arch = "riscv64"
));

/// Notes that process `pid` asks for a login name on `line` (without /dev/).
pub fn login_process(pid: i32, line: &[u8], host: &[u8]) {
    if !KNOWN_LAYOUT {
        return;
    }
    let (seconds, micros) = now();
    let record = Record {
        kind: Kind::Login,
        pid,
        line,
        user: b"LOGIN",
        host,
        time_s: seconds,
        time_us: micros,
    };
    if let Some(path) = UTMP.iter().map(Path::new).find(|path| path.exists()) {
        drop(put(path, &record));
    }
    drop(append(Path::new(WTMP), &utmp::encode(&record)));
}

/// Notes that nobody is on `line` (without /dev/) any more. `false`: nobody was.
/// An error says what failed where.
pub fn log_out(line: &[u8]) -> Result<bool, String> {
    if !KNOWN_LAYOUT {
        return Err("the layout of utmp is not known on this kind of machine".to_owned());
    }
    let [usual, other] = UTMP.map(Path::new);
    let path = if usual.exists() { usual } else { other };
    let named = |e| format!("{}: {e}", path.display());
    let file = file::open(path, OFlags::RDWR).map_err(named)?;
    end_session(&file, line).map_err(named)
}

/// The lines (without /dev/) on which utmp has users; none if it cannot be read.
pub fn lines_in_use() -> Vec<Vec<u8>> {
    let read = |path: &&str| file::read(Path::new(path), UTMP_BYTES_MAX).ok();
    let content = UTMP.iter().find_map(read).filter(|_| KNOWN_LAYOUT);
    let content = content.unwrap_or_default();
    utmp::lines_in_use(&content).map(<[u8]>::to_vec).collect()
}

/// As [`log_out`], in the history. A machine without the file wants no history.
pub fn log_out_in_history(line: &[u8]) -> Result<(), String> {
    let (seconds, micros) = now();
    let record = Record {
        kind: Kind::Dead,
        pid: 0,
        line,
        user: b"",
        host: b"",
        time_s: seconds,
        time_us: micros,
    };
    match append(Path::new(WTMP), &utmp::encode(&record)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("{WTMP}: {e}")),
        _ => Ok(()),
    }
}

/// Whether the machine keeps any of these files.
pub fn is_kept() -> bool {
    UTMP.iter()
        .chain([&WTMP])
        .any(|path| Path::new(path).exists())
}

/// Notes that the machine has booted so many seconds ago, in utmp and in the history.
pub fn booted(ago_s: u64) {
    let record = of_system(libc::BOOT_TIME, b"reboot", -(ago_s as i64));
    if let Some(path) = UTMP.iter().map(Path::new).find(|path| path.exists()) {
        drop(put_of_system(path, &record));
    }
    drop(append(Path::new(WTMP), &record));
}

/// Notes in the history that the machine goes down.
pub fn shutdown() -> std::io::Result<()> {
    append(Path::new(WTMP), &of_system(libc::RUN_LVL, b"shutdown", 0))
}

/// As [`shutdown`], unless that is the last that the history tells: somebody has noted it who
/// asked for the end.
pub fn shutdown_once() -> std::io::Result<()> {
    let file = file::open(Path::new(WTMP), OFlags::RDONLY)?;
    let mut last = of_system(0, b"", 0);
    let expected = of_system(libc::RUN_LVL, b"shutdown", 0);
    let start = file.metadata()?.len().saturating_sub(last.len() as u64);
    let is_noted = file.read_exact_at(&mut last, start).is_ok()
        && ID_AND_USER
            .iter()
            .all(|(at, len)| last.get(*at..at + len) == expected.get(*at..at + len));
    if is_noted { Ok(()) } else { shutdown() }
}

/// Where a record says what it is about: the places and lengths of type, id and user.
const ID_AND_USER: [(usize, usize); 3] = [
    (std::mem::offset_of!(libc::utmpx, ut_type), 2),
    (std::mem::offset_of!(libc::utmpx, ut_id), 4),
    (std::mem::offset_of!(libc::utmpx, ut_user), 8),
];

/// Notes that a process has ended that asked for a login, or was one.
pub fn process_ended(pid: i32) -> std::io::Result<()> {
    let Some(path) = UTMP
        .iter()
        .map(Path::new)
        .find(|path| path.exists() && KNOWN_LAYOUT)
    else {
        return Ok(());
    };
    let file = file::open(path, OFlags::RDWR)?;
    let _ = rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
    let content = file::all_of(&file, UTMP_BYTES_MAX)?;
    let Some(place) = utmp::place_of_process(&content, pid) else {
        return Ok(());
    };
    let record = end_record(&file, place)?;
    append(Path::new(WTMP), &record)
}

/// The bytes of a record as the C library of this machine has it.
const SYSTEM_BYTES: usize = size_of::<libc::utmpx>();

/// A record about the machine, in the layout of this platform, of so many seconds from now.
fn of_system(kind: libc::c_short, user: &[u8], ahead: i64) -> [u8; SYSTEM_BYTES] {
    let (seconds, micros) = now();
    // SAFETY: utmpx is plain data, for which all zeroes is a valid value.
    let mut record: libc::utmpx = unsafe { std::mem::zeroed() };
    record.ut_type = kind;
    fill(&mut record.ut_id, b"~~");
    fill(&mut record.ut_line, b"~");
    fill(&mut record.ut_user, user);
    let system = rustix::system::uname();
    fill(&mut record.ut_host, system.release().to_bytes());
    record.ut_tv.tv_sec = i64::from(seconds).saturating_add(ahead) as _;
    record.ut_tv.tv_usec = micros as _;
    let mut bytes = [0; SYSTEM_BYTES];
    let start = (&raw const record).cast::<u8>();
    // SAFETY: the record was zeroed as a whole, so that its padding is initialised, too.
    bytes.copy_from_slice(unsafe { std::slice::from_raw_parts(start, SYSTEM_BYTES) });
    bytes
}

fn fill(field: &mut [libc::c_char], text: &[u8]) {
    for (slot, byte) in field.iter_mut().zip(text) {
        *slot = *byte as libc::c_char;
    }
}

/// Writes a record about the machine over the former one of its type, or at the end.
fn put_of_system(path: &Path, record: &[u8]) -> std::io::Result<()> {
    let file = file::open(path, OFlags::RDWR)?;
    let _ = rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
    let content = file::all_of(&file, UTMP_BYTES_MAX)?;
    let mut records = content.chunks(record.len());
    let place = records.position(|old| old.get(..2) == record.get(..2));
    if content.len() % record.len() != 0 {
        return Ok(()); // Another layout.
    }
    let offset = place.map_or(content.len(), |place| place * record.len());
    file.write_all_at(record, offset as u64)
}

fn end_session(file: &File, line: &[u8]) -> std::io::Result<bool> {
    let _ = rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive);
    let content = file::all_of(file, UTMP_BYTES_MAX)?;
    let Some(place) = utmp::session_of(&content, line) else {
        return Ok(false);
    };
    end_record(file, place).map(|_| true)
}

/// Marks the record at that place; the result is what stands there now.
fn end_record(file: &File, place: usize) -> std::io::Result<[u8; utmp::SIZE]> {
    let start = place.saturating_mul(utmp::SIZE);
    let mut record = [0; utmp::SIZE];
    file.read_exact_at(&mut record, start as u64)?;
    let (seconds, micros) = now();
    utmp::log_out(&mut record, seconds, micros);
    file.write_all_at(&record, start as u64)?;
    Ok(record)
}

fn now() -> (u32, u32) {
    let now = clock_gettime(ClockId::Realtime);
    (now.tv_sec as u32, (now.tv_nsec / 1000) as u32)
}

/// Writes the record over the line's former one, or at the end.
fn put(path: &Path, record: &Record) -> std::io::Result<()> {
    let file = file::open(path, OFlags::RDWR)?;
    // Whoever can read utmp can lock it for ever, so a lock is tried, not waited for.
    let _ = rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
    let content = file::all_of(&file, UTMP_BYTES_MAX)?;
    let Some(place) = utmp::place_of(&content, record.line) else {
        return Ok(());
    };
    let offset = (place as u64).saturating_mul(utmp::SIZE as u64);
    file.write_all_at(&utmp::encode(record), offset)
}

fn append(path: &Path, record: &[u8]) -> std::io::Result<()> {
    let mut file = file::open(path, OFlags::WRONLY | OFlags::APPEND)?;
    file.write_all(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &[u8]) -> Record<'_> {
        Record {
            kind: Kind::Login,
            pid: 7,
            line,
            user: b"LOGIN",
            host: b"",
            time_s: 1,
            time_us: 2,
        }
    }

    #[test]
    fn a_line_keeps_its_place_and_history_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("utmp");
        std::fs::write(&path, b"").unwrap();
        for line in [&b"tty1"[..], b"tty2", b"tty1"] {
            put(&path, &record(line)).unwrap();
        }
        let expected = [record(b"tty1"), record(b"tty2")].map(|r| utmp::encode(&r));
        assert_eq!(std::fs::read(&path).unwrap(), expected.concat());
        append(&path, &utmp::encode(&record(b"tty1"))).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), 3 * utmp::SIZE);
    }

    #[test]
    fn another_layout_is_left_alone_and_no_file_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("utmp");
        assert!(put(&path, &record(b"tty1")).is_err());
        assert!(append(&path, &utmp::encode(&record(b"tty1"))).is_err());
        assert!(!path.exists());
        std::fs::write(&path, [0; 400]).unwrap();
        put(&path, &record(b"tty1")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [0; 400]);
    }
}
