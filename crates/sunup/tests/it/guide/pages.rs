//! Each page of the guide, from its first line to its last, as a reader follows it on a
//! machine of its own.

use super::house::House;
use super::{Step, page, steps};

fn follow(name: &str) {
    let steps = steps(&page(name));
    assert!(!steps.is_empty(), "{name} has nothing to do");
    let mut house = House::new();
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
    };
}

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
