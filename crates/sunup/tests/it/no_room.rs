//! The file system of `supervise` is full: the service is supervised all the same.

use std::fs;
use std::process::Command;

use super::common::Fixture;

const RUN: &str = "#!/bin/sh\necho $$ >>../../lives\nexec sleep 10000\n";

const SCRIPT: &str = r"
mount -t tmpfs -o nr_inodes=1 none full
start() { runsvdir -P scan 2>>said & supervisor=$!; }
until_up() { until sv status web | grep -q '^run: '; do sleep 0.01; done; }
lives() { until [ $(wc -l <lives) -ge $1 ]; do sleep 0.01; done
  [ $(wc -l <lives) = $1 ] || exit $((10 + $1)); }
start; until_up; lives 1
sv -w 60 restart web; lives 2
kill -USR2 $supervisor
sv -w 60 restart web; lives 3
kill -KILL $supervisor; wait || true
# There is space again, but the process that runs is noted elsewhere.
# Without a source its old options are set again, and a user may not set their owner.
mount -t tmpfs -o remount,nr_inodes=1000 none full
start; until_up; lives 3
[ ! -e full/web ]
sv -w 60 restart web; lives 4
kill -HUP $supervisor; wait $supervisor || [ $? = 111 ]
# What was noted is over.
start; until_up; lives 5
[ -e full/web/lock ]
kill -HUP $supervisor; wait $supervisor || [ $? = 111 ]
";

/// Its state is kept in another place, by which it is commanded, upgraded and taken over, until
/// it is started anew.
#[test]
fn state_is_kept_elsewhere() {
    let fixture = Fixture::new(&[
        ("scan/web/run", RUN),
        ("scan/web/supervise -> ../../full/web", ""),
        ("full/", ""),
    ]);
    let path = fixture.bin(&["runsvdir", "sv"]);
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "--", "sh", "-ec", SCRIPT])
        .current_dir(fixture.path("."))
        .env("PATH", format!("{}:/usr/bin:/bin:/sbin", path.display()))
        .env("SUNUP_RUN", fixture.path(""))
        .env("SVDIR", fixture.path("scan"))
        .output()
        .unwrap();
    let said = fs::read_to_string(fixture.path("said")).unwrap();
    assert!(output.status.success(), "{output:?}\n{said}");
    let place = fixture.path("state").canonicalize().unwrap();
    let starts = format!(
        "runsvdir: web: no space left for supervise; its state is in {}/",
        place.display()
    );
    assert!(said.starts_with(&starts), "{said}");
}
