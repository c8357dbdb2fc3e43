//! The rules of the house, as far as a program can see them. CONTRIBUTING.md
//! gives the reasons.

mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// Where unsafe code may stand.
const UNSAFE_HOMES: [&str; 4] = [
    "crates/sunup/src/sys/",
    "crates/sunup/tests/it/lease.rs",
    "crates/sunup/tests/it/pristine.rs",
    "crates/lab/src/sys.rs",
];
/// A function with more lines is two functions.
const FUNCTION_LINES_MAX: usize = 70;
/// Of Rust and of packages that every Debian has; and git, without which lab does, too.
const THERE: [&str; 13] = [
    "apt-cache",
    "apt-config",
    "apt-get",
    "bash",
    "cp",
    "date",
    "dpkg-query",
    "git",
    "rustc",
    "rustup",
    "sh",
    "sleep",
    "true",
];
/// What these tests look for stands in this file.
const SELF: &str = "crates/sunup/tests/it/tidy.rs";

/// A text file of the sources.
struct Source {
    /// From the root of the workspace.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == "rs")
    }

    fn is_markdown(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == "md")
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Runs on the device.
    fn is_device_code(&self) -> bool {
        let device = ["crates/sunup/src/", "crates/model/src/"];
        self.is_rust() && device.iter().any(|dir| self.path.starts_with(dir))
    }

    /// Lines that hold one of the words, as `path:number: line`.
    fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let numbered = self.text.lines().zip(1..);
        let found = numbered.filter(|(line, _)| words.iter().any(|word| line.contains(word)));
        found
            .map(|(line, number)| format!("{}:{number}: {}", self.path, line.trim()))
            .collect()
    }
}

fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap()
}

/// Every text file, without what cargo and git keep.
fn sources() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if entry.file_name() == ".git" || path.join("CACHEDIR.TAG").exists() {
                continue;
            }
            if kind.is_dir() {
                dirs.push(path);
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(&path)
            {
                let path = path.strip_prefix(&root).unwrap();
                let path = path.to_str().unwrap().to_owned();
                sources.push(Source { path, text });
            }
        }
    }
    assert!(sources.len() > 100, "these are not the sources");
    sources.retain(|source| source.path != SELF);
    sources
}

fn rust() -> impl Iterator<Item = Source> {
    sources().into_iter().filter(Source::is_rust)
}

fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn unsafe_code_has_an_address() {
    let forms = [
        "unsafe {",
        "unsafe fn",
        "unsafe extern",
        "unsafe impl",
        "unsafe(",
    ];
    let strays = rust().filter(|s| !UNSAFE_HOMES.iter().any(|home| s.path.starts_with(home)));
    let found: Vec<String> = strays.flat_map(|s| s.lines_with(&forms)).collect();
    assert_none("unsafe code belongs into sys", &found);
}

/// The printing ones panic when nobody listens; the others are unfinished work.
#[test]
fn the_device_uses_no_macro_that_panics_or_waits_for_an_author() {
    let macros = ["println!(", "print!(", "todo!(", "unimplemented!(", "dbg!("];
    let device = rust().filter(Source::is_device_code);
    let found: Vec<String> = device.flat_map(|s| s.lines_with(&macros)).collect();
    assert_none("use crate::say, and finish what you begin", &found);
}

#[test]
fn every_file_opens_with_its_contract() {
    let found: Vec<String> = rust()
        .filter(|s| !s.text.starts_with("//! "))
        .map(|s| s.path)
        .collect();
    assert_none("a file begins with a line of prose, `//! ...`", &found);
}

#[test]
fn tests_wait_for_events_and_never_sleep() {
    let tests = rust().filter(Source::is_test);
    let found: Vec<String> = tests
        .flat_map(|s| s.lines_with(&["thread::sleep", "sleep("]))
        .collect();
    assert_none("wait for an event (see common.rs)", &found);
}

#[test]
fn applets_do_not_import_each_other() {
    let applets = root().join("crates/sunup/src/applet");
    let names: Vec<String> = fs::read_dir(&applets)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "mod")
        .collect();
    let mut found = Vec::new();
    for source in rust() {
        let Some(inner) = source.path.strip_prefix("crates/sunup/src/applet/") else {
            continue;
        };
        if inner == "mod.rs" {
            continue;
        }
        // `super` of an applet's main file is the table; of its other files, the applet.
        let main = !inner.contains('/') || inner.ends_with("/mod.rs");
        let table = if main { "super::" } else { "super::super::" };
        let own = inner.split(['/', '.']).next().unwrap();
        for name in names.iter().filter(|name| *name != own) {
            found.extend(source.lines_with(&[
                &format!("crate::applet::{name}"),
                &format!("use {table}{name}"),
                &format!(" {table}{name}::"),
            ]));
        }
    }
    assert_none("what two applets need is no applet", &found);
}

#[test]
fn model_depends_on_nothing() {
    let manifest = fs::read_to_string(root().join("crates/model/Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"model\""));
    assert!(!manifest.contains("dependencies"), "{manifest}");
    let lib = fs::read_to_string(root().join("crates/model/src/lib.rs")).unwrap();
    assert!(lib.contains("#![no_std]") && lib.contains("#![forbid(unsafe_code)]"));
}

/// Functions of a file as formatted by rustfmt: name and number of lines. What
/// follows `mod tests {` is left out.
fn functions(text: &str) -> Vec<(String, usize)> {
    let text = text.split("\nmod tests {").next().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, name)) = code.split_once("fn ") else {
            continue;
        };
        let qualifiers = ["pub", "const", "unsafe", "extern", "async", "\"C\""];
        let is_function = before.split_whitespace().all(|word| {
            qualifiers.contains(&word) || word.starts_with("pub(") || word.ends_with(')')
        });
        if !is_function || code.ends_with(';') {
            continue;
        }
        let indent = line.len() - code.len();
        let closing = format!("{}}}", " ".repeat(indent));
        let end = lines[start..].iter().position(|l| **l == closing);
        let name = name.split(['(', '<']).next().unwrap().to_owned();
        functions.extend(end.map(|end| (name, end + 1)));
    }
    functions
}

#[test]
fn functions_can_be_read_at_a_glance() {
    let example =
        "pub(super) const fn a() {\n}\nimpl B {\n    fn c(\n    ) {\n        1\n    }\n}\n";
    assert_eq!(
        functions(example),
        [("a".to_owned(), 2), ("c".to_owned(), 4)]
    );
    let mut count = 0;
    let mut found = Vec::new();
    for source in rust().filter(|s| !s.is_test()) {
        for (name, lines) in functions(&source.text) {
            count += 1;
            if lines > FUNCTION_LINES_MAX {
                found.push(format!("{}: {name} has {lines} lines", source.path));
            }
        }
    }
    assert!(count > 500, "only {count} functions were found");
    assert_none("a function that long is two", &found);
}

#[test]
fn no_path_of_somebodys_machine_is_in_the_sources() {
    let mut found = Vec::new();
    for source in sources() {
        found.extend(source.lines_with(&["/home/", "/Users/"]));
    }
    assert_none("sources are the same on every machine", &found);
}

#[test]
fn every_decision_is_linked_from_the_architecture() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root().join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let link = format!("](docs/decisions/{name})");
        assert!(architecture.contains(&link), "{name} is not linked");
        let number: usize = name[..4].parse().expect("a decision is NNNN-title.md");
        numbers.push(number);
    }
    numbers.sort_unstable();
    let expected: Vec<usize> = (1..=numbers.len()).collect();
    assert_eq!(numbers, expected, "numbers are given once, without gaps");
}

/// The targets of `[text](target)` outside of code blocks.
fn links(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    let ends = prose.split("](").skip(1);
    ends.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// The anchors that a forge makes of headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    headings
        .map(|line| line.trim_start_matches('#').trim())
        .map(|heading| heading.chars().filter_map(slug).collect())
        .collect()
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut count = 0;
    for source in sources().iter().filter(|s| s.is_markdown()) {
        for link in links(&source.text) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let path = root().join(&source.path);
            let target = if file.is_empty() {
                path
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(target.exists(), "{}: {link} leads nowhere", source.path);
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(target).unwrap());
                let known = anchors.iter().any(|a| a == anchor);
                assert!(known, "{}: {link}: no such heading", source.path);
            }
        }
    }
    assert!(count > 10, "only {count} links were found");
}

/// Tables apart, which have one line for a row.
#[test]
fn lines_of_documents_fit_a_window() {
    let is_document = |s: &Source| s.is_markdown() || s.path.starts_with("man/");
    let mut found = Vec::new();
    for source in sources().iter().filter(|s| is_document(s)) {
        let lines = source.text.lines().zip(1..);
        let long = lines.filter(|(line, _)| line.chars().count() > 120 && !line.starts_with('|'));
        found.extend(long.map(|(_, number)| format!("{}:{number}", source.path)));
    }
    assert_none("a line of a document has 120 characters at most", &found);
}

/// Words in backticks, outside of code blocks.
fn quoted(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn documents_name_files_that_exist() {
    let tops = ["crates/", "docs/", "man/", "rootfs/"];
    for source in sources().iter().filter(|s| s.is_markdown()) {
        for word in quoted(&source.text) {
            let is_path =
                tops.iter().any(|top| word.starts_with(top)) && !word.contains(['*', 'N']);
            assert!(
                !is_path || root().join(&word).exists(),
                "{}: there is no {word}",
                source.path
            );
        }
    }
}

#[test]
fn the_table_of_defects_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| D")).collect();
    let sources: Vec<Source> = rust().collect();
    for (row, number) in rows.iter().zip(1..) {
        assert!(row.starts_with(&format!("| D{number} |")), "{row}");
        let shown_by = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let mut tests = quoted(shown_by);
        tests.retain(|word| word.contains("::"));
        let said = ["planned", "no test"].iter().any(|w| shown_by.contains(w));
        assert!(!tests.is_empty() || said, "neither test nor reason: {row}");
        for name in tests {
            let (module, function) = name.rsplit_once("::").unwrap();
            let file = module.replace("::", "/");
            let exists = sources.iter().any(|s| {
                s.path
                    .trim_end_matches(".rs")
                    .ends_with(&format!("/{file}"))
                    && s.text.contains("#[test]\n")
                    && s.text.contains(&format!("fn {function}()"))
            });
            assert!(exists, "there is no test {name}: {row}");
        }
    }
    assert_eq!(rows.len(), 45);
}

/// Whoever starts a program by its name, in a test or for one, has lab install it; what
/// continuous integration runs is what everybody runs.
#[test]
fn what_tests_start_is_installed() {
    let needs = fs::read_to_string(root().join("crates/lab/src/suite/environment.rs")).unwrap();
    let is_there = |name: &str| {
        THERE.contains(&name) || name.contains('/') || needs.contains(&format!("Need(\"{name}\", "))
    };
    let mut found = Vec::new();
    for source in rust().filter(|source| source.path != SELF) {
        for start in ["Command::new(\"", "pristine(\""] {
            let names = source.text.split(start).skip(1);
            let names = names.filter_map(|rest| rest.split('"').next());
            let missing = names.filter(|name| !is_there(name));
            found.extend(missing.map(|name| format!("{}: {name}", source.path)));
        }
    }
    assert_none("what tests start stands in lab's list of needs", &found);
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(
        ci.contains("cargo lab test") && !ci.contains("apt-get"),
        "{ci}"
    );
}
