//! How a run says that it is ready, and what else it says of itself: what it is given at its
//! start, and what is heard (`docs/decisions/0025-readiness.md`). [`super::notify_pipe`] and
//! [`super::notify_socket`] are the two ways.
//!
//! A service that floods its socket delays others by [`MESSAGES_MAX`] messages in a turn.
//! What cannot be had, because descriptors are short or there is no place for a socket, is
//! reported once, and the run starts without it: then it is ready when it runs.

use std::ffi::CString;
use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use model::adoption::Inheritance;
use model::format::notify::Notify;
use model::format::notify_message::{self, BYTES_MAX, Message};
use model::format::state::ready::Source;
use model::format::status::Phase;
use model::scan::Identity;
use model::service::{Announce, Event, Pid, Role, Service};
use model::supervisor::{Id, Input, UnitId};
use model::time::Instant;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::geteuid;

use super::half::About;
use super::notify_pipe::{Heard, NotifyPipe};
use super::notify_socket::{INHERITED, NotifySocket};
use super::{Engine, Token};
use crate::say;
use crate::sys::datagram::{Datagram, Sender};
use crate::sys::spawner::Gift;

/// Messages that are taken from one service before others have their turn.
const MESSAGES_MAX: usize = 16;
/// The variable that names the socket.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// The files that ask for it.
const NOTIFICATION_FD: &str = "notification-fd";
const NOTIFY: &str = "notify";

/// What is held open to hear a service.
#[derive(Default)]
pub struct Ears {
    /// Until the run is ready.
    pub pipe: Option<NotifyPipe>,
    /// As long as the directory asks for one when a run starts.
    pub socket: Option<NotifySocket>,
    /// What counts of the messages.
    notify: Notify,
    /// The run waits to be heard, and nobody can hear it.
    is_deaf: bool,
    /// The run has said by a message that it is ready.
    has_said: bool,
    /// It was reported that somebody else has sent a message.
    has_told: bool,
}

/// What the messages of one turn say, and who waits for that to be done.
#[derive(Default)]
struct Messages {
    all: Message,
    /// The last of them was only looked at.
    stays: bool,
    /// They are closed when it is done.
    barriers: Vec<OwnedFd>,
    /// Somebody who may not send any.
    stranger: Option<Sender>,
}

/// Why something is not given.
enum Obstacle {
    Failed(io::Error),
    Told(String),
}

impl<E: Into<io::Error>> From<E> for Obstacle {
    fn from(e: E) -> Self {
        Self::Failed(e.into())
    }
}

impl Ears {
    /// Those that a predecessor in this process left.
    pub fn again(pipe: Option<OwnedFd>, socket: Option<NotifySocket>, notify: Notify) -> Self {
        Self {
            pipe: pipe.map(NotifyPipe::again),
            socket,
            notify,
            ..Self::default()
        }
    }

    /// What counts of the messages, and the descriptors, for a successor in this process.
    pub fn parts(&self) -> (Notify, [(&'static str, Option<BorrowedFd<'_>>); 2]) {
        let pipe = self.pipe.as_ref().map(AsFd::as_fd);
        let socket = self.socket.as_ref().map(AsFd::as_fd);
        (
            self.notify,
            [("notify-pipe", pipe), ("notify-socket", socket)],
        )
    }

    /// Closes them for good.
    pub fn close(self) {
        if let Some(socket) = self.socket {
            socket.close();
        }
    }

    /// Prepares the notification descriptor of a start.
    fn give_pipe(&mut self, number: u16, files: u64, gift: &mut Gift) -> Result<(), Obstacle> {
        if u64::from(number) >= files {
            let text =
                format!("{number}: the service may open {files} files only; started without");
            return Err(Obstacle::Told(text));
        }
        let (ours, theirs) = NotifyPipe::new()?;
        let target = RawFd::from(number);
        gift.fds.push((clear_of(theirs, target)?, target));
        self.pipe = Some(ours);
        Ok(())
    }

    /// Prepares the socket of a start. `taken`: the number of the notification descriptor.
    fn give_socket(
        &mut self,
        of: Identity,
        (taken, files): (Option<u16>, u64),
        gift: &mut Gift,
    ) -> Result<(), Obstacle> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => NotifySocket::bind(of)?,
        };
        let socket = self.socket.insert(socket);
        socket.forget();
        let value = [VARIABLE.as_bytes(), b"=", &socket.address()].concat();
        gift.variables.extend(CString::new(value));
        let taken = taken.map_or(-1, RawFd::from);
        if taken == INHERITED {
            let text = format!(
                "notification-fd has the number {INHERITED} of its socket: what is sent while no \
                 supervisor runs is lost"
            );
            return Err(Obstacle::Told(text));
        }
        // If it may not have that number, it is the same.
        if (INHERITED as u64) < files {
            let copy = clear_of(fcntl_dupfd_cloexec(&*socket, 3)?, taken)?;
            gift.fds.push((copy, INHERITED));
        }
        Ok(())
    }

    /// Takes the messages of one turn. Without a run, nobody has said anything. The one that
    /// says that the run is ready is only looked at, until [`Ears::heed`]: should this process
    /// be killed before it has written that down, the successor finds the message.
    fn hear(&self, run: Option<Pid>) -> Messages {
        let mut heard = Messages::default();
        let mut buffer = [0; BYTES_MAX];
        let Some(socket) = &self.socket else {
            return heard;
        };
        for _ in 0..MESSAGES_MAX {
            if run.is_some() && self.notify.ready && !self.has_said {
                let seen = socket.look(&mut buffer);
                let said = seen.and_then(|seen| self.message(&seen, &buffer, run).ok());
                if let Some(said) = said.filter(|said| said.ready) {
                    heard.all.then(said);
                    heard.stays = true;
                    break;
                }
            }
            let Some(datagram) = socket.next(&mut buffer) else {
                break;
            };
            match self.message(&datagram, &buffer, run) {
                Ok(message) => {
                    heard
                        .barriers
                        .extend(datagram.fd.filter(|_| message.barrier));
                    heard.all.then(message);
                }
                Err(stranger) => heard.stranger = stranger.or(heard.stranger),
            }
        }
        heard.all.ready &= self.notify.ready;
        heard.all.status = heard.all.status.filter(|_| self.notify.status);
        heard
    }

    /// What a datagram says, or who has sent it in vain.
    fn message(
        &self,
        datagram: &Datagram,
        buffer: &[u8],
        run: Option<Pid>,
    ) -> Result<Message, Option<Sender>> {
        let sender = datagram.sender.ok_or(None)?;
        if !run.is_some_and(|run| self.notify.all || is_believed(sender, run)) {
            return Err(Some(sender));
        }
        let text = buffer.get(..datagram.bytes).filter(|_| datagram.is_whole);
        Ok(notify_message::decode(text.unwrap_or_default()))
    }

    /// What was heard is written down.
    fn heed(&mut self, heard: &Messages) {
        if let (true, Some(socket)) = (heard.stays, &self.socket) {
            self.has_said = true;
            let _seen = socket.next(&mut []);
        }
    }
}

impl Engine {
    /// What a run that is about to start gets to be heard.
    pub(super) fn give_voice(&mut self, id: Id, announce: Announce) -> Gift {
        let mut gift = Gift::default();
        let unit = self.units.get_mut(&id.unit);
        let Some(unit) = unit.filter(|_| id.role == Role::Main) else {
            return gift;
        };
        if announce == Announce::NONE && unit.ears.is_none() {
            return gift;
        }
        let files = self.launcher.files_of_child();
        let notify = announce.notify;
        let identity = notify.and_then(|_| unit.main.place().identity());
        let mut ears = unit.ears.take().unwrap_or_default();
        ears.pipe = None;
        (ears.is_deaf, ears.has_said, ears.has_told) = (false, false, false);
        ears.notify = notify.unwrap_or_default();
        let number = announce.notification_fd;
        let mut given = [Ok(()), Ok(())];
        if let Some(number) = number.filter(|number| *number > 0) {
            given[0] = ears.give_pipe(number, files, &mut gift);
        }
        if let Some(identity) = identity {
            given[1] = ears.give_socket(identity, (number, files), &mut gift);
        } else if let Some(socket) = ears.socket.take() {
            socket.close();
        }
        let hears = ears.pipe.is_some() || ears.socket.is_some() && ears.notify.ready;
        ears.is_deaf = announce.is_awaited() && number != Some(0) && !hears;
        unit.ears = Some(ears);
        for (name, outcome) in [NOTIFICATION_FD, NOTIFY].into_iter().zip(given) {
            match outcome {
                Err(Obstacle::Failed(e)) if self.makes_room(&e) => {
                    return self.give_voice(id, announce);
                }
                Err(Obstacle::Failed(e)) => {
                    let text = format!("{e}; started without");
                    self.tell_of_voice(id, name, Some(&text));
                }
                Err(Obstacle::Told(text)) => self.tell_of_voice(id, name, Some(&text)),
                Ok(()) => self.tell_of_voice(id, name, None),
            }
        }
        self.watch_voice(id.unit);
        gift
    }

    fn tell_of_voice(&mut self, id: Id, name: &'static str, obstacle: Option<&dyn Display>) {
        let (who, about) = (self.who, About::Voice(name));
        let text = obstacle.map(|obstacle| format!("{}/{name}: {obstacle}", self.title_of(id)));
        if let Some(half) = self.half(id) {
            match text {
                Some(text) => half.complain(who, about, text),
                None => half.is_well(about),
            }
        }
    }

    /// Watches what is held open to hear a service.
    pub(super) fn watch_voice(&mut self, unit: UnitId) {
        let Err(e) = self.try_to_watch(unit) else {
            return;
        };
        say::offer(self.who, format_args!("watch a notification: {e}"));
        let unit = self.units.get_mut(&unit);
        if let Some(ears) = unit.and_then(|unit| unit.ears.as_mut()) {
            ears.is_deaf = true;
        }
    }

    fn try_to_watch(&self, unit: UnitId) -> io::Result<()> {
        let ears = self.units.get(&unit).and_then(|unit| unit.ears.as_ref());
        let Some((_, [(_, pipe), (_, socket)])) = ears.map(|ears| ears.parts()) else {
            return Ok(());
        };
        let tokens = [Token::NotifyPipe(unit), Token::NotifySocket(unit)];
        for (token, fd) in tokens.into_iter().zip([pipe, socket]) {
            match fd.map(|fd| self.watch(fd, token)) {
                // A socket that goes on is watched already.
                Some(Err(e)) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// The answer to a start has been handed in: a run that nobody can hear is ready.
    pub(super) fn hear_nothing(&mut self, id: Id, pid: Pid) -> Option<Input> {
        let unit = self.units.get(&id.unit).filter(|_| id.role == Role::Main)?;
        let is_deaf = unit.ears.as_ref().is_some_and(|ears| ears.is_deaf);
        is_deaf.then_some(Input::Ready(id, pid, Source::Start))
    }

    /// Whose words are to be heard now, and by what: there may be no run. What a run says whose
    /// start was not answered yet waits.
    fn who_speaks(&mut self, unit: UnitId) -> Option<(Option<Pid>, &mut Ears)> {
        self.take_answers();
        let id = main_of(unit);
        if self.starting.is_expected(id) {
            return None;
        }
        let run = self.core.service(id).and_then(run_of);
        Some((run, self.units.get_mut(&unit)?.ears.as_mut()?))
    }

    /// Before a deadline takes effect: hears what the run has said, which may have waited for
    /// longer than that, if there was much else to do or this process was stopped. Returns
    /// whether that has put the deadline off.
    pub(super) fn hears_in_time(&mut self, now: Instant) -> bool {
        let Some(unit) = self.core.to_hear_out(now) else {
            return false;
        };
        self.hear_pipe(unit);
        self.hear_socket(unit);
        self.core.to_hear_out(now) != Some(unit)
    }

    /// Something has come through the notification pipe.
    pub(super) fn hear_pipe(&mut self, unit: UnitId) {
        let mut glass = std::mem::take(&mut self.glass);
        let heard = self.who_speaks(unit).and_then(|(run, ears)| {
            let heard = ears.pipe.as_ref()?.hear(&mut glass);
            if heard != Heard::Nothing {
                ears.pipe = None;
            }
            run.filter(|_| heard == Heard::Ready)
        });
        self.glass = glass;
        if let Some(pid) = heard {
            self.feed(Input::Ready(main_of(unit), pid, Source::Descriptor));
        }
    }

    /// Messages have come.
    pub(super) fn hear_socket(&mut self, unit_id: UnitId) {
        let Some((run, ears)) = self.who_speaks(unit_id) else {
            return;
        };
        let heard = ears.hear(run);
        let stranger = heard.stranger.filter(|_| run.is_some() && !ears.has_told);
        ears.has_told |= stranger.is_some();
        let id = main_of(unit_id);
        if let Some(Sender { pid, uid }) = stranger {
            let text = format!(
                "a message of process {pid} of user {uid} does not count; with the word all it would"
            );
            self.tell_of_voice(id, NOTIFY, Some(&text));
        }
        if let Some(pid) = run
            && !heard.all.is_empty()
        {
            self.feed(Input::Notified(id, pid, heard.all.clone()));
        }
        let unit = self.units.get_mut(&unit_id);
        if let Some(ears) = unit.and_then(|unit| unit.ears.as_mut()) {
            ears.heed(&heard);
        }
        drop(heard.barriers);
    }

    /// Takes over what the adopted run of a unit has to be heard by. What it said while no
    /// supervisor lived is heard next; that it has closed its notification descriptor, as it
    /// does after the newline, says that it is ready.
    pub(super) fn adopt_voice(&mut self, unit_id: UnitId, main: &mut Inheritance) {
        let id = main_of(unit_id);
        let pid = run_of(&main.service).filter(|_| main.adopted);
        let Some((pid, announce)) = pid.map(|pid| (pid, self.look_at_announce(id))) else {
            return;
        };
        let Some(unit) = self.units.get_mut(&unit_id) else {
            return;
        };
        let identity = unit.main.place().identity();
        let Some(identity) = identity.filter(|_| announce != Announce::NONE) else {
            return;
        };
        let mut ears = Ears {
            notify: announce.notify.unwrap_or_default(),
            ..Ears::default()
        };
        if announce.notify.is_some() {
            let pidfd = unit.main.pidfd.as_ref();
            let own = pidfd.and_then(|fd| NotifySocket::of_run(fd.as_fd(), identity));
            ears.socket = own.or_else(|| NotifySocket::bind(identity).ok());
        }
        if let Some(number) = announce.notification_fd.filter(|number| *number > 0) {
            let found = NotifyPipe::of_run(pid, number);
            if let Ok(None) = found {
                let closed = Event::Ready(pid, Source::Descriptor);
                main.missed.get_or_insert(closed);
            }
            ears.pipe = found.ok().flatten();
        }
        unit.ears = Some(Box::new(ears));
        self.watch_voice(unit_id);
    }
}

/// The process of `./run`, if it runs.
const fn run_of(service: &Service) -> Option<Pid> {
    match service.phase() {
        (Phase::Run, pid) if pid != 0 => Some(pid),
        _ => None,
    }
}

const fn main_of(unit: UnitId) -> Id {
    Id {
        unit,
        role: Role::Main,
    }
}

/// A descriptor by another number than those that the child gets.
fn clear_of(fd: OwnedFd, taken: RawFd) -> rustix::io::Result<OwnedFd> {
    if fd.as_raw_fd() != taken && fd.as_raw_fd() != INHERITED {
        return Ok(fd);
    }
    // The one at hand keeps its number until another is found.
    clear_of(fcntl_dupfd_cloexec(&fd, 3)?, taken)
}

/// Whether a sender may speak for a run. The socket is this service's alone, and only the
/// service is told of it; so all that matters is that nobody without rights over the service
/// speaks. A script's child that says so and ends at once is believed by its user.
fn is_believed(sender: Sender, run: Pid) -> bool {
    let users = [0, geteuid().as_raw()];
    sender.pid == run || users.contains(&sender.uid) || users_of(run).contains(&Some(sender.uid))
}

/// The real and the effective user of a process, as far as /proc tells.
fn users_of(pid: Pid) -> [Option<u32>; 2] {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let mut users = line.unwrap_or_default().split_whitespace();
    [(); 2].map(|()| users.next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_rights_over_a_run_speaks_for_it() {
        let run = std::process::id();
        let own = geteuid().as_raw();
        let other = if own == 65534 { 65533 } else { 65534 };
        for (pid, uid, is_it) in [
            (run, other, true),
            (0, own, true),
            (0, 0, true),
            (1, other, false),
            (0, other, false),
        ] {
            assert_eq!(is_believed(Sender { pid, uid }, run), is_it, "{pid} {uid}");
        }
        assert_eq!(users_of(run)[1], Some(own));
        assert_eq!(users_of(0), [None, None]);
    }

    #[test]
    fn what_the_child_gets_never_hides_what_it_gets_next() {
        let file = || OwnedFd::from(std::fs::File::open("/").unwrap());
        let first = file();
        let taken = first.as_raw_fd();
        let moved = clear_of(first, taken).unwrap();
        assert!(moved.as_raw_fd() != taken && moved.as_raw_fd() != INHERITED);
    }
}
