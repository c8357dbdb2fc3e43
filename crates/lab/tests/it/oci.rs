//! Container images: the same bytes every time, read by umoci, and run as containers are. The
//! commands are those of `examples/containers`, as they stand there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lab::workspace;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use super::common::{lab, run_lab, succeed};

/// A container's runtime gives it /proc, /dev/null and a loopback.
const SET_UP: &str = "cd bundle/rootfs && mkdir -p dev && >dev/null
    mount -t proc none proc && mount --bind /dev/null dev/null
    chroot . /bin/busybox ip link set lo up
    exec env -i \"$@\"";

/// An example, made by the commands of its README.
struct Example {
    dir: TempDir,
}

impl Example {
    fn make(name: &str) -> Self {
        let dir = tempdir().unwrap();
        let readme = workspace::root().join(format!("examples/containers/{name}/README.md"));
        let readme = fs::read_to_string(readme).unwrap();
        let (_, block) = readme.split_once("```sh\n").unwrap();
        let (commands, _) = block.split_once("```").unwrap();
        assert!(commands.starts_with("cargo lab oci "), "{commands}");
        let script = commands.replace("cargo lab", lab().to_str().unwrap());
        symlink(
            workspace::root().join("examples"),
            dir.path().join("examples"),
        )
        .unwrap();
        succeed(
            Command::new("sh")
                .args(["-ec", &script])
                .current_dir(dir.path()),
        );
        Self { dir }
    }

    /// The words and the environment of process 1, as umoci understood them.
    fn process(&self) -> (Vec<String>, Vec<String>) {
        let config = fs::read(self.dir.path().join("bundle/config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let strings = |of: &Value| -> Vec<String> {
            let of = of.as_array().unwrap().iter();
            of.map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let process = &config["process"];
        assert_eq!(process["cwd"], "/");
        (strings(&process["args"]), strings(&process["env"]))
    }

    /// Runs process 1 in namespaces; `program` takes the place of the image's own, as behind
    /// `docker run IMAGE`.
    fn run(&self, program: Option<&[&str]>) -> Output {
        let (mut words, env) = self.process();
        if let Some(program) = program {
            let at = words.iter().position(|word| word == "--").unwrap();
            words.truncate(at + 1);
            words.extend(program.iter().map(|word| (*word).to_owned()));
        }
        Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "--pid",
                "--net",
                "--fork",
            ])
            .args(["--kill-child", "sh", "-c", SET_UP, "sh"])
            .args(env)
            .args(["chroot", "."])
            .args(words)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

fn told(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    texts.concat()
}

#[test]
fn one_service_serves() {
    let example = Example::make("one-service");
    let asks = "until wget -qO- http://127.0.0.1:8080/; do sleep 0.1; done; sv status web; exit 9";
    let output = example.run(Some(&["sh", "-c", asks]));
    assert_eq!(output.status.code(), Some(9), "{}", told(&output));
    for text in ["web: port 8080", "It works.", "run: web: (pid "] {
        assert!(told(&output).contains(text), "{text}: {}", told(&output));
    }
}

#[test]
fn three_services_end_with_the_main_one() {
    let output = Example::make("three-services").run(None);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("app: three ticks"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_job_ends_with_its_code() {
    let output = Example::make("job").run(None);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for place in [dir.to_owned(), dir.join("blobs/sha256")] {
        for entry in fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(dir).unwrap().to_owned();
                all.insert(name, fs::read(path).unwrap());
            }
        }
    }
    all
}

/// A directory of any kind, with hard links, long names and a /sbin that is a link.
#[test]
fn a_directory_becomes_an_image_the_same_every_time() {
    let work = tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    let root = at("root");
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(120));
    fs::create_dir_all(root.join("usr/sbin")).unwrap();
    symlink("usr/sbin", root.join("sbin")).unwrap();
    fs::create_dir(root.join("d".repeat(90))).unwrap();
    fs::write(root.join(&long), b"long").unwrap();
    fs::write(root.join("a"), b"linked").unwrap();
    fs::hard_link(root.join("a"), root.join("b")).unwrap();
    symlink("x".repeat(150), root.join("link")).unwrap();
    let sunup = at("sunup");
    fs::write(&sunup, b"not really").unwrap();
    let make = |out: &str| {
        let out = at(out);
        let words = [
            "oci",
            "--rootfs",
            root.to_str().unwrap(),
            "--sunup",
            sunup.to_str().unwrap(),
        ];
        let rest = [
            "--tag",
            "one",
            "--out",
            out.to_str().unwrap(),
            "--",
            "/bin/app",
            "-x",
        ];
        run_lab(&[&words[..], &rest].concat());
        out
    };
    let (first, second) = (make("first"), make("second"));
    assert_eq!(files(&first), files(&second));
    assert_eq!(
        fs::read(make("a.tar")).unwrap(),
        fs::read(make("b.tar")).unwrap()
    );

    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--rootless", "--image", "first:one", "bundle"]);
    succeed(umoci.current_dir(work.path()));
    let unpacked = at("bundle/rootfs");
    assert_eq!(fs::read(unpacked.join(&long)).unwrap(), b"long");
    assert_eq!(fs::read(unpacked.join("b")).unwrap(), b"linked");
    assert_eq!(
        fs::read(unpacked.join("usr/sbin/sunup")).unwrap(),
        b"not really"
    );
    assert_eq!(
        fs::read_link(unpacked.join("link")).unwrap(),
        PathBuf::from("x".repeat(150))
    );
    let inode = |name: &str| fs::metadata(unpacked.join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("b"));
    let config = fs::read_to_string(at("bundle/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let expected = ["/sbin/sunup", "container", "--", "/bin/app", "-x"];
    assert_eq!(config["process"]["args"], serde_json::json!(expected));
}
