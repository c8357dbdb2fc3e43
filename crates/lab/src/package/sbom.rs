//! What is in the binary: crates by `cargo tree`, Rust's library and the C library by what the
//! binary itself says, written as CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::facts::Facts;
use crate::{oci, workspace};

/// All parts of a binary.
pub struct Parts {
    parts: BTreeMap<String, Part>,
}

/// One of them.
struct Part {
    name: String,
    version: String,
    license: String,
    /// The SHA-256 of what crates.io has; sources of our own have none.
    checksum: Option<String>,
    needs: BTreeSet<String>,
}

/// The program itself, as the parts are referred to.
const OURS: &str = "sunup";

/// The licences of what the compiler adds.
const RUST_LICENSE: &str = "MIT OR Apache-2.0";
const GLIBC_LICENSE: &str = "LGPL-2.1-or-later";
const MUSL_LICENSE: &str = "MIT";

impl Parts {
    /// What a build consists of.
    ///
    /// # Errors
    /// Cargo does not say it, or not in the form that is known.
    pub fn of(facts: &Facts) -> Result<Self> {
        let lock = fs::read_to_string(workspace::root().join("Cargo.lock"))?;
        let mut parts = crates(&tree(facts.machine.triple)?, &checksums(&lock))?;
        for (name, version, license) in facts.compiled_in() {
            let reference = format!("{name}@{version}");
            if let Some(ours) = parts.values_mut().find(|part| part.name == OURS) {
                ours.needs.insert(reference.clone());
            }
            let part = Part {
                name: name.to_owned(),
                version,
                license: license.to_owned(),
                checksum: None,
                needs: BTreeSet::new(),
            };
            parts.insert(reference, part);
        }
        Ok(Self { parts })
    }

    /// One line for each part that is not ours: name, version and licence.
    pub fn list(&self) -> String {
        let others = self.parts.values().filter(|part| !part.is_ours());
        let lines = others.map(|p| format!(" {} {} ({})\n", p.name, p.version, p.license));
        lines.collect()
    }

    /// The whole as CycloneDX.
    pub fn cyclone_dx(&self, facts: &Facts) -> String {
        let (ours, others): (Vec<_>, Vec<_>) = self.parts.iter().partition(|(_, p)| p.name == OURS);
        let ours = ours.first().map(|(reference, part)| {
            let mut component = part.component(reference);
            component["type"] = json!("application");
            component
        });
        let components: Vec<Value> = others.iter().map(|(r, p)| p.component(r)).collect();
        let needs = |(reference, part): (&String, &Part)| json!({ "ref": reference, "dependsOn": part.needs });
        let whole = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "timestamp": oci::rfc3339(facts.time),
                "component": ours,
                "properties": [{ "name": "architecture", "value": facts.machine.name }],
            },
            "components": components,
            "dependencies": self.parts.iter().map(needs).collect::<Vec<_>>(),
        });
        format!("{whole:#}\n")
    }
}

impl Part {
    /// Whether it is of this workspace.
    fn is_ours(&self) -> bool {
        matches!(&self.name[..], OURS | "model")
    }

    fn component(&self, reference: &str) -> Value {
        let mut component = json!({
            "type": "library",
            "bom-ref": reference,
            "name": self.name,
            "licenses": [{ "expression": self.license }],
        });
        if !self.version.is_empty() {
            component["version"] = json!(self.version);
        }
        if let Some(sum) = &self.checksum {
            component["purl"] = json!(format!("pkg:cargo/{}@{}", self.name, self.version));
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        component
    }
}

impl Facts {
    /// Name, version and licence of what is linked in beside crates. A static binary of glibc's
    /// holds the name of a variable; musl says nothing. Of the C library for another kind of
    /// machine, the version is not known.
    fn compiled_in(&self) -> [(&'static str, String, &'static str); 2] {
        let rust = self.said("rustc version ", b" \0");
        let rust = ("rust-std", rust.unwrap_or_default(), RUST_LICENSE);
        if self.said("GLIBC_TUNABLES", b"\0").is_none() {
            return [rust, ("musl", String::new(), MUSL_LICENSE)];
        }
        let version = if self.machine.is_here() {
            glibc_here()
        } else {
            None
        };
        [rust, ("glibc", version.unwrap_or_default(), GLIBC_LICENSE)]
    }

    /// What stands in the binary between a text and one of some bytes.
    fn said(&self, before: &str, ends: &[u8]) -> Option<String> {
        let binary = &self.binary[..];
        let mut places = binary.windows(before.len());
        let at = places.position(|part| part == before.as_bytes())? + before.len();
        let rest = binary.get(at..)?;
        let end = rest.iter().position(|byte| ends.contains(byte))?;
        String::from_utf8(rest.get(..end)?.to_vec()).ok()
    }
}

/// The version of the C library that programs are linked with here.
fn glibc_here() -> Option<String> {
    let said = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    Some(said.trim().strip_prefix("glibc ")?.to_owned())
}

/// What cargo says is compiled: a line for each use of a crate, with its depth, name, version and
/// licence. (`cargo metadata` has all that any crate of the workspace needs.)
fn tree(triple: &str) -> Result<String> {
    let words = [
        "tree",
        "--locked",
        "--package=sunup",
        "--edges=normal",
        "--prefix=depth",
        "--no-dedupe",
        "--format= {p}\t{l}",
        "--target",
    ];
    let output = workspace::cargo()
        .args(words)
        .arg(triple)
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo tree")?;
    if !output.status.success() {
        bail!("list what sunup is made of: cargo says why above");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The crates of such a list.
fn crates(tree: &str, sums: &BTreeMap<String, String>) -> Result<BTreeMap<String, Part>> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    // The one that is being read, and those that need it.
    let mut above: Vec<String> = Vec::new();
    for line in tree.lines() {
        let (words, license) = line.split_once('\t').unwrap_or((line, ""));
        let mut words = words.split(' ');
        let (Some(Ok(depth)), Some(name), Some(version)) =
            (words.next().map(str::parse), words.next(), words.next())
        else {
            bail!("cargo tree: not understood: {line}");
        };
        let version = version.trim_start_matches('v');
        let reference = format!("{name}@{version}");
        above.truncate(depth);
        if let Some(user) = above.last().and_then(|user| parts.get_mut(user)) {
            user.needs.insert(reference.clone());
        }
        parts.entry(reference.clone()).or_insert_with(|| Part {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.replace('/', " OR "),
            checksum: sums.get(&reference).cloned(),
            needs: BTreeSet::new(),
        });
        above.push(reference);
    }
    Ok(parts)
}

/// What Cargo.lock has of each crate.
fn checksums(lock: &str) -> BTreeMap<String, String> {
    let mut sums = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |name: &str| {
            let mut lines = package.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            value.and_then(|text| text.strip_suffix('"'))
        };
        if let (Some(name), Some(version), Some(sum)) =
            (value("name"), value("version"), value("checksum"))
        {
            sums.insert(format!("{name}@{version}"), sum.to_owned());
        }
    }
    sums
}
