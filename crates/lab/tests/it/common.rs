//! What the tests share.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// lab's binary.
pub fn lab() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_lab"))
}

/// Runs lab with `args`, which must succeed.
pub fn run_lab(args: &[&str]) -> Output {
    succeed(Command::new(lab()).args(args))
}

/// Runs a command, which must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; install Debian's package of that name"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Writes a file and the directories above it, with permissions.
pub fn write(path: &Path, perm: u32, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if perm & 0o111 == 0 {
        fs::write(path, content).unwrap();
    } else {
        // What is open for writing here is so, for a moment, in what another thread is just
        // starting, and then cannot be executed.
        let written = tempfile::NamedTempFile::new().unwrap();
        fs::write(&written, content).unwrap();
        succeed(Command::new("cp").arg(written.path()).arg(path));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(perm)).unwrap();
}
