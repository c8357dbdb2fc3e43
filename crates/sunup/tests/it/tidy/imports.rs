//! No import circles: of two rooms of a house, one does not know the other.
//!
//! A room is a module with all that is below it. Whoever is named in a room, by
//! `crate::...` or `super::...`, is imported by it. Rooms that lie beside each other
//! must not import each other, directly or by way of further rooms; a room and what
//! is within it may. The root of a program (main.rs) counts as a room of its own, into
//! which all others are put. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

/// The names on the way from the root of a crate; the root has none.
type Module = Vec<String>;
/// Rooms beside each other, and whom each imports.
type Rooms = BTreeMap<String, BTreeSet<String>>;

/// The room of what stands in the root of a program.
const ROOT: &str = "main";

/// Every circle in a crate, given as its files: path below `src`, and text.
pub fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let modules: BTreeMap<Module, &str> = files.iter().map(|(p, t)| (module(p), *t)).collect();
    let is_program = files.iter().any(|(path, _)| *path == "main.rs");
    let mut groups: BTreeMap<Module, Rooms> = BTreeMap::new();
    for (from, text) in &modules {
        for path in paths(&code(text), from) {
            let to = nearest(&path, &modules);
            let (mut a, mut b) = (from.clone(), to);
            if is_program && a.is_empty() != b.is_empty() {
                for end in [&mut a, &mut b].into_iter().filter(|end| end.is_empty()) {
                    end.push(ROOT.to_owned());
                }
            }
            let depth = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            if let (Some(room), Some(other)) = (a.get(depth), b.get(depth)) {
                let rooms = groups.entry(a[..depth].to_vec()).or_default();
                rooms.entry(room.clone()).or_default().insert(other.clone());
            }
        }
    }
    if is_program {
        // It names them when it declares them.
        let tops = modules.keys().filter_map(|module| module.first().cloned());
        let root = groups.entry(vec![]).or_default();
        root.entry(ROOT.to_owned()).or_default().extend(tops);
    }
    groups
        .iter()
        .flat_map(|(home, rooms)| circles_among(home, rooms))
        .collect()
}

/// `engine/adopt.rs` is `engine`, `adopt`.
fn module(path: &str) -> Module {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut names: Module = path.split('/').map(str::to_owned).collect();
    if matches!(
        names.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        names.pop();
    }
    names
}

/// The text without comments, and up to its tests.
fn code(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let lines = lines.map(|line| line.split(" // ").next().unwrap_or(line));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Every path in a module's text that begins with `crate` or `super`, in full.
fn paths(code: &str, module: &[String]) -> Vec<Module> {
    let mut found = Vec::new();
    for (at, _) in code
        .match_indices("crate::")
        .chain(code.match_indices("super::"))
    {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | ':')) {
            continue;
        }
        for path in expand(&code[at..]).0 {
            let mut full = if path[0] == "crate" {
                vec![]
            } else {
                module.to_vec()
            };
            for name in path {
                match name.as_str() {
                    "crate" | "self" | "" => {}
                    "super" => drop(full.pop()),
                    _ => full.push(name),
                }
            }
            found.push(full);
        }
    }
    found
}

/// The paths that a text begins with, braces multiplied out, and what is left of it.
fn expand(text: &str) -> (Vec<Module>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut all = Vec::new();
        loop {
            let (paths, after) = expand(rest);
            all.extend(paths);
            let after = after.trim_start();
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => return (all, after.strip_prefix('}').unwrap_or("")),
            }
        }
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '*';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(rest) = rest.strip_prefix("::") else {
        let rest = rest.trim_start();
        let renamed = rest.strip_prefix("as ").map(str::trim_start);
        let rest = renamed.map_or(rest, |to| to.trim_start_matches(is_part));
        return (vec![vec![name.to_owned()]], rest);
    };
    let (tails, rest) = expand(rest);
    let with_name = |tail: Module| [vec![name.to_owned()], tail].concat();
    (tails.into_iter().map(with_name).collect(), rest)
}

/// The module in which a path ends.
fn nearest(path: &[String], modules: &BTreeMap<Module, &str>) -> Module {
    let prefixes = (0..=path.len()).rev().map(|n| path[..n].to_vec());
    let mut known = prefixes.filter(|prefix| modules.contains_key(prefix));
    known.next().unwrap_or_default()
}

/// One circle for each room that can be reached from itself, and has the first name in it.
fn circles_among(home: &[String], rooms: &Rooms) -> Vec<String> {
    let mut found = Vec::new();
    for start in rooms.keys() {
        let mut ways = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            let Some(others) = way.last().and_then(|last| rooms.get(*last)) else {
                continue;
            };
            for other in others.iter().filter(|other| *other >= start) {
                let way = [way.clone(), vec![other]].concat();
                if other == start {
                    let names: Vec<&str> = way.iter().map(|name| name.as_str()).collect();
                    found.push(format!("{}: {}", home.join("/"), names.join(" -> ")));
                } else if seen.insert(other) {
                    ways.push(way);
                }
            }
        }
    }
    found
}

#[test]
fn a_made_up_circle_is_found() {
    let straight = [
        ("lib.rs", "mod a; mod b; mod c;"),
        (
            "a.rs",
            "use crate::b::{self, One, deep::{Two as Other, Three}};",
        ),
        ("b/mod.rs", "use self::deep::Two; // crate::a::No"),
        (
            "b/deep.rs",
            "use super::One;\nuse crate::c;\nfn f() { super::super::c::g() }",
        ),
        ("c.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}"),
    ];
    assert_eq!(circles(&straight), Vec::<String>::new());
    let with = |path: &'static str, text: &'static str| {
        let others = straight.into_iter().filter(|(other, _)| *other != path);
        circles(&others.chain([(path, text)]).collect::<Vec<_>>())
    };
    let all = [": a -> b -> c -> a"];
    assert_eq!(with("c.rs", "use crate::{lines::X, a::{A}};"), all);
    assert_eq!(with("c.rs", "fn f() -> crate::a::A {}"), all);
    assert_eq!(
        with("b/deep.rs", "use super::super::a::A;"),
        [": a -> b -> a"]
    );
    let beside = [
        ("lib.rs", ""),
        ("b/mod.rs", ""),
        ("b/one.rs", "use super::two::Two;"),
        ("b/two.rs", "use crate::b::one::One;"),
    ];
    assert_eq!(circles(&beside), ["b: one -> two -> one"]);
    let program = [("main.rs", "mod a;"), ("a.rs", "use crate::Thing;")];
    assert_eq!(circles(&program), [": a -> main -> a"]);
}

#[test]
fn no_two_rooms_import_each_other() {
    let sources = super::sources();
    let mut found = Vec::new();
    for name in ["model", "sunup", "lab"] {
        let src = format!("crates/{name}/src/");
        let files = sources.iter().filter(|source| source.is_rust());
        let files = files.filter_map(|source| {
            let path = source.path.strip_prefix(&src)?;
            (!path.ends_with("tests.rs")).then_some((path, source.text.as_str()))
        });
        let circles = circles(&files.collect::<Vec<_>>());
        found.extend(
            circles
                .into_iter()
                .map(|circle| format!("{name}: {circle}")),
        );
    }
    super::assert_none(
        "rooms import each other; move what both need to a third",
        &found,
    );
}
