//! Files that somebody else made. Whatever stands at their path, opening does
//! not wait and reading has a bound: a fifo, a socket or a directory in place of
//! a file is an error, a device without end is one that is too long.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

/// Opens a file below the directory `at`. A character device will do, too:
/// /dev/null is as good as an empty file.
pub fn open_at(at: impl AsFd, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(at, path, flags, mode) {
        // A socket, a fifo that nobody reads, or a device that is not there.
        Err(Errno::NXIO) => return Err(not_a_file()),
        opened => opened?,
    };
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile | FileType::CharacterDevice => Ok(file),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(not_a_file()),
    }
}

/// As [`open_at`], below the working directory; nothing is made.
pub fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    open_at(CWD, path, flags, Mode::empty()).map(File::from)
}

/// The content of a file of at most `bytes_max` bytes; a longer one is an error.
pub fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    all_of(open(path, OFlags::RDONLY)?, bytes_max)
}

/// As [`read`], of an open file.
pub fn all_of(file: impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let content = head(file, bytes_max.saturating_add(1))?;
    if content.len() > bytes_max {
        return Err(io::Error::other(format!("longer than {bytes_max} bytes")));
    }
    Ok(content)
}

/// The whole lines in the first `bytes_max` bytes of a file, and whether more follow.
pub fn read_lines(path: &Path, bytes_max: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut content = head(open(path, OFlags::RDONLY)?, bytes_max.saturating_add(1))?;
    let is_cut = content.len() > bytes_max;
    if is_cut {
        content.truncate(bytes_max);
        // Half a line may mean something else than the whole.
        let lines = content.iter().rposition(|b| *b == b'\n');
        content.truncate(lines.map_or(0, |end| end + 1));
    }
    Ok((content, is_cut))
}

/// The first `bytes_max` bytes of a file.
pub fn head(file: impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(bytes_max as u64).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether the same may be readable in a moment: the kernel lacks descriptors or memory.
pub fn is_passing(error: &io::Error) -> bool {
    let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR];
    Errno::from_io_error(error).is_some_and(|errno| lacking.contains(&errno))
}

fn not_a_file() -> io::Error {
    io::Error::other("not a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_what_has_no_end_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        for flags in [OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR] {
            let error = open(&fifo, flags).unwrap_err();
            assert_eq!(error.to_string(), "not a file");
        }
        let error = read(dir.path(), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let error = read(Path::new("/dev/zero"), 10).unwrap_err();
        assert_eq!(error.to_string(), "longer than 10 bytes");
        assert_eq!(read(Path::new("/dev/null"), 10).unwrap(), b"");
    }

    #[test]
    fn a_file_is_cut_between_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "ab\ncd\nef").unwrap();
        assert_eq!(
            read_lines(&path, 8).unwrap(),
            (b"ab\ncd\nef".to_vec(), false)
        );
        assert_eq!(read_lines(&path, 7).unwrap(), (b"ab\ncd\n".to_vec(), true));
        assert_eq!(read_lines(&path, 2).unwrap(), (vec![], true));
        assert_eq!(read(&path, 8).unwrap(), b"ab\ncd\nef");
        assert!(read(&path, 7).is_err());
    }
}
