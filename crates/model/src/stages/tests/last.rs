//! A successor that has nothing left to do but the end.

use super::*;

#[test]
fn it_asks_for_the_end_at_once() {
    for end in End::ALL {
        let mut w = World::new();
        w.stages = Some(Stages::ending(end));
        w.log();
        assert!(w.stages.as_ref().unwrap().goes_down());
        w.tick();
        assert_eq!(w.log().last().unwrap(), &format!("End({end:?})"));
        w.signal(Signal::Usr2);
        assert_eq!(w.log(), Vec::<String>::new());
        w.step(Event::Refused("no".to_string()));
        let last = match end {
            End::Poweroff => "End(Halt)",
            End::Kexec => "End(Reboot)",
            End::Halt | End::Reboot => "Exit",
        };
        assert_eq!(w.log().last().unwrap(), last);
    }
}
