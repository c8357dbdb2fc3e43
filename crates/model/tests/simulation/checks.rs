//! What must hold whenever a supervisor has done all that there was to do.

use model::format::adopt::Mark;
use model::format::status::Phase;
use model::service::{Role, Service};
use model::supervisor::Id;

use super::kernel::{Place, Runs};
use super::needs::may_be_held;
use super::readiness::{check_belief, check_heard, check_message};
use super::shell::Shell;
use super::wishes::Wish;
use super::world::World;

/// How much there may be to tell of a service at rest, and of the rest.
const BYTES_MAX: usize = 3500;

/// What a supervisor believes is true.
pub fn check_supervisor(shell: &Shell, world: &mut World) -> Result<(), String> {
    for (id, place, half) in shell.halves() {
        let phase = shell.core.service(id).map_or(0, |s| s.phase().1);
        let believed = (phase != 0).then_some(phase);
        let truth = half.truth.and_then(|serial| world.kernel.pid_of(serial));
        match (believed, truth) {
            (Some(believed), Some(pid)) if believed != pid => {
                return Err(format!(
                    "{place:?} is {pid}, and {believed} is taken for it"
                ));
            }
            (Some(believed), None) if half.pidfd.is_none() => {
                return Err(format!("{place:?}: the end of {believed} was never told"));
            }
            (None, Some(pid)) if !half.truth.is_none_or(|s| world.kernel.has_ended(s)) => {
                return Err(format!("{place:?}: {pid} is forgotten"));
            }
            _ => {}
        }
        check_belief(shell, world, id)?;
        let former = shell.units.get(&id.unit).and_then(|unit| unit.former);
        let rests = shell.core.service(id).and_then(Service::deadline);
        let is_logger = id.role == Role::Log && believed.is_none();
        if is_logger && former.is_some() && rests.is_some_and(|at| at > world.kernel.now) {
            return Err(format!("{place:?} rests, and nobody reads its pipe"));
        }
    }
    for (id, pid) in shell.core.processes() {
        let service = shell.core.service(id);
        if service.is_none_or(|s| s.phase().1 != pid) {
            return Err(format!("{pid} is remembered as {id:?} without need"));
        }
    }
    Ok(())
}

/// What the files tell of crash loops is true at the end of a round, unless files wait
/// for what was put aside.
pub fn check_crash_loops(shell: &Shell, world: &mut World) -> Result<(), String> {
    if shell.core.has_more() {
        return Ok(());
    }
    let ids = shell.ids().into_iter();
    for id in ids.filter(|id| !shell.core.holds_back(id.unit)) {
        let crash_loop = shell.core.service(id).and_then(Service::crash_loop);
        let place = shell
            .place(id)
            .map(|place| (place, world.kernel.files(place)));
        if let Some((place, files)) = place.filter(|(_, files)| files.crash_loop != crash_loop) {
            let shown = files.crash_loop;
            return Err(format!("{place:?}: {crash_loop:?}, and {shown:?} is shown"));
        }
    }
    Ok(())
}

/// What is true of the world, whatever a supervisor believes.
pub fn check_world(world: &World) -> Result<(), String> {
    for place in world.places() {
        let living: Vec<_> = world.kernel.living(place).collect();
        let counted = living.iter().filter(|(_, p)| !p.unrecorded).count();
        if counted > 1 {
            return Err(format!("two processes of {place:?}: {living:?}"));
        }
    }
    Ok(())
}

/// What must hold when a supervisor was killed: its files tell of each stop that counts, if
/// that is not about to end the process by itself.
pub fn check_killed(world: &mut World) -> Result<(), String> {
    for place in world.places().collect::<Vec<_>>() {
        let is_stopped = world.wishes(place).may_be.iter().eq([&Wish::Down]);
        // A logger ends with its pipe.
        if place.1 == Role::Log {
            continue;
        }
        check_message(world, place)?;
        if !is_stopped {
            continue;
        }
        let files = world.kernel.files(place).clone();
        let (Some(record), Some(status)) = (files.record, files.status) else {
            continue;
        };
        let process = world.kernel.processes.get(&record.pid);
        let goes_on = process.is_some_and(|p| {
            let runs = matches!(p.runs, Runs::Run(of) | Runs::Setup(of) if of == place);
            // Whether a late program heeds TERM is known when it has loaded.
            let loads = p.starting.is_some() || p.hangs || p.late;
            runs && p.zombie.is_none() && p.dying.is_empty() && !loads
        });
        let got_term = status.got_term && status.pid == record.pid;
        if goes_on && !got_term && record.mark != Mark::Stop {
            return Err(format!(
                "{place:?}: no file tells of the stop of {process:?}"
            ));
        }
    }
    Ok(())
}

/// What must hold when everything has come to rest under a keeper.
pub fn check_kept(shell: &Shell, world: &mut World) -> Result<(), String> {
    let ids = shell.ids().into_iter();
    let mut places: Vec<Place> = ids.filter_map(|id| shell.place(id)).collect();
    if places
        .iter()
        .all(|place| world.kernel.living(*place).count() == 0)
    {
        return Err("a keeper stays where nothing runs".to_owned());
    }
    for place in places.drain(..) {
        let is_up = world.kernel.living(place).count() != 0;
        let wishes = world.wishes(place);
        if is_up
            && wishes
                .may_be
                .iter()
                .all(|w| matches!(w, Wish::Down | Wish::Exit))
        {
            return Err(format!(
                "{place:?} is up under a keeper, wanted: {:?}",
                wishes.may_be
            ));
        }
    }
    Ok(())
}

/// What must hold when everything has come to rest under one healthy supervisor.
pub fn check_rest(shell: &Shell, world: &mut World) -> Result<(), String> {
    for dir in world.kernel.scan.values().copied().collect::<Vec<_>>() {
        let kind = world.kernel.kinds.get(&dir).copied().unwrap_or_default();
        let unit = shell.units.iter().find(|(_, unit)| unit.dir == dir);
        let Some((id, _)) = unit else {
            return Err(format!("{dir} is not supervised"));
        };
        let (unit, role) = (*id, Role::Main);
        let service = shell.core.service(Id { unit, role });
        let is_held = service.is_some_and(Service::is_held);
        if !(is_held && may_be_held(shell, world, dir)) {
            check_service(world, (dir, role))?;
        }
        if kind.log {
            check_service(world, (dir, Role::Log))?;
        }
    }
    check_heard(shell, world)?;
    for (_, place, _) in shell.halves() {
        if let Some(ran) = world.kernel.files(place).owes {
            return Err(format!("{place:?}: `last` never told of {ran}"));
        }
    }
    let bytes = format!("{:?}", shell.core).len();
    if bytes > BYTES_MAX * (1 + shell.units.len()) {
        return Err(format!("the supervisor grows: {:?}", shell.core));
    }
    for unit in shell.units.values() {
        if !world.kernel.scan.values().any(|dir| *dir == unit.dir) {
            return Err(format!("{} is still supervised", unit.dir));
        }
    }
    Ok(())
}

fn check_service(world: &mut World, place: Place) -> Result<(), String> {
    let living: Vec<_> = world
        .kernel
        .living(place)
        .map(|(pid, p)| (pid, p.clone()))
        .collect();
    let status = world.kernel.files(place).status;
    let shown = status.map_or(0, |s| s.pid);
    let is_shown = match living.as_slice() {
        [] => shown == 0,
        all => all.iter().any(|(pid, _)| *pid == shown),
    };
    if !is_shown {
        return Err(format!("{place:?} is {living:?}, and {status:?} is shown"));
    }
    let kind = world
        .kernel
        .kinds
        .get(&place.0)
        .copied()
        .unwrap_or_default();
    let is_oneshot = kind.is_oneshot() && place.1 == Role::Main;
    let is_done = is_oneshot && status.is_some_and(|s| s.phase == Phase::Run && s.pid == 0);
    let stays = !kind.finish;
    if is_done {
        let here = world.kernel.world();
        let record = world.kernel.files(place).record.clone();
        // A disk without room may have had none for the record.
        if record.is_some_and(|r| r.world != here || r.mark != Mark::Done) {
            return Err(format!(
                "{place:?} is shown as done, and was not done in this boot"
            ));
        }
    }
    let is_down_by_default = world.is_down_by_default(place);
    let wishes = world.wishes(place);
    let is_up = !living.is_empty() || is_done;
    // It was told to exit, and nothing undid it: it is done, whatever is wanted by default.
    if is_done && stays && wishes.may_be.contains(&Wish::Exit) {
        return Ok(());
    }
    if wishes.allow(is_up, is_down_by_default) {
        return Ok(());
    }
    Err(format!(
        "{place:?} is {}, wanted: {:?}",
        if is_up { "up" } else { "down" },
        wishes.may_be
    ))
}
