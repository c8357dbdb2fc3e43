//! Starts of real programs, many at a time.

use std::ffi::CString;

use super::record::RECORD_BYTES;
use super::*;
use std::fs::{self, File};

fn plan(cwd: &File, script: &str) -> Plan {
    let argv = ["sh", "-c", script].map(|arg| CString::new(arg).unwrap());
    Plan {
        cwd: cwd.as_raw_fd(),
        program: c"/bin/sh".into(),
        argv: argv.into(),
        stdio: None,
        gift: Gift::default(),
        session: Session::Inherit,
        files: None,
        record: None,
    }
}

fn code(pid: Pid) -> Option<i32> {
    let pid = rustix::process::Pid::from_raw(pid);
    let ended = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
    ended.unwrap().unwrap().1.exit_status()
}

fn home() -> File {
    File::open("/").unwrap()
}

#[test]
fn each_of_many_is_told_its_own_outcome() {
    let (mut spawner, home) = (Spawner::new().unwrap(), home());
    for session in [Session::Inherit, Session::Detached] {
        let starts: Vec<_> = (0..SEATS_MAX)
            .map(|n| {
                let mut plan = plan(&home, &format!("exit {n}"));
                plan.session = session;
                if n % 3 == 1 {
                    plan.program = c"/nothing/there".into();
                }
                spawner.start(plan).unwrap()
            })
            .collect();
        let one_more = spawner.start(plan(&home, "exit 1"));
        assert!(matches!(one_more, Err(SpawnError::Fork(_))));
        for (n, start) in starts.into_iter().enumerate() {
            match spawner.finish(start) {
                Ok(pid) => assert_eq!(code(pid), Some(n as i32)),
                Err(SpawnError::Step(step, e)) => {
                    assert_eq!((n % 3, step), (1, "start"));
                    assert_eq!(e.kind(), io::ErrorKind::NotFound);
                }
                Err(e) => panic!("{e:?}"),
            }
        }
    }
}

#[test]
fn each_writes_to_its_own_pipe_and_leaves_its_own_record() {
    let place = tempfile::tempdir().unwrap();
    let (mut spawner, home) = (Spawner::new().unwrap(), File::open(place.path()).unwrap());
    let file = |n| File::create(place.path().join(format!("out{n}"))).unwrap();
    let outs: Vec<_> = (0..SEATS).map(file).collect();
    let records: Vec<_> = (0..SEATS).map(|_| tempfile::tempfile().unwrap()).collect();
    let starts: Vec<_> = outs
        .iter()
        .zip(&records)
        .enumerate()
        .map(|(n, (out, record))| {
            let mut plan = plan(&home, &format!("echo {n} $PWD"));
            plan.stdio = Some((out.as_raw_fd(), 1));
            plan.record = Some(Record {
                file: record.as_raw_fd(),
                prefix: b"1 run ".to_vec(),
            });
            spawner.start(plan).unwrap()
        })
        .collect();
    spawner.wait();
    for ((n, start), record) in starts.into_iter().enumerate().zip(records) {
        let pid = spawner.finish(start).unwrap();
        assert_eq!(code(pid), Some(0));
        let said = fs::read_to_string(place.path().join(format!("out{n}"))).unwrap();
        let home = fs::canonicalize(place.path()).unwrap();
        assert_eq!(said, format!("{n} {}\n", home.display()));
        let mut text = vec![0; RECORD_BYTES];
        rustix::io::pread(&record, &mut text, 0).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with(&format!("1 run {pid} ")), "{text}");
    }
}

#[test]
fn who_is_killed_on_the_way_keeps_nobody_waiting() {
    let (mut spawner, home) = (Spawner::new().unwrap(), home());
    let start = spawner.start(plan(&home, "exec sleep 1000")).unwrap();
    let pid = rustix::process::Pid::from_raw(spawner.seats[start.0].child.get().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let finished = spawner.finish(start).unwrap();
    assert_eq!(finished, pid.as_raw_pid());
    assert_eq!(code(finished), None);
}

#[test]
fn each_has_what_it_is_given_and_the_others_do_not() {
    let place = tempfile::tempdir().unwrap();
    let (mut spawner, home) = (Spawner::new().unwrap(), File::open(place.path()).unwrap());
    let file = |name: &str| OwnedFd::from(File::create(place.path().join(name)).unwrap());
    let script = "echo three >&3; echo \"$PATH $GIVEN $OTHER\" >>/proc/self/fd/62";
    let mut given = plan(&home, script);
    let variables = vec![c"GIVEN=a=b".to_owned(), c"OTHER=".to_owned()];
    // A number above those of all slots, as is what others hold open.
    let high = rustix::io::fcntl_dupfd_cloexec(file("far"), 300).unwrap();
    let fds = vec![(file("three"), 3), (high, 62)];
    given.gift = Gift { fds, variables };
    let plain = plan(&home, "[ -z \"$GIVEN\" ] && [ ! -e /proc/self/fd/62 ]");
    let starts = [given, plain].map(|plan| spawner.start(plan).unwrap());
    for start in starts {
        assert_eq!(code(spawner.finish(start).unwrap()), Some(0));
    }
    let said = |name| fs::read_to_string(place.path().join(name)).unwrap();
    assert_eq!(said("three"), "three\n");
    let path = std::env::var("PATH").unwrap_or_default();
    assert_eq!(said("far"), format!("{path} a=b \n"));
    // What was given is not kept open here.
    let seats = spawner.seats.iter();
    // SAFETY: no child uses a seat.
    assert!(
        seats
            .into_iter()
            .all(|seat| unsafe { (*seat.way.get()).plan.is_none() })
    );
}
