//! A turn of a supervisor's loop.

use model::supervisor::{Id, Input};
use model::time::Instant;

use super::super::kernel::Process;
use super::super::shell::{Shell, Stop};
use super::World;

/// A turn of the loop; the exit code if that was the last.
pub(super) fn turn(shell: &mut Shell, world: &mut World, all: bool) -> Result<Option<u8>, Stop> {
    shell.begin(world)?;
    shell.take_answers(world, all)?;
    shell.feed(world, Input::RoundOver)?;
    if let Some(code) = shell.core.exit_code(world.kernel.now) {
        return Ok(Some(code));
    }
    for event in ready(shell, world, all) {
        match event {
            Ready::Children => shell.reap(world)?,
            Ready::Term if std::mem::take(&mut shell.term) => {
                if shell.leaves || shell.keeper {
                    shell.stop_all(world, Input::Terminate)?;
                } else {
                    shell.leaves = true;
                    shell.feed(world, Input::Terminate)?;
                }
            }
            Ready::HangUp if std::mem::take(&mut shell.hup) => {
                shell.stop_all(world, Input::HangUp)?;
            }
            Ready::Term | Ready::HangUp => {}
            Ready::Scan => {
                shell.scan_event = false;
                let input = if world.chance.one_in(2) {
                    Input::ScanDue
                } else {
                    shell.notice(world)
                };
                shell.feed(world, input)?;
            }
            Ready::Logs => {
                for unit in std::mem::take(&mut shell.log_events) {
                    shell.feed(world, Input::LogChanged(unit))?;
                }
            }
            Ready::Control(id) => shell.obey(world, id)?,
            Ready::Pidfd(id) => shell.adopted_ended(world, id)?,
            Ready::Words(id) => shell.hear(world, id)?,
        }
        // Some of what was started ends at once.
        if world.rules.late && world.chance.one_in(4) {
            shell.reap(world)?;
        }
    }
    let now: Instant = world.kernel.now;
    let is_due = |shell: &Shell| shell.core.deadline().is_some_and(|at| at <= now);
    while is_due(shell) && world.goes_on() {
        if world.rules.hears_out {
            shell.hear_out_in_time(world)?;
        }
        if is_due(shell) {
            shell.feed(world, Input::Due)?;
        }
    }
    while shell.core.has_more() && world.goes_on() {
        shell.feed(world, Input::More)?;
        // The turn's time is over.
        if world.rules.late && !all && world.chance.one_in(4) {
            break;
        }
    }
    Ok(None)
}

#[derive(Clone, Copy)]
enum Ready {
    Children,
    Term,
    HangUp,
    Scan,
    Logs,
    Control(Id),
    Pidfd(Id),
    Words(Id),
}

/// What the supervisor sees, in any order.
fn ready(shell: &Shell, world: &mut World, all: bool) -> Vec<Ready> {
    let mut ready = Vec::new();
    let is_dead = |p: &Process| p.parent == Some(shell.boss) && p.zombie.is_some();
    if world.kernel.processes.values().any(is_dead) {
        ready.push(Ready::Children);
    }
    ready.extend(shell.term.then_some(Ready::Term));
    ready.extend(shell.hup.then_some(Ready::HangUp));
    ready.extend(shell.scan_event.then_some(Ready::Scan));
    ready.extend((!shell.log_events.is_empty()).then_some(Ready::Logs));
    for (id, place, half) in shell.halves() {
        if half.furnished && !world.kernel.files(place).fifo.is_empty() {
            ready.push(Ready::Control(id));
        }
        if half
            .pidfd
            .is_some_and(|serial| world.kernel.has_ended(serial))
        {
            ready.push(Ready::Pidfd(id));
        }
        if shell.speaker(world, id).is_some() {
            ready.push(Ready::Words(id));
        }
    }
    let mut seen = Vec::new();
    while !ready.is_empty() {
        let event = ready.swap_remove(world.chance.below(ready.len()));
        if all || !world.chance.one_in(3) {
            seen.push(event);
        }
    }
    seen
}
