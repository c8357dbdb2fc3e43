//! Before `main` of the tests: what they were started with is forgotten, since the
//! programs under test inherit it from them. Whoever runs them with nohup(1), from a
//! script in the background, or under limits tests the same programs as everybody.
//!
//! Signals do what they do by default and none is blocked, files are made with the
//! usual umask, soft limits are those of a login, no descriptor but the first three
//! goes on to a child, and the environment says nothing to our programs.

use std::ffi::{CStr, c_int, c_uint};

/// Variables that programs under test would obey.
const OBEYED: [&CStr; 8] = [
    c"CONSOLE",
    c"LANG",
    c"LC_ALL",
    c"NOTIFY_SOCKET",
    c"PREVLEVEL",
    c"RUNLEVEL",
    c"SVDIR",
    c"SVWAIT",
];

/// Soft limits as a login has them, as far as the hard ones let them be.
const LIMITS: [(c_uint, u64); 7] = [
    (libc::RLIMIT_AS, libc::RLIM_INFINITY),
    (libc::RLIMIT_CORE, 0),
    (libc::RLIMIT_DATA, libc::RLIM_INFINITY),
    (libc::RLIMIT_FSIZE, libc::RLIM_INFINITY),
    (libc::RLIMIT_NOFILE, 1024),
    (libc::RLIMIT_NPROC, libc::RLIM_INFINITY),
    (libc::RLIMIT_STACK, 8 << 20),
];

#[used]
#[unsafe(link_section = ".init_array")]
static FORGET: extern "C" fn() = forget;

extern "C" fn forget() {
    // SAFETY: there is one thread so far, and each call gets values of its own.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            // std ignores PIPE when it starts; what cannot be set is not inherited.
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::umask(0o022);
        libc::close_range(3, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as c_int);
        for name in OBEYED {
            libc::unsetenv(name.as_ptr());
        }
        for (kind, usual) in LIMITS {
            let mut limit = std::mem::zeroed::<libc::rlimit>();
            if libc::getrlimit(kind, &raw mut limit) == 0 {
                limit.rlim_cur = limit.rlim_max.min(usual);
                libc::setrlimit(kind, &raw const limit);
            }
        }
    }
}

/// The test binary, started as `sh` with this script has it, runs the test below.
fn started_by(script: &str) -> String {
    let own = std::env::current_exe().unwrap();
    let test = "pristine::what_a_child_inherits";
    let output = std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(own)
        .args([test, "--exact", "--nocapture"])
        .env("PRISTINE", "show")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    let lines = said.split_inclusive('\n');
    lines
        .filter(|line| line.starts_with("inherited "))
        .collect()
}

/// What a child of the tests has, if it is asked for.
#[test]
fn what_a_child_inherits() {
    const SHOW: &str =
        "echo inherited umask $(umask), files $(ulimit -Sn), size $(ulimit -Sf), sv $SVDIR
        ls /proc/self/fd | wc -l | sed 's/^/inherited descriptors /'
        grep ^Sig[BI] /proc/self/status | sed 's/^/inherited /'";
    if std::env::var_os("PRISTINE").is_some() {
        let status = std::process::Command::new("sh").args(["-c", SHOW]).status();
        assert!(status.unwrap().success());
    }
}

#[test]
fn what_tests_inherit_is_forgotten() {
    let plain = started_by("exec \"$@\"");
    assert!(
        plain.contains("umask 0022") && plain.contains("SigIgn"),
        "{plain}"
    );
    let odd = "trap '' HUP INT QUIT CHLD TERM; umask 077; ulimit -Sn 100; ulimit -Sf 9999
        exec 7</dev/null 8</dev/null; export SVDIR=/nowhere; exec \"$@\"";
    assert_eq!(started_by(odd), plain);
}
