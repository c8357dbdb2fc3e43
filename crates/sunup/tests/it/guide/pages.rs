//! Each page of the guide, from its first line to its last, as a reader follows it on a
//! machine of its own.

mod inits;

use super::house::House;
use super::{Step, page, steps};

fn follow(name: &str) {
    let steps = steps(&page(name));
    assert!(!steps.is_empty(), "{name} has nothing to do");
    let starts_it =
        |step: &Step| matches!(step, Step::Enter(line, _) if line.starts_with("runsvdir "));
    let mut house = match name {
        "from-runit" => House::of_runit(),
        _ if steps.iter().any(starts_it) => House::without_supervisor(),
        _ => House::new(),
    };
    for step in &steps {
        match step {
            Step::Write(file, content) => house.write(file, content),
            Step::Enter(command, expected) => house.sees(command, expected),
        }
    }
}

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(#[test]
        fn $test() {
            follow($page);
        })*

        /// Each page of docs/ with commands has its test.
        #[test]
        fn every_page_with_commands_is_followed() {
            let followed = [$($page),*];
            for name in super::pages() {
                let is_followed = followed.contains(&&name[..]) || ELSEWHERE.contains(&&name[..]);
                let has_commands = page(&name).contains("```console");
                assert!(is_followed || !has_commands, "{name}: nobody tries its commands");
            }
        }
    };
}

/// Their commands are tried by other tests: `services` beside this one; the others are about
/// other machines.
const ELSEWHERE: [&str; 1] = ["services"];

pages! {
    first_service: "first-service",
    logs: "logs",
    environment: "environment",
    start_at_boot: "start-at-boot",
    why: "does-not-start",
    cookbook: "cookbook",
    from_runit: "from-runit",
    from_busybox: "from-busybox",
    from_systemd: "from-systemd",
    machine_init: "machine-init",
}
