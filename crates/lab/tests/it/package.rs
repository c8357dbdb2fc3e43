//! Packages: the same bytes every time, read by the tools that they are for, and installed and
//! removed where nothing of this machine is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use lab::workspace;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use super::common::{lab, run_lab, succeed, write};

/// What `cargo lab package` makes of one format, once.
fn file(format: &str) -> PathBuf {
    static MADE: Mutex<BTreeMap<String, TempDir>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    let dir = made.entry(format.to_owned()).or_insert_with(|| {
        let dir = tempdir().unwrap();
        make(dir.path(), &["--format", format]);
        dir
    });
    let mut names = names(dir.path()).into_iter();
    dir.path()
        .join(names.find(|name| name != "SHA256SUMS").unwrap())
}

fn make(out: &Path, more: &[&str]) {
    let sunup = workspace::build_sunup().unwrap();
    let words = ["package", "--sunup", sunup.to_str().unwrap(), "--out"];
    run_lab(&[&words[..], &[out.to_str().unwrap()], more].concat());
}

fn said(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stdout).unwrap()
}

/// Paths of files and links in an archive, behind a part of the path.
fn files_of(archive: impl Read, behind: &str) -> BTreeSet<String> {
    let mut archive = tar::Archive::new(archive);
    let mut paths = BTreeSet::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        if !entry.header().entry_type().is_dir()
            && let Some((_, path)) = path.split_once(behind)
        {
            paths.insert(path.to_owned());
        }
    }
    paths
}

/// The same from rpm's list, which has directories.
fn below_usr(list: &str) -> BTreeSet<String> {
    let paths = list.lines().filter_map(|line| line.split_once("usr/"));
    paths.map(|(_, path)| path.to_owned()).collect()
}

#[test]
fn packages_are_the_same_bytes_every_time() {
    let (one, other) = (tempdir().unwrap(), tempdir().unwrap());
    make(one.path(), &[]);
    make(other.path(), &[]);
    let names = names(one.path());
    assert_eq!(names.len(), 6);
    for name in names {
        let [one, other] = [&one, &other].map(|dir| fs::read(dir.path().join(&name)).unwrap());
        assert!(one == other, "{name}");
    }
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "SHA256SUMS"]);
    let checked = said(check.current_dir(one.path()));
    assert_eq!(checked.lines().count(), 5, "{checked}");
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_time_and_a_format_can_be_chosen() {
    let out = tempdir().unwrap();
    let sunup = workspace::build_sunup().unwrap();
    let mut command = Command::new(lab());
    command
        .args(["package", "--format", "tar,sbom", "--sunup"])
        .arg(sunup);
    succeed(
        command
            .arg("--out")
            .arg(out.path())
            .env("SOURCE_DATE_EPOCH", "86400"),
    );
    assert_eq!(names(out.path()).len(), 3);
    let list = Command::new("tar")
        .args(["--utc", "--full-time", "-tvzf"])
        .arg(
            names(out.path())
                .iter()
                .find(|n| n.ends_with(".tar.gz"))
                .unwrap(),
        )
        .current_dir(out.path())
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().count() > 50, "{list}");
    assert!(
        list.lines()
            .all(|line| line.contains(" 1970-01-02 00:00:00 ")),
        "{list}"
    );
}

#[test]
fn what_is_no_program_is_refused() {
    let out = tempdir().unwrap();
    write(&out.path().join("script"), 0o755, b"#!/bin/sh\n");
    let mut command = Command::new(lab());
    command
        .args(["package", "--sunup"])
        .arg(out.path().join("script"));
    let output = command.arg("--out").arg(out.path()).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("no program for x86_64, aarch64, riscv64; leave --sunup out"),
        "{text}"
    );
}

/// dpkg reads it; its scripts are scripts; what it and rpm and the tarball have is the same.
#[test]
fn all_packages_have_the_same_files() {
    let version = env!("CARGO_PKG_VERSION");
    let deb = file("deb");
    let field = said(
        Command::new("dpkg-deb")
            .args(["-f"])
            .arg(&deb)
            .arg("Version"),
    );
    assert_eq!(field.trim(), version);
    let control = tempdir().unwrap();
    succeed(
        Command::new("dpkg-deb")
            .arg("-e")
            .arg(&deb)
            .arg(control.path()),
    );
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let script = control.path().join(script);
        succeed(Command::new("sh").arg("-n").arg(&script));
        let text = fs::read_to_string(&script).unwrap();
        assert!(!text.contains("@NAMES@") && !text.contains("@COMMON@"));
    }
    let postinst = fs::read_to_string(control.path().join("postinst")).unwrap();
    let data = succeed(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&deb)).stdout;
    let in_tarball = flate2::read::GzDecoder::new(fs::File::open(file("tar")).unwrap());
    let in_tarball = files_of(in_tarball, "/files/");
    let mut in_deb = files_of(&data[..], "usr/");
    assert!(in_deb.contains("bin/sunup") && !in_deb.contains("bin/sv"));
    // The names of runit's are in the scripts.
    assert!(in_deb.remove("share/zsh/vendor-completions/_sunup"));
    let names = in_tarball.difference(&in_deb).cloned().collect::<Vec<_>>();
    // Each program, its page, and its completions for two shells.
    assert_eq!(names.len(), 9 * 4, "{names:?}");
    for name in names {
        assert!(postinst.contains(&format!("\n/usr/{name} ")), "{name}");
        in_deb.insert(name);
    }
    assert_eq!(in_deb, in_tarball);

    let rpm = file("rpm");
    let list = said(
        Command::new("rpm")
            .args(["-qp", "--qf", "[%{FILENAMES}\\n]"])
            .arg(&rpm),
    );
    let mut in_rpm = below_usr(&list);
    assert!(in_rpm.remove("share/doc/sunup"));
    assert_eq!(in_rpm, in_tarball);
    let told = said(
        Command::new("rpm")
            .args(["-qp", "--qf", "%{VERSION} %{ARCH} %{LICENSE}"])
            .arg(&rpm),
    );
    assert_eq!(
        told,
        format!("{version} {} MIT OR Apache-2.0", std::env::consts::ARCH)
    );
}

#[test]
fn completions_are_where_shells_look_for_them() {
    let tree = tempdir().unwrap();
    succeed(
        Command::new("dpkg-deb")
            .arg("-R")
            .args([&file("deb"), tree.path()]),
    );
    let postinst = fs::read_to_string(tree.path().join("DEBIAN/postinst")).unwrap();
    assert!(postinst.contains("\n/usr/share/bash-completion/completions/sv sunup\n"));
    assert!(postinst.contains("\n/usr/share/fish/vendor_completions.d/sv.fish sunup.fish\n"));
    for (path, begin) in [
        (
            "bash-completion/completions/sunup",
            "# bash completion for sunup\n",
        ),
        (
            "fish/vendor_completions.d/sunup.fish",
            "# fish completion for sunup\n",
        ),
        ("zsh/vendor-completions/_sunup", "#compdef sunup chpst "),
    ] {
        let text = fs::read_to_string(tree.path().join("usr/share").join(path)).unwrap();
        assert!(text.starts_with(begin), "{text}");
        assert!(
            text.contains(" runsvdir ") && !text.contains(" shutdown "),
            "{text}"
        );
    }
}

/// rpm believes its digests, installs it in a root of its own, and finds it unchanged there.
#[test]
fn rpm_installs_and_removes_it() {
    let root = tempdir().unwrap();
    let rpm = file("rpm");
    succeed(Command::new("rpm").arg("--checksig").arg(&rpm));
    // As an ordinary user nothing can be given to root.
    let run = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "rpm", "--root"]);
        succeed(command.arg(root.path()).args(words))
    };
    run(&["--initdb"]);
    run(&["--install", rpm.to_str().unwrap()]);
    let verified = run(&["--verify", "sunup"]);
    assert_eq!(String::from_utf8(verified.stdout).unwrap(), "");
    let version = said(Command::new(root.path().join("usr/bin/sv")).arg("--version"));
    assert!(version.starts_with("sv (sunup) "), "{version}");
    let init = fs::canonicalize(root.path().join("usr/sbin/runit-init")).unwrap();
    assert_eq!(
        init,
        root.path().join("usr/bin/sunup").canonicalize().unwrap()
    );
    run(&["--erase", "sunup"]);
    assert!(!root.path().join("usr/bin/sunup").exists());
    assert!(!root.path().join("usr/bin/sv").is_symlink());
}

/// umoci unpacks the image, and its process 1 is sunup.
#[test]
fn the_container_image_is_one() {
    let work = tempdir().unwrap();
    let image = work.path().join("image");
    fs::create_dir(&image).unwrap();
    succeed(
        Command::new("tar")
            .arg("-xf")
            .arg(file("oci"))
            .arg("-C")
            .arg(&image),
    );
    let name = format!("image:{}", env!("CARGO_PKG_VERSION"));
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--rootless", "--image", &name, "bundle"]);
    succeed(umoci.current_dir(work.path()));
    let binary = fs::read(work.path().join("bundle/rootfs/sbin/sunup")).unwrap();
    assert!(binary == fs::read(workspace::build_sunup().unwrap()).unwrap());
}

/// What cargo says is in the binary, and what the binary says itself.
#[test]
fn the_list_of_parts_is_complete() {
    let text = fs::read(file("sbom")).unwrap();
    let list: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(list["bomFormat"], "CycloneDX");
    assert_eq!(
        list["metadata"]["component"]["version"],
        env!("CARGO_PKG_VERSION")
    );
    let components = list["components"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut parts: BTreeSet<String> = components
        .iter()
        .map(|c| format!("{} {}", text(&c["name"]), text(&c["version"])))
        .collect();
    let added = |part: &String| part.starts_with("glibc 2.") || part.starts_with("rust-std 1.");
    assert_eq!(
        parts.iter().filter(|part| added(part)).count(),
        2,
        "{parts:?}"
    );
    parts.retain(|part| !added(part));
    let mut tree = workspace::cargo();
    tree.args([
        "tree",
        "--locked",
        "--package=sunup",
        "--edges=normal",
        "--prefix=none",
    ]);
    let tree = said(tree.args(["--format", "{p}"]));
    let in_tree = tree.lines().map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        format!(
            "{name} {}",
            words.next().unwrap_or_default().trim_start_matches('v')
        )
    });
    let mut in_tree: BTreeSet<String> = in_tree.filter(|part| part.len() > 1).collect();
    assert!(in_tree.remove(&format!("sunup {}", env!("CARGO_PKG_VERSION"))));
    assert_eq!(parts, in_tree);
    for component in components.iter().filter(|c| c["purl"].is_string()) {
        assert_eq!(
            component["hashes"][0]["content"].as_str().unwrap().len(),
            64
        );
    }
}

/// The tarball, unpacked, and a root with a runit of somebody's.
struct Unpacked {
    dir: TempDir,
    top: PathBuf,
}

impl Unpacked {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        succeed(
            Command::new("tar")
                .arg("-xzf")
                .arg(file("tar"))
                .current_dir(dir.path()),
        );
        let top = fs::read_dir(dir.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let root = dir.path().join("a root");
        write(
            &root.join("usr/local/bin/sv"),
            0o755,
            b"#!/bin/sh\necho somebody's\n",
        );
        write(&root.join("usr/local/share/man/man8/other.8"), 0o644, b"");
        symlink("elsewhere", root.join("usr/local/bin/chpst")).unwrap();
        Self { dir, top }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.dir.path().join("a root").join(name)
    }

    fn install(&self) -> Output {
        let mut sh = Command::new("sh");
        sh.arg(self.top.join("install.sh"))
            .arg("--root")
            .arg(self.root(""));
        sh.output().unwrap()
    }

    fn uninstall(&self) -> Output {
        let script = self.root("usr/local/share/sunup/uninstall.sh");
        Command::new("sh").arg(script).output().unwrap()
    }

    /// Everything below the root: kind, permissions, and target or content.
    fn files(&self) -> Vec<String> {
        let find =
            r"find . -printf '%p %y %m %l\n' | sort; find . -type f -exec sha256sum {} + | sort";
        let mut sh = Command::new("sh");
        let text = said(sh.args(["-c", find]).current_dir(self.root("")));
        text.lines().map(str::to_owned).collect()
    }

    fn sv_says(&self) -> String {
        said(Command::new(self.root("usr/local/bin/sv")).arg("--version"))
    }
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn the_tarball_is_installed_and_undone() {
    let unpacked = Unpacked::new();
    let before = unpacked.files();
    let text = told(&unpacked.install());
    assert!(text.contains("to undo this: "), "{text}");
    assert!(unpacked.sv_says().starts_with("sv (sunup) "));
    assert!(unpacked.root("usr/local/bin/sv.before-sunup").exists());
    let installed = unpacked.files();
    // Once more changes nothing, whatever the umask is.
    told(&unpacked.install());
    assert_eq!(unpacked.files(), installed);
    let mode = fs::metadata(unpacked.root("usr/local/bin/sunup")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o755);
    assert_eq!(told(&unpacked.uninstall()), "");
    assert_eq!(unpacked.files(), before);
}

#[test]
fn what_somebody_changed_or_added_stays() {
    let unpacked = Unpacked::new();
    told(&unpacked.install());
    let sv = unpacked.root("usr/local/bin/sv");
    fs::remove_file(&sv).unwrap();
    fs::write(&sv, "my own").unwrap();
    fs::write(unpacked.root("usr/local/share/doc/sunup/notes"), "mine").unwrap();
    let text = told(&unpacked.uninstall());
    assert!(
        text.contains("/usr/local/bin/sv was changed and is left alone"),
        "{text}"
    );
    assert_eq!(fs::read(&sv).unwrap(), b"my own");
    assert!(unpacked.root("usr/local/bin/sv.before-sunup").exists());
    assert!(unpacked.root("usr/local/share/doc/sunup/notes").exists());
    assert!(!unpacked.root("usr/local/bin/sunup").exists());
}

/// A newer version has other files, and the older one's go; both are undone at once.
#[test]
fn a_newer_tarball_takes_the_place() {
    let unpacked = Unpacked::new();
    let before = unpacked.files();
    let old = unpacked.top.join("files/bin/old-program");
    write(&old, 0o755, b"#!/bin/sh\n");
    write(
        &unpacked.root("usr/local/bin/old-program"),
        0o644,
        b"of somebody's",
    );
    let with_theirs = unpacked.files();
    told(&unpacked.install());
    assert!(
        unpacked
            .root("usr/local/bin/old-program.before-sunup")
            .exists()
    );
    fs::remove_file(old).unwrap();
    told(&unpacked.install());
    assert_eq!(
        fs::read(unpacked.root("usr/local/bin/old-program")).unwrap(),
        b"of somebody's"
    );
    told(&unpacked.uninstall());
    assert_eq!(unpacked.files(), with_theirs);
    fs::remove_file(unpacked.root("usr/local/bin/old-program")).unwrap();
    assert_eq!(unpacked.files(), before);
}

/// The installer ends at one of its commands, and what it did is undone.
#[test]
fn an_interrupted_installation_is_undone() {
    let work = tempdir().unwrap();
    let script = r#"#!/bin/sh
        n=$(($(cat "$COUNT") + 1)); echo $n >"$COUNT"
        [ $n != "$LIMIT" ] || { kill -9 $PPID; exit 1; }
        exec /bin/NAME "$@""#;
    for name in ["mv", "cp", "chmod", "mkdir"] {
        write(
            &work.path().join(name),
            0o755,
            script.replace("NAME", name).as_bytes(),
        );
    }
    let count = work.path().join("count");
    for limit in [2, 5, 6, 7, 40, 41, 42] {
        let unpacked = Unpacked::new();
        let before = unpacked.files();
        fs::write(&count, "0").unwrap();
        let path = format!("{}:/usr/bin:/bin", work.path().display());
        let output = Command::new("sh")
            .arg(unpacked.top.join("install.sh"))
            .arg("--root")
            .arg(unpacked.root(""))
            .envs([("PATH", &path), ("LIMIT", &limit.to_string())])
            .env("COUNT", &count)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{limit}");
        if !unpacked.root("usr/local/share/sunup/uninstall.sh").exists() {
            told(&unpacked.install());
        }
        told(&unpacked.uninstall());
        assert_eq!(unpacked.files(), before, "{limit}");
    }
}

/// What Void's and Alpine's tools call, so far as it needs nothing of theirs.
const VOID: &str = r#"
    DESTDIR=$out RUST_TARGET=one
    vbin() { install -Dm755 -t "$out/usr/bin" "$1"; }
    vman() { install -Dm644 -t "$out/usr/share/man/man${1##*.}" "$1"; }
    vmkdir() { mkdir -p "$out/$1"; }
    vlicense() { install -Dm644 -t "$out/usr/share/licenses/sunup" "$1"; }
    . "$sources/packaging/void/template"
    echo "$version"
    do_install
"#;
const ALPINE: &str = r#"
    pkgdir=$out
    . "$sources/packaging/alpine/APKBUILD"
    echo "$pkgver"
    package
"#;

/// The document has the names of files as they are made.
#[test]
fn the_guide_names_what_is_made() {
    let guide = fs::read_to_string(workspace::root().join("docs/install.md")).unwrap();
    for format in ["deb", "rpm", "tar", "oci"] {
        let file = file(format);
        let name = file.file_name().unwrap().to_str().unwrap();
        let name = name
            .replace(std::env::consts::ARCH, "x86_64")
            .replace("_arm64", "_amd64");
        assert!(guide.contains(&name), "{name}");
    }
}

#[test]
fn packages_from_source_have_the_version_and_the_programs() {
    let sources = workspace::root();
    let tarball = fs::File::open(file("tar")).unwrap();
    let in_tarball = files_of(flate2::read::GzDecoder::new(tarball), "/files/");
    let programs = |files: &BTreeSet<String>| -> BTreeSet<String> {
        let in_bin = files.iter().filter(|path| path.contains("bin/"));
        in_bin
            .filter_map(|path| Some(path.rsplit('/').next()?.to_owned()))
            .collect()
    };
    for script in [VOID, ALPINE] {
        let work = tempdir().unwrap();
        let out = work.path().join("out");
        fs::create_dir_all(work.path().join("target/one/release")).unwrap();
        for name in ["man", "LICENSE-MIT", "LICENSE-APACHE"] {
            symlink(sources.join(name), work.path().join(name)).unwrap();
        }
        write(&work.path().join("target/one/release/sunup"), 0o755, b"");
        let mut sh = Command::new("sh");
        sh.args(["-euc", script])
            .env("out", &out)
            .env("sources", &sources);
        let version = said(sh.current_dir(work.path()));
        assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
        let list = said(
            Command::new("find")
                .args([".", "!", "-type", "d"])
                .current_dir(&out),
        );
        let files: BTreeSet<String> = list.lines().map(str::to_owned).collect();
        assert_eq!(programs(&files), programs(&in_tarball));
        for page in ["man8/sv.8", "man8/sunup.8", "man5/service-directory.5"] {
            assert!(files.contains(&format!("./usr/share/man/{page}")), "{list}");
        }
        assert!(
            fs::canonicalize(out.join("usr/bin/sv"))
                .unwrap()
                .ends_with("usr/bin/sunup")
        );
    }
}
