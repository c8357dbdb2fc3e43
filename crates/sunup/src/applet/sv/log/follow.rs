//! Follows logs: inotify tells of each write and rotation in their directories. Once in a
//! while each log is looked at without that, because not every change is told: a directory
//! may be replaced by a link, and some file systems tell nothing.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::show::Show;
use super::source::Source;
use crate::sys::clock::timespec;

/// How often each log is looked at if nothing is told (ns).
const LOOK_NS: u64 = 1_000_000_000;

/// The watches of the directories.
struct Watches {
    inotify: Option<OwnedFd>,
    /// Of the directory of each log.
    of: Vec<Option<i32>>,
}

/// Prints what comes, until nobody reads it any more.
pub fn run(sources: &mut [Source], show: &mut Show) {
    let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
    let mut watches = Watches {
        inotify: inotify::init(flags).ok(),
        of: Vec::new(),
    };
    // What came before the watches is not told.
    let mut touched = watches.renew(sources);
    while print(sources, touched, show) {
        match watches.wait() {
            Some(found) => touched = found,
            None => return,
        }
        if touched.is_empty() {
            touched = watches.renew(sources);
        }
    }
}

/// Prints what these have, also what was written after a rotation.
fn print(sources: &mut [Source], mut touched: Vec<usize>, show: &mut Show) -> bool {
    while !touched.is_empty() {
        if !show.drain(sources, &touched, false) {
            return false;
        }
        touched.retain(|number| sources.get_mut(*number).is_some_and(Source::is_turned_over));
    }
    true
}

impl Watches {
    /// Watches each directory by its present path; returns all services.
    fn renew(&mut self, sources: &[Source]) -> Vec<usize> {
        let events = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        let inotify = self.inotify.as_ref();
        let watch = |source: &Source| inotify::add_watch(inotify?, source.dir(), events).ok();
        let old = std::mem::replace(&mut self.of, sources.iter().map(watch).collect());
        for old in old {
            let is_over = !self.of.contains(&old);
            if let (Some(old), Some(inotify), true) = (old, inotify, is_over) {
                // Unless the directory is gone, and the watch with it.
                let _gone = inotify::remove_watch(inotify, old);
            }
        }
        (0..sources.len()).collect()
    }

    /// The services to be looked at; none: the time has passed. `None`: nobody reads what is
    /// printed.
    fn wait(&self) -> Option<Vec<usize>> {
        let stdout = rustix::stdio::stdout();
        let inotify = self.inotify.iter().map(|fd| PollFd::new(fd, PollFlags::IN));
        let mut fds = vec![PollFd::from_borrowed_fd(stdout, PollFlags::empty())];
        fds.extend(inotify);
        // Whatever it returns, the sources are looked at next.
        let _told = poll(&mut fds, Some(&timespec(LOOK_NS)));
        let is_over = |fd: &PollFd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP);
        (!fds.first().is_some_and(is_over)).then(|| self.read())
    }

    fn read(&self) -> Vec<usize> {
        let mut touched = Vec::new();
        let Some(inotify) = &self.inotify else {
            return touched;
        };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(inotify, &mut buffer);
        while let Ok(event) = events.next() {
            let is_vague = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            for (number, watch) in self.of.iter().enumerate() {
                let is_meant = is_vague || *watch == Some(event.wd());
                if is_meant && !touched.contains(&number) {
                    touched.push(number);
                }
            }
        }
        touched
    }
}
