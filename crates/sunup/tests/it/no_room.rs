//! The file system of `supervise` is full: the service is supervised all the same.

use std::fs;
use std::process::Command;

use super::common::Fixture;

const RUN: &str = "#!/bin/sh\necho $$ >>../../lives\nexec sleep 10000\n";

const WORDS: &str = r"
start() { runsvdir -P scan 2>>said & supervisor=$!; }
until_up() { until sv status web | grep -q '^run: '; do sleep 0.01; done; }
lives() { until [ $(wc -l <lives) -ge $1 ]; do sleep 0.01; done
  [ $(wc -l <lives) = $1 ] || exit $((10 + $1)); }
";

const NO_INODE: &str = r"
mount -t tmpfs -o nr_inodes=1 none full
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

/// The number of blocks that are free goes from none to as many as a service needs.
const FEW_BLOCKS: &str = r"
page=$(getconf PAGESIZE)
mount -t tmpfs -o size=$((4 * page)) none full
n=0
for free in 0 1 2 3 4; do
  head -c $(((4 - free) * page)) /dev/zero >full/fill
  start; until_up; n=$((n + 1)); lives $n
  if [ $free != 4 ]; then [ ! -e full/web/status ]; else
    # Nobody else gets the blocks that it has.
    sv -w 60 down web
    if head -c $page /dev/zero >full/more 2>/dev/null; then exit 1; fi
    sv -w 60 up web; n=$((n + 1)); lives $n
    until [ $(cat full/web/pid) = $(tail -n 1 lives) ]; do sleep 0.01; done
  fi
  kill -KILL $supervisor; wait || true
  start; until_up
  kill -HUP $supervisor; wait $supervisor || [ $? = 111 ]
  lives $n; rm -r full/*
done
";

/// Its state is kept in another place, by which it is commanded, upgraded and taken over, until
/// it is started anew.
#[test]
fn state_is_kept_elsewhere() {
    run(NO_INODE);
}

/// Files could be made, but not filled. No second copy starts.
#[test]
fn a_service_has_all_its_blocks_or_is_elsewhere() {
    run(FEW_BLOCKS);
}

fn run(script: &str) {
    let fixture = Fixture::new(&[
        ("scan/web/run", RUN),
        ("scan/web/supervise -> ../../full/web", ""),
        ("full/", ""),
    ]);
    let path = fixture.bin(&["runsvdir", "sv"]);
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "--", "sh", "-ec"])
        .arg([WORDS, script].concat())
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
