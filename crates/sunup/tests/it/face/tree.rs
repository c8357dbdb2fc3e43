//! `sv tree`.

use super::super::common::{Fixture, SLEEP, down, running, status, yield_until};
use super::super::runsvdir::Runsvdir;
use super::{printed, sv, text};

fn services() -> Fixture {
    Fixture::new(&[
        ("scan/web/run", SLEEP),
        ("scan/web/needs/db", ""),
        ("scan/web/wants/c\x1bd", ""),
        ("scan/db/run", SLEEP),
        ("scan/db/down", ""),
        ("scan/db/needs/net", ""),
        ("scan/net/run", SLEEP),
        ("scan/net/before/web", ""),
        ("scan/c\x1bd/run", SLEEP),
        ("scan/c\x1bd/needs/net", ""),
        ("scan/c\x1bd/needs/gone", ""),
        ("scan/file", ""),
        ("scan/tty@/run", SLEEP),
    ])
}

#[test]
fn services_with_states_below_those_that_need_them() {
    let fixture = services();
    let scan = fixture.path("scan");
    let _scanner = Runsvdir::start(&fixture);
    status(&scan.join("net"), "run", running);
    status(&scan.join("db"), "down", down);
    status(&scan.join("web"), "held", |s| down(s) && s.want_up);
    status(&scan.join("c\x1bd"), "held", |s| down(s) && s.want_up);
    let tree = |locale: &str, args: &[&str]| {
        let mut tree = sv(&scan, &[&["tree"], args].concat());
        let output = tree
            .env("LC_ALL", "")
            .env("LANG", locale)
            .env_remove("LC_CTYPE");
        let output = output.output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        text(&output)
    };
    let expected = "web: held\n\
                    ├─ db: down\n\
                    │  └─ net: run\n\
                    ├─ wants c\\x1bd: held\n\
                    │  ├─ gone: not enabled\n\
                    │  └─ net: run\n\
                    └─ after net: run\n";
    // What holds a service is written after its status.
    yield_until(|| (tree("de_DE.UTF-8", &[]) == expected).then_some(()));
    assert_eq!(tree("C", &["db"]), "db: down\n`- net: run\n");
    let path = scan.join("db");
    assert_eq!(
        tree("C", &[path.to_str().unwrap()]),
        "db: down\n`- net: run\n"
    );
    let reversed = "net: run\n|- c\\x1bd: held\n|  `- wants web: held\n|- db: down\n|  `- web: held\n\
                    `- after web: held\n";
    assert_eq!(tree("C", &["-r", "net"]), reversed);
    let dot = printed(&scan, &["tree", "--dot", "db"]);
    let expected = "digraph services {\n  \"db\" [label=\"db\\ndown\"];\n  \"db\" -> \"net\" [];\n  \
                    \"net\" [label=\"net\\nrun\"];\n}\n";
    assert_eq!(dot, expected);
}

#[test]
fn who_is_not_there_is_said() {
    let fixture = services();
    let output = sv(&fixture.path("scan"), &["tree", "nope", "db"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stderr, b"sv: there is no service nope\n");
    assert_eq!(text(&output).lines().next(), Some("db: gone"));
    let output = sv(&fixture.path("none"), &["tree"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
