//! What services need, as a tree or as a graph for dot(1). A service stands once with all
//! that it needs; further on it has a mark, and in a circle as well. So the text has no more
//! lines than there are services and needs.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::kind::Kind;
use crate::scan::Name;

/// Each service, and what it says of others.
#[derive(Clone, Debug, Default)]
pub struct Needs(BTreeMap<Name, Vec<(Kind, Name)>>);

/// How the branches are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Marks([&'static str; 4]);

impl Marks {
    /// With characters that are for this.
    pub const UTF_8: Self = Self(["├─ ", "└─ ", "│  ", "   "]);
    /// Without them.
    pub const ASCII: Self = Self(["|- ", "`- ", "|  ", "   "]);
}

/// A line of the tree that is still to be written.
struct Line {
    kind: Option<Kind>,
    name: Name,
    /// What stands before the lines of its children, and the branch of itself.
    before: String,
    branch: &'static str,
    rest: &'static str,
    depth: usize,
}

impl Needs {
    /// Adds a service, whatever it needs.
    pub fn add(&mut self, name: &[u8]) {
        self.0.entry(name.to_vec()).or_default();
    }

    /// Adds what it says of another one; `before` is told of the other one.
    pub fn add_edge(&mut self, name: &[u8], kind: Kind, other: &[u8]) {
        let (name, kind, other) = match kind {
            Kind::Before => (other, Kind::After, name),
            kind => (name, kind, other),
        };
        self.add(other);
        let edges = self.0.entry(name.to_vec()).or_default();
        let edge = (kind, other.to_vec());
        if let Err(at) = edges.binary_search(&edge) {
            edges.insert(at, edge);
        }
    }

    /// Who needs whom, the other way.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut reversed = Self::default();
        for (name, edges) in &self.0 {
            reversed.add(name);
            for (kind, other) in edges {
                let back = reversed.0.entry(other.clone()).or_default();
                back.push((*kind, name.clone()));
            }
        }
        reversed
    }

    /// Whom nobody needs; and of each circle that nobody needs, the first.
    pub fn tops(&self) -> Vec<Name> {
        let needed = self.0.values().flatten().map(|(_, other)| other);
        let mut below = BTreeSet::new();
        for name in needed {
            below.insert(name);
        }
        let mut tops = Vec::new();
        let mut seen = BTreeSet::new();
        let is_top = |name: &&Name| !below.contains(name);
        for name in self.0.keys().filter(is_top).chain(self.0.keys()) {
            if !seen.contains(name) {
                tops.push(name.clone());
                self.reach(name, &mut seen);
            }
        }
        tops
    }

    /// All that these need, with themselves.
    pub fn reached<'n>(&'n self, names: &'n [Name]) -> BTreeSet<&'n Name> {
        let mut seen = BTreeSet::new();
        for name in names {
            self.reach(name, &mut seen);
        }
        seen
    }

    fn reach<'n>(&'n self, name: &'n Name, seen: &mut BTreeSet<&'n Name>) {
        let mut stack = Vec::from([name]);
        while let Some(name) = stack.pop() {
            if seen.insert(name) {
                let edges = self.0.get(name).into_iter().flatten();
                stack.extend(edges.map(|(_, other)| other));
            }
        }
    }

    /// The tree below each of these. `shown` is a name with its state.
    pub fn tree(&self, roots: &[Name], marks: Marks, shown: impl Fn(&Name) -> String) -> String {
        let Marks([branch, end, line, blank]) = marks;
        let mut text = String::new();
        let mut seen = BTreeSet::new();
        let mut path: Vec<Name> = Vec::new();
        let root = |name: &Name| Line {
            kind: None,
            name: name.clone(),
            before: String::new(),
            branch: "",
            rest: "",
            depth: 0,
        };
        let mut stack: Vec<Line> = roots.iter().rev().map(root).collect();
        while let Some(next) = stack.pop() {
            path.truncate(next.depth);
            let kind = next.kind.filter(|kind| *kind != Kind::Needs);
            text.extend([&next.before, next.branch]);
            text.extend(kind.iter().flat_map(|kind| [kind.directory(), " "]));
            text.push_str(&shown(&next.name));
            let edges = self.0.get(&next.name).map_or(&[][..], Vec::as_slice);
            let is_circle = path.contains(&next.name);
            let is_known = !seen.insert(next.name.clone()) && !edges.is_empty();
            text.push_str(match (is_circle, is_known) {
                (true, _) => " (a circle)\n",
                (false, true) => " (see above)\n",
                (false, false) => "\n",
            });
            path.push(next.name);
            if is_circle || is_known {
                continue;
            }
            for (at, (kind, name)) in edges.iter().enumerate().rev() {
                let is_last = at + 1 == edges.len();
                stack.push(Line {
                    kind: Some(*kind),
                    name: name.clone(),
                    before: [next.before.as_str(), next.rest].concat(),
                    branch: if is_last { end } else { branch },
                    rest: if is_last { blank } else { line },
                    depth: next.depth + 1,
                });
            }
        }
        text
    }

    /// The same for dot(1). `state` is that of a service.
    pub fn dot(&self, roots: &[Name], state: impl Fn(&Name) -> (String, String)) -> String {
        let mut text = String::from("digraph services {\n");
        for name in self.reached(roots) {
            let (shown, state) = state(name);
            let node = name.escape_ascii().to_string();
            text.extend([
                "  \"",
                &node,
                "\" [label=\"",
                &shown,
                "\\n",
                &state,
                "\"];\n",
            ]);
            for (kind, other) in self.0.get(name).into_iter().flatten() {
                let other = other.escape_ascii().to_string();
                let style = match kind {
                    Kind::Needs => "];\n",
                    Kind::Follows => "label=follows];\n",
                    Kind::Wants => "label=wants style=dashed];\n",
                    Kind::After | Kind::Before => "label=after style=dotted];\n",
                };
                text.extend(["  \"", &node, "\" -> \"", &other, "\" [", style]);
            }
        }
        text + "}\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(edges: &str) -> Needs {
        let mut needs = Needs::default();
        for edge in edges.split(' ') {
            let mut parts = edge.split('/');
            let name = parts.next().unwrap().as_bytes();
            needs.add(name);
            if let (Some(kind), Some(other)) = (parts.next(), parts.next()) {
                let mut kinds = Kind::ALL.into_iter();
                let kind = kinds.find(|known| known.directory() == kind).unwrap();
                needs.add_edge(name, kind, other.as_bytes());
            }
        }
        needs
    }

    fn tree(needs: &Needs, roots: &str, marks: Marks) -> String {
        let roots: Vec<Name> = match roots {
            "" => needs.tops(),
            roots => roots
                .split(' ')
                .map(|name| name.as_bytes().to_vec())
                .collect(),
        };
        let shown = |name: &Name| name.escape_ascii().to_string();
        needs.tree(&roots, marks, shown)
    }

    const EDGES: &str = "web/needs/db web/wants/cache db/needs/net db/follows/disk cache/needs/net \
                         net/after/udev net/before/web alone";

    #[test]
    fn what_is_shared_stands_once_with_what_it_needs() {
        let needs = needs(EDGES);
        let expected = "alone\n\
                        web\n\
                        ├─ db\n\
                        │  ├─ net\n\
                        │  │  └─ after udev\n\
                        │  └─ follows disk\n\
                        ├─ wants cache\n\
                        │  └─ net (see above)\n\
                        └─ after net (see above)\n";
        assert_eq!(tree(&needs, "", Marks::UTF_8), expected);
        assert_eq!(
            tree(&needs, "cache", Marks::ASCII),
            "cache\n`- net\n   `- after udev\n"
        );
        assert_eq!(tree(&needs, "none", Marks::ASCII), "none\n");
    }

    #[test]
    fn the_other_way_it_says_who_needs_it() {
        let expected = "net\n|- cache\n|  `- wants web\n|- db\n|  `- web\n`- after web\n";
        assert_eq!(
            tree(&needs(EDGES).reversed(), "net", Marks::ASCII),
            expected
        );
    }

    #[test]
    fn circles_end() {
        let needs = needs("a/needs/b b/needs/c c/needs/a c/wants/c d/needs/a");
        let expected = "d\n`- a\n   `- b\n      `- c\n         |- a (a circle)\n         \
                        `- wants c (a circle)\n";
        assert_eq!(tree(&needs, "", Marks::ASCII), expected);
        let alone = super::tests::needs("a/needs/b b/needs/a");
        assert_eq!(
            tree(&alone, "", Marks::ASCII),
            "a\n`- b\n   `- a (a circle)\n"
        );
    }

    #[test]
    fn the_length_is_bounded() {
        let mut needs = Needs::default();
        for from in 0..40_u8 {
            for to in from + 1..40 {
                needs.add_edge(&[b'A' + from], Kind::Needs, &[b'A' + to]);
            }
        }
        let lines = tree(&needs, "", Marks::ASCII).lines().count();
        assert_eq!(lines, 1 + 39 * 40 / 2);
    }

    #[test]
    fn a_graph_for_dot() {
        let needs = needs("web/needs/db web/wants/c\"\x1b web/after/x db/follows/net");
        let state = |name: &Name| (name.escape_ascii().to_string(), "run".into());
        let expected = r#"digraph services {
  "db" [label="db\nrun"];
  "db" -> "net" [label=follows];
  "net" [label="net\nrun"];
}
"#;
        assert_eq!(needs.dot(&[b"db".to_vec()], state), expected);
        let all = needs.dot(&needs.tops(), state);
        assert!(all.contains("  \"web\" -> \"db\" [];\n"));
        assert!(all.contains(r#"  "web" -> "c\"\x1b" [label=wants style=dashed];"#));
        assert!(all.contains("  \"web\" -> \"x\" [label=after style=dotted];\n"));
    }
}
