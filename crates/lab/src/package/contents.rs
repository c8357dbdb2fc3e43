//! What every package holds, below /usr or wherever it goes: the binary once, its pages, documents
//! and completions, all under names that nobody else has; and the names of runit that lead to them.
//!
//! So a page is called sunup-sv.8.gz, and sv.8.gz is a link to it: whoever has the place of runit
//! has the link, and `man sunup-getty` is there for the applets that are not linked.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::facts::{self, Facts};
use super::sbom::Parts;
use crate::image::{self, Compress};
use crate::tree::Tree;
use crate::workspace;

/// See the module. Paths are relative.
pub struct Contents {
    /// Files of our own.
    pub files: Tree,
    /// Names of runit's files.
    pub names: Vec<Name>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Where it is.
    pub path: String,
    /// Where it leads to, from its own directory.
    pub target: String,
}

/// Where the documents are.
pub const DOC: &str = "share/doc/sunup";

/// The binary.
const BINARY: &str = "bin/sunup";

/// runit's programs, and where they belong: /etc/runit and others call some by their path.
pub const PROGRAMS: [(&str, &str); 9] = [
    ("bin", "chpst"),
    ("bin", "runsv"),
    ("bin", "runsvdir"),
    ("bin", "sv"),
    ("bin", "svlogd"),
    ("sbin", "runit"),
    ("sbin", "runit-init"),
    ("sbin", "runsvchdir"),
    ("sbin", "utmpset"),
];

/// Pages that keep their names, because nobody else has them.
const OWN_PAGES: [&str; 2] = ["sunup.8", "service-directory.5"];

/// What `sunup --completion SHELL` prints, and where shells look for it: the file, and the end of
/// the names that programs have there, for shells that look for one file for each program.
const COMPLETIONS: [(&str, &str, &str, Option<&str>); 3] = [
    (
        "bash",
        "share/bash-completion/completions",
        "sunup",
        Some(""),
    ),
    ("zsh", "share/zsh/site-functions", "_sunup", None),
    (
        "fish",
        "share/fish/vendor_completions.d",
        "sunup.fish",
        Some(".fish"),
    ),
];

impl Contents {
    /// Puts everything together.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(binary: &Path, facts: &Facts, parts: &Parts) -> Result<Self> {
        let mut contents = Self {
            files: Tree::default(),
            names: Vec::new(),
        };
        let files = &mut contents.files;
        files.put_file(BINARY.as_bytes(), true, facts.binary.clone());
        for (dir, program) in PROGRAMS {
            let target = if dir == "bin" {
                "sunup"
            } else {
                "../bin/sunup"
            };
            contents.name(dir, program, target);
        }
        contents.add_pages()?;
        contents.add_documents(facts, parts)?;
        contents.add_completions(binary, facts)?;
        Ok(contents)
    }

    fn name(&mut self, dir: &str, name: &str, target: &str) {
        self.names.push(Name {
            path: format!("{dir}/{name}"),
            target: target.to_owned(),
        });
    }

    fn add_pages(&mut self) -> Result<()> {
        for (page, content) in directory("man", "")? {
            let Some((name, section)) = page.rsplit_once('.') else {
                continue;
            };
            let dir = format!("share/man/man{section}");
            let own = if OWN_PAGES.contains(&&page[..]) {
                format!("{page}.gz")
            } else {
                format!("sunup-{page}.gz")
            };
            let place = format!("{dir}/{own}");
            if let Some(other) = same_as(&content) {
                // The page of another program: `.so` would have to know its new name.
                let target = format!("sunup-{other}.gz");
                self.files.put_link(place.as_bytes(), target.as_bytes());
            } else {
                let packed = image::pack(&content, Compress::Gzip)?;
                self.files.put_file(place.as_bytes(), false, packed);
            }
            if PROGRAMS.iter().any(|(_, program)| *program == name) {
                self.name(&dir, &format!("{page}.gz"), &own);
            }
        }
        Ok(())
    }

    fn add_documents(&mut self, facts: &Facts, parts: &Parts) -> Result<()> {
        let mut put = |name: &str, content: Vec<u8>| {
            let place = format!("{DOC}/{name}");
            self.files.put_file(place.as_bytes(), false, content);
        };
        for (name, content) in directory("docs", ".md")? {
            put(&name, content);
        }
        let changes = fs::read(workspace::root().join("CHANGELOG.md"))?;
        put("changelog.gz", image::pack(&changes, Compress::Gzip)?);
        put("copyright", copyright(parts).into_bytes());
        put("sunup.cdx.json", parts.cyclone_dx(facts).into_bytes());
        Ok(())
    }

    /// A binary for another kind of machine cannot be asked; one of the same sources can.
    fn add_completions(&mut self, binary: &Path, facts: &Facts) -> Result<()> {
        let built;
        let binary = if facts.machine.is_here() {
            binary
        } else {
            built = workspace::build_sunup()?;
            &built
        };
        let all = said(binary, &["--list"])?.unwrap_or_default();
        let all: Vec<&str> = all.lines().collect();
        let linked = PROGRAMS.map(|(_, program)| program);
        for (shell, dir, file, end) in COMPLETIONS {
            let Some(script) = said(binary, &["--completion", shell])? else {
                continue;
            };
            // Other programs of these names are not ours to complete.
            let script = script.replace(&all.join(" "), &linked.join(" "));
            let place = format!("{dir}/{file}");
            self.files
                .put_file(place.as_bytes(), false, script.into_bytes());
            for program in end
                .map(|end| linked.map(|name| format!("{name}{end}")))
                .iter()
                .flatten()
            {
                self.name(dir, program, file);
            }
        }
        Ok(())
    }
}

/// What the binary says, if it knows such words.
fn said(binary: &Path, words: &[&str]) -> Result<Option<String>> {
    let output = Command::new(binary)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.success() && !text.is_empty()).then_some(text))
}

/// The page that this one only names (`.so` of man(7)).
fn same_as(page: &[u8]) -> Option<&str> {
    let text = str::from_utf8(page).ok()?;
    let path = text.strip_prefix(".so ")?.trim_end();
    path.rsplit('/').next()
}

/// The files of a directory of the sources whose names end so, in the order of their names.
fn directory(dir: &str, end: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let dir = workspace::root().join(dir);
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() && name.ends_with(end) {
            files.push((name.into_owned(), fs::read(&path)?));
        }
    }
    files.sort();
    Ok(files)
}

/// Who wrote what is in the binary, and on which terms: Debian's machine-readable form, which
/// others can read, too.
fn copyright(parts: &Parts) -> String {
    let text = |file: &str| {
        let indented = |line: &str| match line {
            "" => " .\n".to_owned(),
            line => format!(" {line}\n"),
        };
        file.lines().map(indented).collect::<String>()
    };
    let mit = text(include_str!("../../../../LICENSE-MIT"));
    let apache = text(include_str!("../../../../LICENSE-APACHE"));
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: sunup\n\
         Comment:\n The binary is static, and holds parts of:\n{}\n\
         Files: *\nCopyright: 2026 {}\nLicense: {}\n\n\
         License: MIT\n{mit}\nLicense: Apache-2.0\n{apache}",
        parts.list(),
        facts::AUTHORS,
        facts::LICENSE.replace(" OR ", " or "),
    )
}
