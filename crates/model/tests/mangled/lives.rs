//! The checks of services, whatever happens to them, and of what PID 1 leaves for its successor.

use std::time::Duration;

use model::boot::{Machine, handover};
use model::command::{Command, Sig};
use model::format::state::status_text;
use model::format::{inittab, notify_message};
use model::pid1::Life;
use model::service::{ACTIONS_MAX, Action, Event, Exit, Failure, Pid, Role, Service, Want};
use model::settings::{Look, Settings};
use model::stages::Stages;
use model::time::Instant;

use super::Player;

pub fn what_pid_1_left_for_its_successor(player: &mut dyn Player) {
    let seeds: [&[u8]; 4] = [
        b"run 1f=7 2e=80",
        b"poweroff ff=2",
        b"2 77 reboot",
        b"run 1f=7 respawn:tty1:/sbin/getty%2038400 once::a%3db%25 shutdown::/etc/runit/3",
    ];
    let entries = inittab::defaults(true);
    player.cases(&seeds, &mut |bytes| {
        let line = String::from_utf8_lossy(bytes);
        let told = handover::decode(&line);
        assert!(told.processes.iter().all(|(_, pid)| *pid > 1), "{line}");
        let machine = Machine::resume(entries.clone(), Duration::ZERO, &told, Instant(0));
        assert!(machine.handover().len() < 1000, "{line}");
        let is_entry = |e: &&inittab::Entry| e.command != model::boot::STAGE3;
        let entries: Vec<_> = told.entries.iter().filter(is_entry).cloned().collect();
        let machine = Machine::resume(entries.clone(), Duration::ZERO, &told, Instant(0));
        assert_eq!(handover::decode(&machine.handover()).entries, entries);
        let stages = Stages::resume(&line, |_| true, Duration::ZERO, Instant(0));
        assert!(stages.handover().len() < 100, "{line}");
        true
    });
}

/// Two bytes of the input are one event: a control byte, or what the other letters
/// mean, at the time that the second says (quarters of a second).
pub fn services(player: &mut dyn Player) {
    let seeds: [&[u8]; 4] = [
        b"L\0S\x01d\x01E\x01u\x04L\0S\x01",
        b"L\0S\0E\0L\x04S\0E\0t\x01c\0x\x10",
        b"L\x01F\0W\x08T\0R\0A\0o\0k\0q\0",
        b"P\0Z\x01D\0H\x01p\0h\0a\0i\x011\x012\x01",
    ];
    player.cases(&seeds, &mut |input| {
        let mut now = Instant(10_000_000_000);
        for role in [Role::Main, Role::Log] {
            let mut service = Service::new(role, Want::Up);
            let mut asked = None;
            let mut pid = 100;
            for (kind, quarters) in input.chunks_exact(2).map(|pair| (pair[0], pair[1])) {
                now = now.plus_ms(u64::from(quarters) * 250);
                pid += u32::from(kind == b'S');
                let Some(event) = event(&service, kind, quarters, pid, asked) else {
                    continue;
                };
                let (next, actions) = service.step(now, event);
                assert!(actions.len() <= ACTIONS_MAX, "{actions:?}");
                assert!(next.deadline().is_none_or(|at| at.0 < 1 << 60));
                assert!(next.phase().1 <= pid);
                let look = actions.iter().find_map(|action| match action {
                    Action::Look(look) => Some(*look),
                    _ => None,
                });
                asked = look.or(asked.filter(|_| actions.is_empty()));
                service = next;
            }
        }
        true
    });
}

/// What a letter means; each is answered in every state.
fn event(service: &Service, kind: u8, detail: u8, pid: Pid, asked: Option<Look>) -> Option<Event> {
    let (_, running) = service.phase();
    let exit = Exit::Code(detail);
    let settings = Settings {
        finish: detail & 1 != 0,
        backoff: (detail & 2 != 0).then_some(u32::from(detail)),
        ..Settings::default()
    };
    Some(match kind {
        b'L' => Event::Looked(asked?, settings),
        b'S' => Event::Started(pid),
        b'F' => Event::NotStarted(Failure::Exec),
        b'R' => Event::NotStarted(Failure::Resources),
        b'A' => Event::NotStarted(Failure::Absent),
        b'W' => Event::Late(pid),
        b'T' => Event::Tick,
        b'E' => Event::Exited(running, exit),
        b'Z' => Event::Exited(pid, Exit::Unknown),
        b'P' => Event::Prepared,
        b'H' => Event::ScriptEnded {
            sig: Sig::Term,
            pid: running,
            handled: detail & 1 != 0,
        },
        b'D' => Event::Retire,
        b'G' => Event::Drain,
        b'O' => Event::Gate(detail & 1 != 0),
        b'B' => Event::StopGate(detail & 1 != 0),
        byte => Event::Command(Command::from_byte(byte)?),
    })
}

/// Datagrams to NOTIFY_SOCKET, each with another after it: what is kept of them has a bound
/// and who stops is not ready any more.
pub fn messages_of_services(player: &mut dyn Player) {
    let seeds: [&[u8]; 6] = [
        b"READY=1\nSTATUS=up\nMAINPID=77",
        b"STOPPING=1\nEXTEND_TIMEOUT_USEC=5000000",
        b"RELOADING=1\nMONOTONIC_USEC=1\nRESTART_RESET=1",
        b"STATUS=L\xc3\xa4uft \xe2\x80\xa6\x1b[1m",
        b"BARRIER=1",
        b"READY=1\r\nEXTEND_TIMEOUT_USEC=99999999999999999999\0",
    ];
    player.cases(&seeds, &mut |datagram| {
        let message = notify_message::decode(datagram);
        assert!(!message.barrier || !message.ready && message.status.is_none());
        if let Some(status) = &message.status {
            assert!(status.len() <= status_text::TEXT_BYTES_MAX);
            assert!(datagram.windows(7).any(|name| name == b"STATUS="));
        }
        let mut two = message.clone();
        two.then(notify_message::decode(b"STATUS=later\nREADY=1"));
        assert_eq!(two.status.as_deref(), Some(&b"later"[..]));
        assert!(two.ready != (message.stopping && !message.ready));
        !message.is_empty()
    });
}
