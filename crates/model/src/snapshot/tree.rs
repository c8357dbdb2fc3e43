//! What services need, as a tree or as a graph for dot(1). A service stands once with all
//! that it needs; further on it has a mark, and in a circle as well. So the text has no more
//! lines than there are services and needs.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::kind::Kind;
use crate::scan::Name;

/// Each service, in the order of the names, and what it says of others. (A map for this would
/// make the binary larger by kilobytes.)
#[derive(Clone, Debug, Default)]
pub struct Needs(Vec<(Name, Vec<(Kind, Name)>)>);

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
        if let Err(at) = self.find(name) {
            self.0.insert(at, (name.to_vec(), Vec::new()));
        }
    }

    /// Its place, or where that would be.
    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.as_slice().cmp(name))
    }

    /// What it says of others.
    fn edges(&self, name: &[u8]) -> &[(Kind, Name)] {
        let found = self.find(name).ok().and_then(|at| self.0.get(at));
        found.map_or(&[], |(_, edges)| edges)
    }

    /// Adds what it says of another one; `before` is told of the other one.
    pub fn add_edge(&mut self, name: &[u8], kind: Kind, other: &[u8]) {
        let (name, kind, other) = match kind {
            Kind::Before => (other, Kind::After, name),
            kind => (name, kind, other),
        };
        self.add(other);
        self.add(name);
        let at = self.find(name).ok();
        let edges = at.and_then(|at| self.0.get_mut(at));
        let edge = (kind, other.to_vec());
        if let Some((_, edges)) = edges
            && let Err(at) = edges.binary_search(&edge)
        {
            edges.insert(at, edge);
        }
    }

    /// Who needs whom, the other way.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut reversed = self.clone();
        reversed.0.iter_mut().for_each(|(_, edges)| edges.clear());
        for (name, edges) in &self.0 {
            for (kind, other) in edges {
                reversed.add_edge(other, *kind, name);
            }
        }
        reversed
    }

    /// Whom nobody needs; and of each circle that nobody needs, the first.
    pub fn tops(&self) -> Vec<Name> {
        let mut needed = self.none();
        for (_, other) in self.0.iter().flat_map(|(_, edges)| edges) {
            self.mark(other, &mut needed);
        }
        let mut tops = Vec::new();
        let mut seen = self.none();
        let first = self
            .0
            .iter()
            .zip(needed)
            .filter(|(_, is_needed)| !is_needed);
        for (name, _) in first.map(|(row, _)| row).chain(&self.0) {
            if self.reach(name, &mut seen) {
                tops.push(name.clone());
            }
        }
        tops
    }

    /// A mark for each service.
    fn none(&self) -> Vec<bool> {
        let mut marks = Vec::new();
        marks.resize(self.0.len(), false);
        marks
    }

    /// Marks it; returns whether it is known and had no mark.
    fn mark(&self, name: &[u8], marks: &mut [bool]) -> bool {
        let mark = self.find(name).ok().and_then(|at| marks.get_mut(at));
        mark.is_some_and(|mark| !core::mem::replace(mark, true))
    }

    /// Marks it and all that it needs; returns whether it had no mark.
    fn reach(&self, name: &[u8], seen: &mut [bool]) -> bool {
        let is_new = self.mark(name, seen);
        let mut stack: Vec<&[u8]> = Vec::new();
        stack.extend(is_new.then_some(name));
        while let Some(name) = stack.pop() {
            for (_, other) in self.edges(name) {
                if self.mark(other, seen) {
                    stack.push(other);
                }
            }
        }
        is_new
    }

    /// The tree below each of these. `shown` is a name with its state.
    pub fn tree(&self, roots: &[Name], marks: Marks, shown: impl Fn(&Name) -> String) -> String {
        let Marks([branch, end, line, blank]) = marks;
        let mut text = String::new();
        let mut seen = self.none();
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
            let edges = self.edges(&next.name);
            let is_circle = path.contains(&next.name);
            let is_known = !self.mark(&next.name, &mut seen) && !edges.is_empty();
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
        let mut seen = self.none();
        for root in roots {
            self.reach(root, &mut seen);
        }
        let rows = self.0.iter().zip(seen).filter(|(_, is_seen)| *is_seen);
        for ((name, edges), _) in rows {
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
            for (kind, other) in edges {
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
