//! The graph by itself: reasons, names that move, circles, and how much a change costs.

use super::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

/// Services with these edges, in the order of the names, all of them starting.
fn graph(services: &[(&str, &[(Kind, &str)])]) -> Graph {
    let mut graph = Graph::default();
    for (member, (name, _)) in (1..).zip(services) {
        graph.open(member, name.as_bytes());
        graph.set_level(member, Level::Starting, false);
    }
    for (member, (_, edges)) in (1..).zip(services) {
        graph.set_edges(member, &these(edges));
    }
    graph
}

fn these(edges: &[(Kind, &str)]) -> Edges {
    let mut all = Edges::NONE;
    for (kind, name) in edges {
        all.add(*kind, name.as_bytes());
    }
    all
}

fn verdicts(graph: &mut Graph) -> Vec<Verdict> {
    let mut all = vec![];
    while graph.has_more() {
        all.extend(graph.next_verdict());
    }
    all
}

/// Why a service is held.
fn why(graph: &mut Graph, member: Member) -> String {
    verdicts(graph);
    let reason = graph.why_held(member);
    reason.map_or("open".to_string(), |reason| {
        reason.encode().trim_end().into()
    })
}

#[test]
fn a_reason_says_who_and_why() {
    let mut graph = graph(&[("web", &[(Kind::Needs, "db")]), ("db", &[])]);
    assert_eq!(why(&mut graph, 1), "needs db: starting");
    graph.set_level(2, Level::Looping(crate::process::Exit::Code(1)), false);
    assert_eq!(why(&mut graph, 1), "needs db: crash loop, exit 1");
    graph.close(2);
    assert_eq!(why(&mut graph, 1), "needs db: not enabled");
    graph.set_entry(b"db", Level::Opening);
    assert_eq!(why(&mut graph, 1), "needs db: not opened yet");
    graph.open(3, b"db");
    graph.set_level(3, Level::Ready, true);
    assert_eq!(why(&mut graph, 1), "open");
}

#[test]
fn a_name_that_no_one_has_or_names_is_forgotten() {
    let mut graph = graph(&[("web", &[(Kind::Needs, "db"), (Kind::Before, "x")])]);
    assert!(!graph.is_empty());
    graph.set_edges(1, &Edges::NONE);
    graph.set_entry(b"other", Level::Opening);
    graph.set_entry(b"other", Level::Absent);
    graph.close(1);
    assert!(graph.is_empty() && graph.by_name.is_empty() && !graph.has_more());
}

#[test]
fn a_name_of_its_own_counts_for_nothing() {
    let mut graph = graph(&[("web", &[])]);
    let itself = these(&[(Kind::Needs, "web")]);
    assert!(graph.set_edges(1, &itself));
    assert!(!graph.set_edges(1, &itself), "it was said");
    assert_eq!(why(&mut graph, 1), "open");
    assert!(graph.find_circles().is_empty());
}

#[test]
fn edges_and_state_move_with_a_name() {
    let web: &[(Kind, &str)] = &[(Kind::Needs, "db"), (Kind::Before, "log")];
    let mut graph = graph(&[("web", web), ("db", &[]), ("mail", &[(Kind::After, "www")])]);
    graph.rename(1, b"www");
    assert_eq!(graph.edges(1), these(web));
    assert_eq!(why(&mut graph, 1), "needs db: starting");
    assert_eq!(why(&mut graph, 3), "after www: starting");
    // Another one takes the name.
    assert_eq!(graph.rename(3, b"db"), Some(2));
    assert_eq!(why(&mut graph, 1), "needs db: starting");
    graph.set_level(2, Level::Ready, true);
    assert_eq!(
        why(&mut graph, 1),
        "needs db: starting",
        "it has no name now"
    );
    graph.set_level(3, Level::Ready, true);
    assert_eq!(why(&mut graph, 1), "open");
}

#[test]
fn a_circle_is_told_of_once_and_by_the_shortest_way() {
    let needs = |name| [(Kind::Needs, name)];
    let mut graph = graph(&[
        ("a", &needs("b")),
        ("b", &needs("c")),
        ("c", &[(Kind::After, "a"), (Kind::Wants, "b")]),
        ("d", &needs("a")),
    ]);
    assert_eq!(why(&mut graph, 1), "needs b: starting");
    let told = "b needs c, which wants b: a circle; its 3 services do not wait for each other";
    assert_eq!(graph.find_circles(), [told]);
    for member in 1..=3 {
        assert_eq!(why(&mut graph, member), "open");
    }
    assert_eq!(why(&mut graph, 4), "needs a: starting");
    // It is not told of again until an edge of it goes.
    graph.set_edges(4, &Edges::NONE);
    assert!(graph.is_stale() && graph.find_circles().is_empty());
    graph.set_edges(1, &Edges::NONE);
    assert_eq!(why(&mut graph, 2), "needs c: starting");
    let told = "b needs c, which wants b: a circle; its 2 services do not wait for each other";
    assert_eq!(graph.find_circles(), [told]);
}

#[test]
fn a_long_circle_is_found_without_recursion() {
    let mut graph = Graph::default();
    let count = 100_000_u64;
    for member in 0..count {
        graph.open(member, member.to_string().as_bytes());
        let next = ((member + 1) % count).to_string();
        graph.set_edges(member, &these(&[(Kind::Needs, &next)]));
    }
    let told = graph.find_circles();
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with("...: a circle; its 100000 services do not wait for each other"));
}

/// One of many dependents is concerned, or all: no more is done than that.
#[test]
fn a_change_concerns_those_it_matters_to() {
    let mut graph = Graph::default();
    graph.open(0, b"hub");
    graph.open(1, b"other");
    for member in 2..5002 {
        graph.open(member, format!("{member}").as_bytes());
        graph.set_edges(
            member,
            &these(&[(Kind::Needs, "hub"), (Kind::Wants, "other")]),
        );
    }
    assert_eq!(verdicts(&mut graph).len(), 5000);
    graph.set_level(1, Level::Starting, true);
    assert!(graph.due.is_empty(), "the hub holds them all the same");
    graph.set_level(0, Level::Ready, true);
    assert_eq!(graph.due.len(), 5000);
    let round = graph.next_verdict();
    assert_eq!(round.map(|_| graph.due.len()), Some(5000), "one at a time");
    graph.set_level(1, Level::Ready, true);
    let opened = verdicts(&mut graph);
    assert!(matches!(opened.last(), Some(Verdict::Start(_, None))));
}

#[test]
fn an_edge_takes_less_than_200_bytes() {
    let mut graph = Graph::default();
    for member in 0..5000_u64 {
        graph.open(member, format!("service-{member}").as_bytes());
        let needs = [member / 2, member / 3, member / 5].map(|n| format!("service-{n}"));
        let mut edges = Edges::NONE;
        for need in needs {
            edges.add(Kind::Needs, need.as_bytes());
        }
        graph.set_edges(member, &edges);
    }
    let lists = graph.nodes.iter().flat_map(|node| [&node.out, &node.back]);
    let bytes: usize = lists.map(|list| list.capacity() * size_of::<Edge>()).sum();
    let edges: usize = graph.nodes.iter().map(|node| node.out.len()).sum();
    assert!(edges > 14_000 && bytes / edges < 64, "{bytes} for {edges}");
    // A node has, beside its lists, itself, its name and two places in maps.
    assert!(size_of::<Node>() <= 136, "{}", size_of::<Node>());
}
