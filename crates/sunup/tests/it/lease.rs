//! A write lease on a file (fcntl(2)): whoever opens or executes it hangs until the
//! lease is given back, or for /proc/sys/fs/lease-break-time, 45 s.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// As asm-generic/fcntl.h has it.
const F_SETSIG: libc::c_int = 10;

/// Held as long as this lives.
pub struct Lease {
    _file: File,
}

impl Lease {
    /// Takes it; nobody else may have the file open.
    pub fn take(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let fd = file.as_raw_fd();
        // Who hangs is told by a signal, which ends a process unless it is one that is ignored.
        // SAFETY: both calls change nothing but what the kernel knows of this descriptor.
        let results = unsafe {
            [
                libc::fcntl(fd, F_SETSIG, libc::SIGURG),
                libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK),
            ]
        };
        let what = path.display();
        assert_eq!(results, [0, 0], "{what}: {}", io::Error::last_os_error());
        Self { _file: file }
    }
}
