//! Children of the supervisor that are killed on their way: whoever is killed is started again.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::common::{Fixture, SLEEP, end_by, running, status, sunup};

/// How long everybody is killed who appears.
const KILLING: Duration = Duration::from_secs(4);

/// Under `-P` a child that leads the session makes the service's process. It lives for a moment;
/// who looks all the time catches one before it has made any.
#[test]
fn on_the_way_to_its_program() {
    let names: Vec<String> = (0..16).map(|n| format!("s{n}")).collect();
    let fixture = Fixture::new(&[]);
    for name in &names {
        fixture.add(&format!("{name}/run"), SLEEP);
    }
    let mut supervisor = Command::new(sunup())
        .args(["runsvdir", "-P"])
        .arg(fixture.path("."))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = supervisor.id();
    let until = Instant::now() + KILLING;
    while Instant::now() < until {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let pids = children.split_whitespace().filter_map(|c| c.parse().ok());
        for child in pids.filter_map(Pid::from_raw) {
            // A number that was free a moment ago is nobody else's yet.
            let _ = kill_process(child, Signal::KILL);
        }
    }
    for name in &names {
        status(&fixture.path(name), "running again", running);
    }
    end_by(&mut supervisor, Signal::HUP);
}
