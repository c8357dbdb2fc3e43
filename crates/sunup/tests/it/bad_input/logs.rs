//! svlogd: its directories and the files in them. Whatever is wrong with one
//! directory, the other one has every line.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::Bad::*;
use super::{Bad, Ran, Table, assert_says, enclosed, ours, run, run_without_rights};
use crate::common::{Fixture, copy_program, sunup};

const LINES: usize = 40;

/// A fixture with lines to log, and two log directories.
fn fixture(config: &str) -> Fixture {
    let lines: Vec<String> = (0..LINES).map(|i| format!("line {i:014}\n")).collect();
    let input = lines.concat();
    Fixture::new(&[("input", &input), ("good/", ""), ("bad/config", config)])
}

/// Logs the lines into both.
fn log(case: &str, fixture: &Fixture) -> Ran {
    let mut command = ours("svlogd");
    command
        .args(["-l20", "-b50", "bad", "good"])
        .current_dir(fixture.path("."))
        .stdin(File::open(fixture.path("input")).unwrap());
    let ran = run(case, &mut command);
    assert_eq!(ran.code, 0, "{case}: {}", ran.errors);
    assert_eq!(lines_in(&fixture.path("good")), LINES, "{case}");
    fs::remove_dir_all(fixture.path("good")).unwrap();
    fs::create_dir(fixture.path("good")).unwrap();
    ran
}

/// The lines in `current` and in old logs that are files.
fn lines_in(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let logs = entries.filter(|entry| {
        let name = entry.file_name();
        let is_log = name == "current" || name.as_bytes().starts_with(b"@");
        is_log && entry.file_type().unwrap().is_file()
    });
    logs.map(|log| fs::read_to_string(log.path()).unwrap().lines().count())
        .sum()
}

#[test]
fn config() {
    let table: Table = &[
        (Empty, ""),
        (Null, ""),
        (Missing, ""),
        (Dangling, ""),
        (Directory, "read config: Is a directory; the defaults hold"),
        (Fifo, "read config: not a file; the defaults hold"),
        (Socket, "read config: not a file; the defaults hold"),
        (Loop, "read config: Too many levels of symbolic links"),
        (Long, "read config: longer than 1048576 bytes"),
        (Endless, "read config: longer than 1048576 bytes"),
        (Unreadable, "read config: Input/output error"),
    ];
    let fixture = fixture("");
    for (bad, part) in table {
        let case = format!("{bad:?}");
        bad.put(&fixture.path("bad/config"));
        let ran = log(&case, &fixture);
        assert_says(&case, &ran.errors, "svlogd", "bad: ", part);
        assert_eq!(lines_in(&fixture.path("bad")), LINES, "{case}");
        fs::remove_file(fixture.path("bad/current")).unwrap();
    }
}

/// Each bad line is named, up to a bound, and the others hold.
#[test]
fn lines_of_config() {
    for (config, parts) in [
        ("s1x\n", &["config:1: not a number: 1x"][..]),
        (
            "n\0\ns99999999999999999999\n",
            &["config:1: ", "config:2: "],
        ),
        ("!cat\0\n", &["config:1: a NUL byte in a command"]),
        ("u[::1\nunknown\n", &["config:1: ", "config:2: "]),
        ("\u{1b}[31m\n", &[r"config:1: unknown setting \x1b"]),
    ] {
        let ran = log(config, &fixture(config));
        let lines: Vec<&str> = ran.errors.lines().collect();
        assert_eq!(lines.len(), parts.len(), "{config:?}: {lines:?}");
        for (line, part) in lines.iter().zip(parts) {
            assert_says(config, &format!("{line}\n"), "svlogd", "bad: ", part);
        }
    }
    let ran = log("many", &fixture(&"?\n".repeat(100_000)));
    assert_eq!(ran.errors.lines().count(), 17);
    assert!(ran.errors.ends_with("; the line is ignored\n"));
    assert!(
        ran.errors
            .contains("config:17: a mistake, as in further lines")
    );
}

/// The lock and `current`: a directory without them is left out, and said so.
#[test]
fn files_without_which_nothing_is_logged() {
    let lock: Table = &[
        (Directory, "open lock: Is a directory"),
        (Fifo, "open lock: not a file"),
        (Socket, "open lock: not a file"),
        (Dangling, "open lock: a link; not followed"),
        (Loop, "open lock: a link; not followed"),
        (Null, "open lock: a link; not followed"),
    ];
    let current: Table = &[
        (Directory, "open current: Is a directory"),
        (Socket, "open current: not a file, pipe or terminal"),
        (Endless, "open current: not a file, pipe or terminal"),
        (Unreadable, "open current: a link to a file; not followed"),
        (Dangling, "open current: No such file or directory"),
        (Loop, "open current: Too many levels of symbolic links"),
    ];
    for (file, table) in [("lock", lock), ("current", current)] {
        for (bad, part) in table {
            let fixture = fixture("");
            let case = format!("{file} {bad:?}");
            bad.put(&fixture.path("bad").join(file));
            let ran = log(&case, &fixture);
            assert_says(&case, &ran.errors, "svlogd", "bad: ", part);
            assert!(ran.errors.contains("this log is ignored until HUP"));
        }
    }
}

/// Where `current` takes no bytes, the loss is told in numbers.
#[test]
fn a_log_that_cannot_be_written() {
    for (bad, reason) in [
        (Full, "write: No space left on device"),
        (Fifo, "write: open current: nobody reads the pipe"),
    ] {
        let fixture = fixture("");
        bad.put(&fixture.path("bad/current"));
        let ran = log(reason, &fixture);
        let (first, second) = ran.errors.split_once('\n').unwrap();
        assert!(first.starts_with("svlogd: bad: ") && first.contains(reason));
        assert_eq!(second, "svlogd: bad: 40 lines could not be written\n");
    }
}

/// A directory by the name of an old log is not ours: neither removed nor fed to
/// the processor, and no obstacle to either for the others.
#[test]
fn old_logs() {
    for config in ["s100\nn3\n", "s100\nn3\n!cat\n"] {
        for stage in ["s", "u", "t"] {
            for bad in [Directory, Fifo, Socket, Dangling, Loop, Unreadable] {
                let fixture = fixture(config);
                let case = format!("{config:?} {stage} {bad:?}");
                let name = format!("bad/@400000000000000000000000.{stage}");
                bad.put(&fixture.path(&name));
                let ran = log(&case, &fixture);
                assert_says(&case, &ran.errors, "svlogd", "", "");
                let names = fs::read_dir(fixture.path("bad")).unwrap();
                let names = names.map(|entry| entry.unwrap().file_name());
                let logs = names.filter(|name| name.as_bytes().ends_with(b".s"));
                assert_eq!(logs.count(), 3 + usize::from(stage == "s"), "{case}");
                fs::symlink_metadata(fixture.path(&name)).expect("it stays");
            }
        }
    }
}

/// Files of the processor: the log that waits for it is kept, and the reason told.
#[test]
fn states_of_a_processor() {
    let table: &[(&str, Bad, &str)] = &[
        ("state", Directory, "open state: Is a directory"),
        ("state", Fifo, "open state: not a file"),
        ("state", Socket, "open state: not a file"),
        ("state", Dangling, "open state: a link; not followed"),
        ("state", Loop, "open state: a link; not followed"),
        ("newstate", Directory, "open newstate: Is a directory"),
        ("newstate", Fifo, "open newstate: not a file"),
        ("newstate", Dangling, "open newstate: a link; not followed"),
        ("newstate", Loop, "open newstate: a link; not followed"),
    ];
    for (file, bad, part) in table {
        let fixture = fixture("s100\nn0\n!cat\n");
        let case = format!("{file} {bad:?}");
        bad.put(&fixture.path("bad").join(file));
        let ran = log(&case, &fixture);
        let part = format!("processor: {part}");
        assert_says(&case, &ran.errors, "svlogd", "bad: ", &part);
        assert_eq!(lines_in(&fixture.path("bad")), LINES, "{case}");
    }
}

/// In a directory of somebody else's a link may lead to any file of root's: none is
/// written to, cut or marked.
#[test]
fn files_are_not_reached_through_links() {
    for name in ["lock", "current", "state", "newstate"] {
        let fixture = fixture("s100\nn0\n!cat; echo new >&5\n");
        let target = fixture.path("target");
        fs::write(&target, "of root's\n").unwrap();
        let mode = || fs::metadata(&target).unwrap().permissions();
        let before = mode();
        std::os::unix::fs::symlink(&target, fixture.path("bad").join(name)).unwrap();
        let ran = log(name, &fixture);
        assert_says(name, &ran.errors, "svlogd", "bad: ", "; not followed");
        assert_eq!(
            fs::read_to_string(&target).unwrap(),
            "of root's\n",
            "{name}"
        );
        assert_eq!(mode(), before, "{name}");
    }
}

/// A log that is a link to a device leaves that as it is.
#[test]
fn a_device_keeps_its_mode() {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let device = Path::new(OsStr::from_bytes(name.to_bytes()));
    let mode = || fs::metadata(device).unwrap().permissions();
    let before = mode();
    let fixture = fixture("");
    std::os::unix::fs::symlink(device, fixture.path("bad/current")).unwrap();
    fs::write(fixture.path("input"), "line\n".repeat(LINES)).unwrap();
    let ran = log("terminal", &fixture);
    assert_eq!((ran.errors.as_str(), mode()), ("", before));
}

#[test]
fn no_directory() {
    let table: Table = &[
        (Missing, "open the directory: No such file or directory"),
        (Empty, "open the directory: Not a directory"),
        (Fifo, "open the directory: Not a directory"),
        (Socket, "open the directory: Not a directory"),
        (Null, "open the directory: Not a directory"),
        (Dangling, "open the directory: No such file or directory"),
        (Loop, "open the directory: Too many levels"),
    ];
    let fixture = fixture("");
    for (bad, part) in table {
        let case = format!("{bad:?}");
        bad.put(&fixture.path("bad"));
        let ran = log(&case, &fixture);
        assert_says(&case, &ran.errors, "svlogd", "bad: ", part);
    }
    for name in [&b""[..], b"a\nb", b"\xff", "n".repeat(256).as_bytes()] {
        let case = name.escape_ascii().to_string();
        let ran = run(&case, ours("svlogd").arg(OsStr::from_bytes(name)));
        let (first, second) = ran.errors.split_once('\n').unwrap();
        assert!(first.contains("open the directory: "), "{case}: {first}");
        assert_eq!(second, "svlogd: no log directory can be used\n", "{case}");
        assert_eq!(ran.code, 111, "{case}");
    }
}

#[test]
fn a_read_only_file_system() {
    let script = "mount -t tmpfs tmpfs bad; mount -o remount,ro tmpfs bad; exec \"$@\" <input";
    let fixture = fixture("");
    let ran = run(
        "read-only",
        enclosed(&fixture, script, "svlogd").args(["bad", "good"]),
    );
    let part = "open lock: Read-only file system; this log is ignored until HUP";
    assert_says("read-only", &ran.errors, "svlogd", "bad: ", part);
    assert_eq!(ran.code, 0);
    assert_eq!(lines_in(&fixture.path("good")), LINES);
}

#[test]
fn what_is_closed_to_us() {
    let fixture = fixture("");
    let open = |name: &str| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(fixture.path(name), mode).unwrap();
    };
    for name in ["lock", "current"] {
        fs::write(fixture.path("bad").join(name), "").unwrap();
    }
    for name in [".", "good", "bad", "bad/config", "bad/lock", "bad/current"] {
        open(name);
    }
    let svlogd = fixture.path("svlogd");
    copy_program(sunup(), &svlogd);
    for (closed, part) in [
        ("bad", "open the directory: Permission denied"),
        ("bad/config", "read config: Permission denied"),
        ("bad/lock", "open lock: Permission denied"),
        ("bad/current", "open current: Permission denied"),
    ] {
        let mut command = std::process::Command::new(&svlogd);
        command.args([fixture.path("bad"), fixture.path("good")]);
        let ran = run_without_rights(closed, &fixture.path(closed), &command);
        assert_says(closed, &ran.errors, "svlogd", "/bad: ", part);
        assert_eq!(ran.code, 0, "{closed}");
    }
}
