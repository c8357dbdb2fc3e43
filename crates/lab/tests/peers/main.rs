//! The tests that tini and dumb-init bring along, fetched from Debian's archive and run under the
//! names that sunup has: `cargo lab test --only peers`. They need the network and Debian's packages
//! gcc, python3-psutil, python3-prctl, python3-pytest and python3-pytest-timeout.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use lab::workspace;
use tempfile::{TempDir, tempdir};

/// Fetches the original sources of a package, into a directory that apt has for itself.
const FETCH: &str = "set -e
mkdir -p lists/partial cache/archives/partial parts
cat >parts/src.sources <<END
Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
apt='apt-get -q -o Dir::Etc::sourcelist=/dev/null -o APT::Sandbox::User=root'
apt=\"$apt -o Dir::Etc::sourceparts=$PWD/parts -o Dir::State::Lists=$PWD/lists -o Dir::Cache=$PWD/cache\"
$apt update
$apt source --tar-only $1
mkdir source
tar xzf $1_*.orig.tar.gz -C source --strip-components=1
";

/// The one class of the module `bitmap` that tini's tests use: which bits of a number are set,
/// as far as signals have names.
const BITMAP: &str = "
class BitMap:
    def __init__(self, bits):
        self.bits = bits

    @classmethod
    def fromstring(cls, text):
        return cls(text[::-1])

    def nonzero(self):
        return [at for at, bit in enumerate(self.bits[:31]) if bit == '1']
";

fn sources(package: &str) -> TempDir {
    let dir = tempdir().unwrap();
    let fetched = Command::new("sh")
        .args(["-c", FETCH, "sh", package])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(fetched.status.success(), "{}", told(&fetched));
    fs::create_dir(dir.path().join("bin")).unwrap();
    symlink("/usr/bin/python3", dir.path().join("bin/python")).unwrap();
    dir
}

fn told(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

/// Runs a command in a pid namespace: some tests send signals to whole groups. A shell stays
/// process 1, for the tests count their own children.
fn apart(dir: &Path, script: &str) -> Output {
    let path = format!("{}:/usr/bin:/bin", dir.join("bin").display());
    Command::new("setsid")
        .args([
            "--wait",
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
        ])
        .args(["--kill-child", "--mount-proc", "sh", "-ec", script])
        .current_dir(dir)
        .env("PATH", path)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap()
}

#[test]
fn tinis_own_tests_pass() {
    let dir = sources("tini");
    fs::create_dir(dir.path().join("build")).unwrap();
    fs::write(dir.path().join("bitmap.py"), BITMAP).unwrap();
    symlink(
        workspace::build_sunup().unwrap(),
        dir.path().join("build/tini"),
    )
    .unwrap();
    let script = "gcc -o build/sigconf-test source/test/sigconf/sigconf-test.c
        export SOURCE_DIR=$PWD/source BUILD_DIR=$PWD/build FORCE_SUBREAPER=1 PYTHONPATH=$PWD
        python3 source/test/run_inner_tests.py
        exit $?";
    let output = apart(dir.path(), script);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("All done, tests as expected"),
        "{}",
        told(&output)
    );
}

/// Not those of wording, and not one that fails for dumb-init itself in a pid namespace.
const OTHERS: &str = "not test_help_message and not test_version_message and not test_rewrite_errors \
    and not test_no_arguments_prints_usage and not test_exits_invalid_with_invalid_args \
    and not test_setsid_signals_entire_group";

#[test]
fn dumb_inits_own_tests_pass() {
    let dir = sources("dumb-init");
    // They follow links, so this must be a file of that name.
    fs::copy(
        workspace::build_sunup().unwrap(),
        dir.path().join("bin/dumb-init"),
    )
    .unwrap();
    let script = format!(
        "cd source; python3 -m pytest -p no:cacheprovider -q --timeout 60 -k '{OTHERS}' tests; exit $?"
    );
    let output = apart(dir.path(), &script);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains(" passed"), "{}", told(&output));
}
