//! `--json`: what real services show is what docs/json.md says, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use model::snapshot::State;
use rustix::process::Signal;

use super::super::common::{Fixture, SLEEP, debian, end_by, patience, yield_until};
use super::super::runsvdir::Runsvdir;
use super::{printed, sv, text};

/// A value of JSON; a number is whole.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Text(String),
    Number(i64),
    Boolean(bool),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads a line, strictly.
    pub fn of(line: &str) -> Self {
        let mut rest = line;
        let value = Self::read(&mut rest).unwrap_or_else(|| panic!("at {rest:?} of {line:?}"));
        assert_eq!(rest, "", "{line:?}");
        value
    }

    fn read(rest: &mut &str) -> Option<Self> {
        for (word, value) in [("true", true), ("false", false)] {
            if let Some(after) = rest.strip_prefix(word) {
                *rest = after;
                return Some(Self::Boolean(value));
            }
        }
        match rest.chars().next()? {
            '"' => Self::read_text(rest).map(Self::Text),
            '{' => Self::read_object(rest),
            _ => {
                let is_number = |c: char| c.is_ascii_digit() || c == '-';
                let end = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
                let (number, after) = rest.split_at(end);
                *rest = after;
                number.parse().ok().map(Self::Number)
            }
        }
    }

    fn read_text(rest: &mut &str) -> Option<String> {
        let mut text = String::new();
        let mut chars = rest.strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => match chars.next()? {
                    'n' => text.push('\n'),
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    c @ ('"' | '\\') => text.push(c),
                    _ => return None,
                },
                c if c.is_control() => return None,
                c => text.push(c),
            }
        }
        *rest = chars.as_str();
        Some(text)
    }

    fn read_object(rest: &mut &str) -> Option<Self> {
        let mut object = BTreeMap::new();
        *rest = rest.strip_prefix('{')?;
        while !rest.starts_with('}') {
            let key = Self::read_text(rest)?;
            *rest = rest.strip_prefix(':')?;
            let value = Self::read(rest)?;
            assert!(object.insert(key.clone(), value).is_none(), "{key} twice");
            match rest.strip_prefix(',') {
                Some(after) if after.starts_with('"') => *rest = after,
                Some(_) => return None,
                None => break,
            }
        }
        *rest = rest.strip_prefix('}')?;
        Some(Self::Object(object))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(key),
            _ => None,
        }
    }

    /// The text of a key.
    pub fn text(&self, key: &str) -> &str {
        match self.get(key) {
            Some(Self::Text(text)) => text,
            other => panic!("{key}: {other:?}"),
        }
    }

    fn is_of_type(&self, kind: &str) -> bool {
        match (self, kind) {
            (Self::Text(_), "string")
            | (Self::Number(_), "number")
            | (Self::Boolean(_), "boolean")
            | (Self::Object(_), "object") => true,
            (Self::Text(text), "hex") => {
                text.len().is_multiple_of(2)
                    && text.bytes().all(|b| b"0123456789abcdef".contains(&b))
            }
            (Self::Text(text), "time") => {
                let form = text.replace(|c: char| c.is_ascii_digit(), "0");
                form == "0000-00-00T00:00:00.000000Z"
            }
            _ => false,
        }
    }
}

/// The table of docs/json.md below a title: the type of each key, and whether it is always
/// there.
pub struct Schema {
    title: &'static str,
    rows: BTreeMap<String, (String, bool)>,
    shown: BTreeSet<String>,
}

impl Schema {
    /// See the type.
    pub fn below(title: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
        let document = fs::read_to_string(path).unwrap();
        let start = format!("\n## {title}\n");
        let (_, section) = document.split_once(&start).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let row = |line: &str| {
            let mut cells = line.split(" | ");
            let key = cells.next()?.strip_suffix('`')?.to_owned();
            Some((
                key,
                (cells.next()?.to_owned(), cells.next() == Some("always")),
            ))
        };
        Self {
            title,
            rows: rows.filter_map(row).collect(),
            shown: BTreeSet::new(),
        }
    }

    /// Compares an object with the table.
    pub fn check(&mut self, object: &Json) {
        let Json::Object(object) = object else {
            panic!("{object:?}");
        };
        for (key, value) in object {
            let row = self.rows.get(key);
            let (kind, _) = row.unwrap_or_else(|| panic!("{}: no {key}", self.title));
            assert!(value.is_of_type(kind), "{key} is no {kind}: {value:?}");
            self.shown.insert(key.clone());
        }
        let mut needed = self.rows.iter().filter(|(_, (_, is_always))| *is_always);
        assert!(
            needed.all(|(key, _)| object.contains_key(key)),
            "{object:?}"
        );
    }

    fn missing(&self) -> Vec<&String> {
        let keys = self.rows.keys();
        keys.filter(|key| !self.shown.contains(*key)).collect()
    }
}

/// All tables, for what is printed of services.
pub struct Schemas {
    service: Schema,
    /// Of lines of `sv watch`.
    line: Option<Schema>,
    last: Schema,
    crash_loop: Schema,
}

impl Schemas {
    fn new() -> Self {
        Self {
            service: Schema::below("A service"),
            line: None,
            last: Schema::below("`last`"),
            crash_loop: Schema::below("`crash_loop`"),
        }
    }

    /// The same, and what `sv watch` adds.
    pub fn of_watch() -> Self {
        Self {
            line: Some(Schema::below("A line of `sv watch`")),
            ..Self::new()
        }
    }

    /// What it adds, and no line has shown.
    pub fn missing_of_watch(&self) -> Vec<&String> {
        self.line.iter().flat_map(Schema::missing).collect()
    }

    fn missing(&self) -> Vec<&String> {
        let tables = [&self.service, &self.last, &self.crash_loop];
        tables.into_iter().flat_map(Schema::missing).collect()
    }

    /// Panics if a line is not as the document says.
    pub fn check(&mut self, service: &Json) {
        let mut service = service.clone();
        if let (Some(line), Json::Object(object)) = (&mut self.line, &mut service) {
            let is_of_line = |key: &String| line.rows.contains_key(key);
            let keys: Vec<String> = object
                .keys()
                .filter(|key| is_of_line(key))
                .cloned()
                .collect();
            let added = keys
                .into_iter()
                .map(|key| object.remove_entry(&key).unwrap());
            line.check(&Json::Object(added.collect()));
        }
        self.check_service(&service);
    }

    fn check_service(&mut self, service: &Json) {
        self.service.check(service);
        assert!(State::of_word(service.text("state")).is_some());
        service
            .get("last")
            .into_iter()
            .for_each(|last| self.last.check(last));
        let crash_loop = service.get("crash_loop").into_iter();
        crash_loop.for_each(|crash_loop| self.crash_loop.check(crash_loop));
        service
            .get("log")
            .into_iter()
            .for_each(|log| self.check_service(log));
    }
}

/// Says what it does, and that it is ready.
const TELLS: &str = r#"#!/bin/sh
perl -MSocket -e '
    my $to = $ENV{NOTIFY_SOCKET};
    $to =~ s/^@/\0/;
    socket(my $s, AF_UNIX, SOCK_DGRAM, 0);
    send($s, "READY=1\nSTATUS=\"40\" %", 0, sockaddr_un($to)) or die;
'
exec sleep 1000
"#;

/// Debian's runsv, which ends with it.
pub struct Foreign(Child);

impl Foreign {
    pub fn start(dir: &Path) -> Self {
        let mut runsv = Command::new(debian("runsv"));
        runsv.arg(dir).stdout(Stdio::null()).stderr(Stdio::null());
        Self(runsv.spawn().unwrap())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        end_by(&mut self.0, Signal::TERM);
    }
}

fn services() -> Fixture {
    Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/web/log/run", "#!/bin/sh\nexec cat >/dev/null\n"),
        ("scan/rare/run", SLEEP),
        ("scan/rare/down", ""),
        ("scan/tells/run", TELLS),
        ("scan/tells/notify", "ready status all\n"),
        ("scan/held/run", SLEEP),
        ("scan/held/needs/nobody", ""),
        ("scan/loops/run", "#!/bin/false\n"),
        ("scan/loops/backoff", ""),
        ("scan/fails/run", "#!/bin/sh\nkill -KILL $$\n"),
        ("scan/fails/restart", "never\n"),
        ("scan/\x1b[2J \"quoted\" \\ \n/run", SLEEP),
        ("gone/run", ""),
        ("foreign/run", SLEEP),
        ("foreign/log/run", "#!/bin/sh\nexec cat >/dev/null\n"),
    ])
}

fn has(service: &Json, key: &str) -> bool {
    service.get(key).is_some()
}

#[test]
fn what_services_show_is_what_the_document_says() {
    let fixture = services();
    let scan = fixture.path("scan");
    let hostile = scan.join(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&hostile).unwrap();
    std::os::unix::fs::symlink(scan.join("web/run"), hostile.join("run")).unwrap();
    let _scanner = Runsvdir::start(&fixture);
    let _foreign = Foreign::start(&fixture.path("foreign"));
    let others = ["foreign", "gone", "nowhere"].map(|name| fixture.path(name));
    let others = others.iter().map(|path| path.to_str().unwrap());
    let by_path: Vec<&str> = ["status", "--json"].into_iter().chain(others).collect();
    let mut schemas = Schemas::new();
    let start = Instant::now();
    yield_until(|| {
        let listed = printed(&scan, &["list", "--json"]);
        assert_eq!(listed.lines().count(), 8);
        let named = sv(&scan, &by_path).output().unwrap();
        assert!(named.status.code() >= Some(2), "{named:?}");
        let all = listed + &text(&named);
        let all: Vec<Json> = all.lines().map(Json::of).collect();
        for service in &all {
            schemas.check(service);
        }
        let runs = all
            .iter()
            .filter(|seen| seen.text("state") == "run")
            .count();
        // Then what is missing is said.
        let is_late = start.elapsed() > patience() * 3 / 4;
        (is_late || schemas.missing().is_empty() && runs == 5).then_some(())
    });
    assert_eq!(
        schemas.missing(),
        Vec::<&String>::new(),
        "what nobody shows"
    );
}

/// `--json` is an option only where no service can be meant before it.
#[test]
fn json_of_status_has_the_same_objects_as_the_list() {
    let fixture = Fixture::new(&[("scan/web/run", SLEEP), ("scan/web/down", "")]);
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    yield_until(|| {
        let listed = sv(&scan, &["list", "-j"]).output().unwrap();
        text(&listed).contains(r#""state":"down""#).then_some(())
    });
    let listed = printed(&scan, &["list", "-j"]);
    let object = Json::of(listed.trim_end());
    assert_eq!(object.text("name"), "web");
    assert_eq!(object.text("normally"), "down");
    assert!(!has(&object, "pid") && !has(&object, "trouble"));
    assert_eq!(printed(&scan, &["status", "--json"]), listed);
    assert_eq!(printed(&scan, &["status", "--json", "web"]), listed);
    let behind = sv(&scan, &["status", "web", "--json"]).output().unwrap();
    assert!(text(&behind).contains("fail: --json: "), "{behind:?}");
    assert_eq!(behind.status.code(), Some(1));
}

/// Each word of a state is in the document, and no other.
#[test]
fn states_are_those_of_the_document() {
    let document = Schema::below("States");
    let words: BTreeSet<String> = State::ALL.iter().map(|state| state.word().into()).collect();
    assert_eq!(
        document.rows.keys().cloned().collect::<BTreeSet<_>>(),
        words
    );
}
