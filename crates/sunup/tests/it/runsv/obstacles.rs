//! What stands in the way of the files in `supervise` stops no service. They are written
//! when the way is free.

use std::fs;

use super::super::common::{SLEEP, make_fifo, running, wait_for};
use super::{Runsv, fixture, status, supervise};

#[test]
fn supervise_may_be_a_dangling_link() {
    let fixture = fixture(&[
        ("web/run", SLEEP),
        ("web/supervise -> ../state/web", ""),
        ("web/log/run", "#!/bin/sh\nexec cat\n"),
        ("web/log/supervise -> ../../state/web-log", ""),
        ("state/", ""),
    ]);
    let runsv = Runsv::start(&fixture.path("web"));
    wait_for("state directories", &[&fixture.path("state")], || {
        (fixture.path("state/web").exists() && fixture.path("state/web-log").exists()).then_some(())
    });
    runsv.status("run", running);
    status(&fixture.path("web/log"), "logger", running);
    runsv.exit();
}

/// A fifo where a file is to be written blocks nobody: the service runs and is controlled.
#[test]
fn fifos_in_the_way_of_state_files_do_not_block() {
    let fixture = fixture(&[("web/run", SLEEP)]);
    let dir = fixture.path("web");
    for name in ["status", "stat", "pid"] {
        make_fifo(supervise(&dir).join(name));
    }
    let runsv = Runsv::start(&dir);
    wait_for("files", &[&supervise(&dir)], || {
        let is_file =
            |name: &str| fs::metadata(supervise(&dir).join(name)).is_ok_and(|m| m.is_file());
        ["status", "stat", "pid"]
            .into_iter()
            .all(is_file)
            .then_some(())
    });
    runsv.status("run", running);
    runsv.exit();
}

/// What stands where the control fifo is to be may be removed later.
#[test]
fn a_control_fifo_that_cannot_be_made_is_made_later() {
    let fixture = fixture(&[("web/run", SLEEP), ("web/supervise/control/", "")]);
    let dir = fixture.path("web");
    let runsv = Runsv::start(&dir);
    runsv.says("open supervise/control: Is a directory; trying again");
    fs::remove_dir(dir.join("supervise/control")).unwrap();
    // The test's own file must not take the fifo's place.
    wait_for("control", &[&supervise(&dir)], || {
        let found = fs::metadata(dir.join("supervise/ok")).ok()?;
        std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()).then_some(())
    });
    runsv.exit();
}

/// D20: a command's outcome that could not be written is written later.
#[test]
fn a_state_that_cannot_be_written_is_written_later() {
    let fixture = fixture(&[("web/run", SLEEP)]);
    let dir = fixture.path("web");
    let runsv = Runsv::start(&dir);
    runsv.status("run", running);
    let file = supervise(&dir).join("status");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    runsv.control("o");
    runsv.says("supervise/status");
    fs::remove_dir(&file).unwrap();
    runsv.status("once", |s| running(s) && !s.want_up);
    runsv.exit();
}
