//! The file tree: Debian's packages of the release that this machine runs, from
//! the mirrors that its apt knows. It is made once, by mmdebstrap, and kept as an
//! archive in `target/lab/debian-root`; remove that to have it made of newer packages.
//! A small tree of Debian 13 is `target/lab/debian-13`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lab::{debian, workspace};
use rustix::fs::{FlockOperation, flock};

/// Which Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// What this machine runs, with services.
    Here,
    /// Debian 13, with what boots.
    Trixie,
}

impl Release {
    fn dir(self) -> &'static str {
        match self {
            Self::Here => "debian-root",
            Self::Trixie => "debian-13",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Here => PACKAGES,
            Self::Trixie => &["runit-init", "getty-run", "login", "procps"],
        }
    }
}

/// Packages that ship service directories, beside those of runit itself, and
/// what the checks run.
const PACKAGES: &[&str] = &[
    "runit-init",
    "getty-run",
    // Services: cron, DNS (two), web, ssh, syslog.
    "bcron",
    "dnsmasq",
    "tinydns",
    "mini-httpd-run",
    "openssh-server",
    "socklog-run",
    // Daemons that say when they are ready; sshd does, too.
    "dbus-daemon",
    "dbus-system-bus-common",
    "seatd",
    // A reader of status records.
    "prometheus-node-exporter",
    // A reader of what sv says is written in Python; the rest is for the checks.
    "curl",
    "libpython3-stdlib",
    "openssh-client",
    "procps",
    "python3-minimal",
];

/// What nobody here reads.
const WITHOUT: &[&str] = &[
    "/usr/lib/*/gconv/*",
    "/usr/share/doc/*",
    "/usr/share/i18n/*",
    "/usr/share/locale/*",
    "/usr/share/man/[!m]*",
    "/usr/share/man/man[!8]/*",
    "/usr/share/zoneinfo/*",
];

/// Runs outside, with the tree as `$1`, when all packages are configured.
const CUSTOMIZE: &str = r#"
    set -e
    chroot "$1" passwd --delete root
    echo debian >"$1/etc/hostname"
    echo '127.0.0.1 localhost debian' >"$1/etc/hosts"
    echo 'nameserver 127.0.0.1' >"$1/etc/resolv.conf"
"#;

/// The same. Of ansible, which is large, only the module for runit is taken, and what that
/// imports.
const ANSIBLE: &str = r#"
    set -e
    work=$(mktemp -d)
    cd "$work"
    APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download -q -o APT::Sandbox::User=root ansible ansible-core
    modules=./usr/lib/python3/dist-packages
    dpkg-deb --fsys-tarfile ansible_*.deb |
        tar -x -C "$1" "$modules/ansible_collections/community/general/plugins/modules/runit.py"
    dpkg-deb --fsys-tarfile ansible-core_*.deb |
        tar -x -C "$1" "$modules/ansible/__init__.py" "$modules/ansible/release.py" \
        "$modules/ansible/_vendor" "$modules/ansible/module_utils"
    rm -r "$work"
"#;

/// The tree as an archive of tar.
pub fn archive(release: Release) -> PathBuf {
    assert!(
        debian::is_root(),
        "only root can make Debian's tree: run these tests as root, or leave the suite `debian` out"
    );
    let dir = workspace::scratch().unwrap().join(release.dir());
    fs::create_dir_all(&dir).unwrap();
    let lock = File::open(&dir).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (tar, recipe) = (dir.join("root.tar"), dir.join("recipe"));
    let words = recipe_words(release);
    let wanted = words.join("\n");
    if fs::read_to_string(&recipe).is_ok_and(|made| made == wanted) {
        return tar;
    }
    // The recipe is written last: an interrupted run never looks like a cache.
    drop(fs::remove_file(&recipe));
    make(release, &words, &tar, &dir);
    fs::write(&recipe, wanted).unwrap();
    tar
}

/// What the tree depends on: mmdebstrap's arguments, but for the archive and the mirrors.
fn recipe_words(release: Release) -> Vec<String> {
    let mut words: Vec<String> = [
        "--variant=minbase",
        "--mode=root",
        "--format=tar",
        "--skip=output/dev",
    ]
    .map(str::to_owned)
    .into();
    words.push(format!("--include={}", release.packages().join(",")));
    words.push("--dpkgopt=force-unsafe-io".into());
    let paths = WITHOUT.iter();
    words.extend(paths.map(|path| format!("--dpkgopt=path-exclude={path}")));
    words.push("--aptopt=Acquire::Languages \"none\"".into());
    words.push(format!("--customize-hook={CUSTOMIZE}"));
    if release == Release::Here {
        words.push(format!("--customize-hook={ANSIBLE}"));
    }
    words
}

fn make(release: Release, words: &[String], tar: &Path, dir: &Path) {
    let (mut name, mut sources) = sources();
    if release == Release::Trixie {
        // The mirror that has one release has the next one, too.
        let end = format!(" {name} main\n");
        let line = sources
            .split_inclusive('\n')
            .find(|line| line.ends_with(&end));
        let line = line.expect("apt knows no package of Debian's main part");
        sources = line.replace(&end, " trixie main\n");
        "trixie".clone_into(&mut name);
    }
    let (list, settings) = (dir.join("sources.list"), dir.join("apt.conf"));
    fs::write(&list, sources).unwrap();
    fs::write(&settings, apt_settings()).unwrap();
    let mut command = Command::new("mmdebstrap");
    command
        .args(words)
        .arg(format!("--aptopt={}", settings.display()))
        .arg(name)
        .args([tar, &list])
        .current_dir("/");
    succeed(&mut command);
}

/// The release, and the entries of sources.list that this machine's apt uses for
/// Debian: the mirror may be any, and is nobody else's business.
fn sources() -> (String, String) {
    const FORMAT: &str = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)";
    let list = || {
        let mut command = Command::new("apt-get");
        command.args(["indextargets", "--format", FORMAT, "Created-By: Packages"]);
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    };
    let mut targets = list();
    if targets.is_empty() {
        succeed(Command::new("apt-get").arg("update"));
        targets = list();
    }
    let mut release = None;
    let mut sources = Vec::new();
    for target in targets.lines() {
        let words: Vec<&str> = target.split(' ').collect();
        let ["Debian", uri, suite, component] = words[..] else {
            continue;
        };
        // The shortest: other suites are called after it.
        let shorter = |known: &&str| known.len() <= suite.len();
        release = Some(release.filter(shorter).unwrap_or(suite));
        sources.push(format!("deb {uri} {suite} {component}\n"));
    }
    let release =
        release.expect("apt knows no package of Debian: these tests need a Debian machine");
    (release.to_owned(), sources.concat())
}

/// What this machine's apt was told about the way to its mirrors.
fn apt_settings() -> String {
    let dump = succeed(Command::new("apt-config").arg("dump")).stdout;
    let dump = String::from_utf8(dump).unwrap();
    let ways = ["Acquire::http", "Acquire::Check", "Acquire::Retries"];
    let lines = dump.split_inclusive('\n');
    lines
        .filter(|line| ways.iter().any(|way| line.starts_with(way)))
        .collect()
}

/// Runs a command, which must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let name = command.get_program().to_owned();
    let name = name.as_os_str().display();
    let output = command
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|e| panic!("{name}: {e}; install Debian's package of that name"));
    let said: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&output.stderr);
    assert!(output.status.success(), "{name}: {}", said.display());
    output
}

/// It may take a mirror's time, so it comes before what is measured by deadlines.
#[test]
fn the_tree_of_packages_is_made_in_debian() {
    let tar = fs::metadata(archive(Release::Here)).unwrap();
    assert!(tar.len() > 50 << 20, "{} bytes", tar.len());
}
