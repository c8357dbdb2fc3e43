//! Single-user mode: the stories.

use super::*;

const TO_SHELL: [&str; 5] = ["Term(102)", "TermAll", "Sync", "KillAll", "start sulogin"];

impl World {
    /// Everything ends at once.
    fn be_single(&mut self) {
        self.signal(Signal::Single);
        self.step(Event::News(News::Exited(102, OK)));
        self.step(Event::News(News::NoChildren));
        self.step(Event::News(News::NoChildren));
        assert_eq!(self.log(), TO_SHELL);
    }
}

#[test]
fn stage_2_follows_the_shell() {
    let mut w = World::up();
    w.be_single();
    assert!(w.stages.as_ref().unwrap().is_up());
    assert!(!w.stages.as_ref().unwrap().goes_down());
    w.signal(Signal::Single);
    w.step(Event::News(News::Exited(103, Exit::Code(1))));
    assert_eq!(w.log(), ["start /etc/runit/2"]);
    assert_eq!(w.accounts, [Account::Booted]);
    // In stage 1 and 3 it means nothing.
    let mut w = World::new();
    w.signal(Signal::Single);
    w.step(Event::News(News::Exited(101, OK)));
    w.step(Event::News(News::Exited(102, OK)));
    w.signal(Signal::Single);
    assert_eq!(w.log().last().unwrap(), "start /etc/runit/3");
    w.ends_after_stage_3();
}

impl World {
    fn ends_after_stage_3(&mut self) {
        self.step(Event::News(News::Exited(103, OK)));
        self.tick();
        self.tick();
        assert_eq!(self.log().last().unwrap(), "End(Poweroff)");
    }
}

#[test]
fn an_end_goes_before_it() {
    for steps in 0..4 {
        for signal in [Signal::Usr2, Signal::Cont, Signal::Int] {
            let mut w = World::up();
            w.has_ctrl_alt_del = signal == Signal::Int;
            w.signal(Signal::Single);
            for _ in 0..steps {
                match steps {
                    3 => w.step(Event::News(News::NoChildren)),
                    _ => {
                        w.tick();
                    }
                }
                w.step(Event::News(News::Exited(102, OK)));
            }
            w.log();
            w.stopit = signal != Signal::Usr2;
            w.signal(signal);
            if signal == Signal::Int {
                let pid = w.next_pid;
                w.step(Event::News(News::Exited(pid, OK)));
            }
            w.step(Event::News(News::Exited(102, OK)));
            let log = w.log();
            assert_eq!(
                log.last().unwrap(),
                "start /etc/runit/3",
                "{steps} {signal:?}"
            );
            assert!(w.stages.as_ref().unwrap().goes_down());
        }
    }
}

#[test]
fn a_successor_knows_where_it_is() {
    let mut w = World::up();
    w.signal(Signal::Single);
    let line = w.stages.as_ref().unwrap().handover();
    assert_eq!(line, "2 102 single");
    w.step(Event::News(News::Exited(102, OK)));
    assert_eq!(w.stages.as_ref().unwrap().handover(), "end - single");
    w.step(Event::News(News::NoChildren));
    w.step(Event::News(News::NoChildren));
    let line = w.stages.as_ref().unwrap().handover();
    assert_eq!(line, "shell 103 single");
    for (line, child, expected) in [
        ("shell 103 single", true, "shell 103 single"),
        ("shell 103 single", false, "end - single"),
        ("end - single", true, "end - single"),
        ("2 102 single", true, "2 102 single"),
        ("shell 103 -", true, "2 - -"),
    ] {
        let stages = Stages::resume(line, |_| child, GRACE, START);
        assert_eq!(stages.handover(), expected, "{line}");
    }
}
