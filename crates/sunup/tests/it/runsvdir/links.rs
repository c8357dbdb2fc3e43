//! The scan directory and its entries may be links, and may lead through others. What
//! happens to each of them is noticed.

use std::fs;

use super::super::common::{Fixture, SLEEP, down, is_sunup, lives, running, status};
use super::Runsvdir;

#[test]
fn the_directory_may_be_a_link_that_is_switched() {
    let fixture = Fixture::new(&[
        ("default/one/run", SLEEP),
        ("single/two/run", SLEEP),
        ("current -> default", ""),
        ("scan -> current", ""),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let one = status(&fixture.path("default/one"), "one", running);
    fixture.add("new -> single", "");
    fs::rename(fixture.path("new"), fixture.path("current")).unwrap();
    status(&fixture.path("single/two"), "two", running);
    status(&fixture.path("default/one"), "one stops", down);
    assert!(!lives(one.pid));
    runsvdir.hang_up();
}

/// An entry may lead through another one, or through a hidden one: what happens
/// to that concerns both.
#[test]
fn an_entry_may_lead_through_another() {
    let fixture = Fixture::new(&[
        ("one/run", SLEEP),
        ("two/run", SLEEP),
        ("three/run", SLEEP),
        ("four/run", SLEEP),
        ("scan/a -> b", ""),
        ("scan/b -> ../one", ""),
        ("scan/c -> .hidden", ""),
        ("scan/.hidden -> ../three", ""),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    status(&fixture.path("one"), "one", running);
    status(&fixture.path("three"), "three", running);
    for (link, to, from) in [("b", "two", "one"), (".hidden", "four", "three")] {
        fixture.add(&format!("new -> ../{to}"), "");
        fs::rename(fixture.path("new"), fixture.path("scan").join(link)).unwrap();
        status(&fixture.path(to), "its successor", running);
        status(&fixture.path(from), "it stops", down);
    }
    // One of two names of a service goes, and then the other.
    fs::remove_file(fixture.path("scan/a")).unwrap();
    fixture.add("scan/d -> ../one", "");
    status(&fixture.path("one"), "comes back", running);
    status(&fixture.path("two"), "has a name left", running);
    fs::remove_file(fixture.path("scan/b")).unwrap();
    status(&fixture.path("two"), "has none", down);
    runsvdir.hang_up();
}

/// A directory that takes the scan directory's place is watched from then on.
#[test]
fn the_directory_may_be_exchanged_for_another() {
    let fixture = Fixture::new(&[
        ("scan/one/run", SLEEP),
        ("other/two/run", SLEEP),
        ("all/three/run", SLEEP),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let one = status(&fixture.path("scan/one"), "one", running);
    rustix::fs::renameat_with(
        rustix::fs::CWD,
        fixture.path("scan"),
        rustix::fs::CWD,
        fixture.path("other"),
        rustix::fs::RenameFlags::EXCHANGE,
    )
    .unwrap();
    status(&fixture.path("scan/two"), "two", running);
    status(&fixture.path("other/one"), "one stops", down);
    assert!(!lives(one.pid));
    fixture.add("scan/three -> ../all/three", "");
    status(&fixture.path("all/three"), "a new link", running);
    runsvdir.hang_up();
}

/// A link stays as it is, but what it leads to is exchanged, goes, comes back,
/// or comes later than the link, its directory included.
#[test]
fn what_a_link_leads_to_may_be_exchanged() {
    let fixture = Fixture::new(&[
        ("scan/web -> ../all/web", ""),
        ("scan/late -> ../later/still/late", ""),
        ("scan/chain -> ../chain", ""),
        ("chain -> all/one", ""),
        ("all/web/run", SLEEP),
        ("all/one/run", SLEEP),
        ("all/two/run", SLEEP),
        ("new/run", SLEEP),
        ("made/still/late/run", SLEEP),
    ]);
    let runsvdir = Runsvdir::start(&fixture);
    let path = |name: &str| fixture.path(name);
    // runit looks at what the links lead to only if the directory, too, is another.
    let done = |step: &str| {
        if !is_sunup() {
            fixture.add(&format!("scan/.{step}"), "");
        }
    };
    let first = status(&path("all/web"), "the first", running);
    status(&path("all/one"), "at the end of a chain", running);

    fs::rename(path("all/web"), path("old")).unwrap();
    fs::rename(path("new"), path("all/web")).unwrap();
    done("exchanged");
    status(&path("old"), "the first stops", down);
    let second = status(&path("all/web"), "the second", running);
    assert!(second.pid != first.pid && !lives(first.pid));

    fs::rename(path("all/web"), path("away")).unwrap();
    done("away");
    status(&path("away"), "it went away", down);
    fs::rename(path("away"), path("all/web")).unwrap();
    done("back");
    status(&path("all/web"), "it came back", running);

    fs::remove_file(path("chain")).unwrap();
    fixture.add("chain -> all/two", "");
    done("elsewhere");
    status(&path("all/one"), "the chain leads elsewhere", down);
    status(&path("all/two"), "the chain leads here", running);

    fs::rename(path("made"), path("later")).unwrap();
    done("late");
    status(
        &path("later/still/late"),
        "its directory came late",
        running,
    );
    fs::rename(path("later/still"), path("later/no more")).unwrap();
    done("gone");
    status(&path("later/no more/late"), "its directory went", down);
    runsvdir.hang_up();
}
