//! Events of the services that sv waits for: watches of their files, the fifos that their
//! supervisors hold open, and the ends of checks. dnotify reports a new status, because
//! closing it costs nothing. inotify reports everything else, and also the status if many
//! services are watched, if there is no dnotify, or if an inotify is open anyway.

use std::collections::{BTreeMap, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, epoll, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::service_entries;
use crate::sys::clock::timespec;
use crate::sys::dnotify;
use crate::sys::signal::{self, SIGCHLD, SIGIO, SignalFd};

/// How often to look if the kernel gives no descriptor or watch (ns).
pub const LOOK_NS: u64 = 100_000_000;
/// Ready descriptors taken from the kernel at a time.
const EVENTS_MAX: usize = 256;

/// At most so many directories are watched by dnotify. It reports each write in them,
/// three for each new status: for more directories these looks cost more than closing an
/// inotify.
const DIRS_MAX: usize = 32;

/// In the epoll set; every other number is a service's.
const INOTIFY: u64 = u64::MAX;
const SIGNALS: u64 = u64::MAX - 1;

/// The sources of news.
pub struct Events {
    epoll: Option<OwnedFd>,
    /// Made when it is needed.
    inotify: Option<OwnedFd>,
    signals: Option<SignalFd>,
    /// Directories of which a signal tells while they are open, by service,
    dirs: BTreeMap<usize, OwnedFd>,
    /// and whose each is: the signal names its number.
    services: HashMap<RawFd, usize>,
    dirs_max: usize,
    /// Whose a watch is: a service that is named twice has it twice.
    owners: HashMap<i32, Vec<usize>>,
}

/// What happened, as far as the kernel tells.
#[derive(Default)]
pub struct News {
    /// The numbers of services; they may come more than once.
    pub touched: Vec<usize>,
    /// Anything may have happened: the kernel has dropped events, or gives none.
    pub is_vague: bool,
    /// A child ended.
    pub child_ended: bool,
}

impl Events {
    /// Nothing is watched yet. It works without what the kernel does not give, and opens
    /// at most `spare` directories.
    pub fn new(spare: usize) -> Self {
        let mut events = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).ok(),
            inotify: None,
            signals: SignalFd::new(&[SIGCHLD, SIGIO, signal::queued()]).ok(),
            dirs: BTreeMap::new(),
            services: HashMap::new(),
            dirs_max: spare.min(DIRS_MAX),
            owners: HashMap::new(),
        };
        if let Some(signals) = &events.signals {
            events.listen(signals, SIGNALS, epoll::EventFlags::IN);
        }
        if spare == 0 {
            // While there is a descriptor for it.
            events.need_inotify();
        }
        events
    }

    /// Watches for a new status; whether it can. Reading it must not be among the
    /// events: we do it ourselves.
    pub fn watch_status(&mut self, service: usize, home: impl AsFd, dir: &Path) -> bool {
        // Replaces an earlier watch that reports too much, our own looks included.
        if self.inotify.is_none()
            && self.signals.is_some()
            && self.dirs.len() < self.dirs_max
            && let Ok(dir) = service_entries::open(home, Path::new("supervise"))
            && dnotify::tell(dir.as_fd(), signal::queued()).is_ok()
        {
            self.services.insert(dir.as_raw_fd(), service);
            self.dirs.insert(service, dir);
            return true;
        }
        // runit's runsv renames; ours writes in place.
        let written = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        self.watch(service, &dir.join("supervise"), written)
    }

    /// Ends the watch of a service's status.
    pub fn forget(&mut self, service: usize) {
        if let Some(dir) = self.dirs.remove(&service) {
            self.services.remove(&dir.as_raw_fd());
        }
    }

    /// Watches for the reading of commands; whether it can.
    pub fn watch_reading(&mut self, service: usize, dir: &Path) -> bool {
        self.watch(
            service,
            &dir.join("supervise/control"),
            WatchFlags::ACCESS | WatchFlags::DONT_FOLLOW,
        )
    }

    /// Whether the file is watched for the service from now on.
    pub fn watch(&mut self, service: usize, path: &Path, events: WatchFlags) -> bool {
        self.need_inotify();
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let watch = inotify::add_watch(inotify, path, events).ok();
        if let Some(watch) = watch {
            self.owners.entry(watch).or_default().push(service);
        }
        watch.is_some()
    }

    fn need_inotify(&mut self) {
        if self.inotify.is_none() {
            let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
            self.inotify = inotify::init(flags).ok();
            if let Some(inotify) = &self.inotify {
                self.listen(inotify, INOTIFY, epoll::EventFlags::IN);
            }
        }
    }

    /// Whether the kernel will report the end of the service's supervisor. The lifeline
    /// asks for no event, because epoll always reports errors. Closing it ends the watch.
    pub fn guard(&self, service: usize, lifeline: &OwnedFd) -> bool {
        self.listen(lifeline, service as u64, epoll::EventFlags::empty())
    }

    fn listen(&self, fd: impl std::os::fd::AsFd, token: u64, events: epoll::EventFlags) -> bool {
        let data = epoll::EventData::new_u64(token);
        let epoll = self.epoll.as_ref();
        epoll.is_some_and(|epoll| epoll::add(epoll, fd, data, events).is_ok())
    }

    /// Waits for news, at most for that time.
    pub fn wait(&mut self, timeout_ns: u64) -> News {
        let mut news = News::default();
        let Some(epoll) = &self.epoll else {
            // Whatever it returns, everything is looked at next.
            let _ = poll(&mut [], Some(&timespec(timeout_ns.min(LOOK_NS))));
            news.is_vague = true;
            return news;
        };
        let mut ready = Vec::with_capacity(EVENTS_MAX);
        let _ = epoll::wait(
            epoll,
            spare_capacity(&mut ready),
            Some(&timespec(timeout_ns)),
        );
        for event in ready {
            match event.data.u64() {
                INOTIFY => self.read_watches(&mut news),
                SIGNALS => {}
                service => news.touched.push(service as usize),
            }
        }
        // The next wait reports the rest.
        let next = || self.signals.as_ref().and_then(SignalFd::next);
        for delivered in std::iter::from_fn(next).take(EVENTS_MAX) {
            match (delivered.signal, self.services.get(&delivered.fd)) {
                (SIGCHLD, _) => news.child_ended = true,
                (SIGIO, _) => news.is_vague = true,
                // None: it was forgotten meanwhile.
                (_, service) => news.touched.extend(service),
            }
        }
        news
    }

    /// As [`Events::wait`], for news of watches alone.
    pub fn wait_for_watches(&mut self, timeout_ns: u64) -> News {
        let mut news = News::default();
        let inotify = self.inotify.iter();
        let mut fds: Vec<_> = inotify.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let _ = poll(&mut fds, Some(&timespec(timeout_ns)));
        self.read_watches(&mut news);
        news
    }

    fn read_watches(&self, news: &mut News) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let Some(inotify) = &self.inotify else { return };
        let mut events = inotify::Reader::new(inotify, &mut buffer);
        while let Ok(event) = events.next() {
            let kind = event.events();
            let is_other_file = kind.intersects(ReadFlags::MOVED_TO | ReadFlags::CLOSE_WRITE)
                && event.file_name().is_some_and(|name| name != c"status");
            if kind.contains(ReadFlags::QUEUE_OVERFLOW) {
                news.is_vague = true;
            } else if !is_other_file {
                let owners = self.owners.get(&event.wd());
                news.touched.extend(owners.into_iter().flatten());
            }
        }
    }
}
