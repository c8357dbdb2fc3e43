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
    drop(append(Path::new(WTMP), &record));
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
    match append(Path::new(WTMP), &record) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("{WTMP}: {e}")),
        _ => Ok(()),
    }
}

fn end_session(file: &File, line: &[u8]) -> std::io::Result<bool> {
    let _ = rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive);
    let content = file::all_of(file, UTMP_BYTES_MAX)?;
    let Some(place) = utmp::session_of(&content, line) else {
        return Ok(false);
    };
    let start = place.saturating_mul(utmp::SIZE);
    let mut record = [0; utmp::SIZE];
    file.read_exact_at(&mut record, start as u64)?;
    let (seconds, micros) = now();
    utmp::log_out(&mut record, seconds, micros);
    file.write_all_at(&record, start as u64)?;
    Ok(true)
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

fn append(path: &Path, record: &Record) -> std::io::Result<()> {
    let mut file = file::open(path, OFlags::WRONLY | OFlags::APPEND)?;
    file.write_all(&utmp::encode(record))
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
        append(&path, &record(b"tty1")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), 3 * utmp::SIZE);
    }

    #[test]
    fn another_layout_is_left_alone_and_no_file_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("utmp");
        assert!(put(&path, &record(b"tty1")).is_err());
        assert!(append(&path, &record(b"tty1")).is_err());
        assert!(!path.exists());
        std::fs::write(&path, [0; 400]).unwrap();
        put(&path, &record(b"tty1")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [0; 400]);
    }
}
