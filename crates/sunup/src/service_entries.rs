//! Which of the optional entries a service directory has. Most have none, and
//! one look at the whole costs less than one for each that is not there.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use model::graph::Kind;
use model::settings::SETTINGS;
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, openat, seek};
use rustix::io::Errno;

/// What there may be; what is not, is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a file of its own"
)]
pub struct Entries {
    /// The directory of a logger.
    pub log: bool,
    /// Normally down.
    pub down: bool,
    /// What follows each run.
    pub finish: bool,
    /// The directory of control scripts.
    pub control: bool,
    /// The service.
    pub run: bool,
    /// What precedes it.
    pub setup: bool,
    /// What asks it whether it is available.
    pub check: bool,
    /// Our own files, by their rows in [`SETTINGS`], and after them the directories of
    /// other services' names, by [`Kind`].
    ours: u32,
    /// It was listed to its end: what may be there is there.
    is_listed: bool,
}

/// A directory of more entries is not read: it is asked for each.
const ENTRIES_MAX: usize = 64;

impl Entries {
    /// What there may be in a directory that [`open`] has opened.
    pub fn of(home: BorrowedFd) -> Self {
        Self::listed(home).unwrap_or(Self::ANY)
    }

    /// Whether a file of our own, or a directory of names, may be there.
    pub fn may_hold(self, name: &str) -> bool {
        self.ours & row(name.as_bytes()) != 0
    }

    /// Whether `run` is there for certain, whatever it is.
    pub fn surely_runs(self) -> bool {
        self.is_listed && self.run
    }

    /// Anything may be there.
    const ANY: Self = Self {
        log: true,
        down: true,
        finish: true,
        control: true,
        run: true,
        setup: true,
        check: true,
        ours: u32::MAX,
        is_listed: false,
    };

    /// Nothing is there.
    const NONE: Self = Self {
        log: false,
        down: false,
        finish: false,
        control: false,
        run: false,
        setup: false,
        check: false,
        ours: 0,
        is_listed: true,
    };

    /// `None`: it cannot be read, or is too long.
    fn listed(home: BorrowedFd) -> Option<Self> {
        seek(home, SeekFrom::Start(0)).ok()?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut dir = RawDir::new(home, &mut buffer);
        let mut found = Self::NONE;
        for _ in 0..ENTRIES_MAX {
            match dir.next() {
                None => return Some(found),
                Some(entry) => match entry.ok()?.file_name().to_bytes() {
                    b"log" => found.log = true,
                    b"down" => found.down = true,
                    b"control" => found.control = true,
                    b"finish" => found.finish = true,
                    b"run" => found.run = true,
                    b"setup" => found.setup = true,
                    b"check" => found.check = true,
                    other => found.ours |= row(other),
                },
            }
        }
        None
    }
}

/// The bit of a file of our own or a directory of names; none for any other.
fn row(name: &[u8]) -> u32 {
    let names = SETTINGS.iter().map(|setting| setting.name);
    let mut names = names.chain(Kind::ALL.map(Kind::directory));
    let row = names.position(|known| known.as_bytes() == name);
    row.map_or(0, |row| 1 << row)
}

const _: () = assert!(
    SETTINGS.len() + Kind::ALL.len() <= u32::BITS as usize,
    "each has a bit"
);

/// Opens a directory for working in it, and for listing it if that is permitted.
///
/// # Errors
/// It is not there, no directory, or may not be entered.
pub fn open(at: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let open = |access| {
        let flags = access | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&at, path, flags, Mode::empty())
    };
    open(OFlags::RDONLY).or_else(|e| match e {
        Errno::ACCESS => open(OFlags::PATH),
        e => Err(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;
    use std::fs;

    #[test]
    fn entries_are_seen_each_time_anew() {
        let dir = tempfile::tempdir().unwrap();
        let home = open(CWD, dir.path()).unwrap();
        assert_eq!(Entries::of(home.as_fd()), Entries::NONE);
        fs::write(dir.path().join("down"), "").unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        let two = Entries {
            log: true,
            down: true,
            ..Entries::NONE
        };
        assert_eq!(Entries::of(home.as_fd()), two);
        for setting in &SETTINGS {
            assert!(!Entries::of(home.as_fd()).may_hold(setting.name));
            fs::write(dir.path().join(setting.name), "").unwrap();
            assert!(Entries::of(home.as_fd()).may_hold(setting.name));
        }
        for kind in Kind::ALL {
            fs::create_dir(dir.path().join(kind.directory())).unwrap();
            let seen = Entries::of(home.as_fd());
            for other in Kind::ALL {
                assert_eq!(seen.may_hold(other.directory()), other <= kind);
            }
        }
    }

    #[test]
    fn each_program_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let home = open(CWD, dir.path()).unwrap();
        for name in ["finish", "run", "setup", "check"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let seen = Entries::of(home.as_fd());
        let programs = Entries {
            finish: true,
            run: true,
            setup: true,
            check: true,
            ..Entries::NONE
        };
        assert_eq!(seen, programs);
        assert!(seen.surely_runs() && !Entries::NONE.surely_runs());
    }

    #[test]
    fn of_what_is_too_long_or_unreadable_anything_may_be_there() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..=ENTRIES_MAX {
            fs::write(dir.path().join(n.to_string()), "").unwrap();
        }
        let home = open(CWD, dir.path()).unwrap();
        assert_eq!(Entries::of(home.as_fd()), Entries::ANY);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let held = openat(CWD, "/", flags, Mode::empty()).unwrap();
        assert_eq!(Entries::of(held.as_fd()), Entries::ANY);
    }
}
