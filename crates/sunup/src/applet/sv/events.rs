//! What tells that something may have happened to a service that is waited for:
//! watches of its files, the fifo that its supervisor holds, and the ends of
//! checks. It costs the same for one service and for a thousand.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::sys::signal::{SIGCHLD, SignalFd};

/// How often to look where the kernel gives no descriptor or watch (ns).
pub const LOOK_NS: u64 = 100_000_000;
/// Ready descriptors taken from the kernel at a time.
const EVENTS_MAX: usize = 256;

/// In the epoll set; every other number is a service's.
const INOTIFY: u64 = u64::MAX;
const CHILDREN: u64 = u64::MAX - 1;

/// The sources of news.
pub struct Events {
    epoll: Option<OwnedFd>,
    inotify: Option<OwnedFd>,
    children: Option<SignalFd>,
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
    /// Nothing is watched yet. What the kernel does not give is done without.
    pub fn new() -> Self {
        let events = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).ok(),
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
            children: SignalFd::new(&[SIGCHLD]).ok(),
            owners: HashMap::new(),
        };
        if let Some(inotify) = &events.inotify {
            events.listen(inotify, INOTIFY, epoll::EventFlags::IN);
        }
        if let Some(children) = &events.children {
            events.listen(children, CHILDREN, epoll::EventFlags::IN);
        }
        events
    }

    /// Whether the file is watched for the service from now on.
    pub fn watch(&mut self, service: usize, path: &Path, events: WatchFlags) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let watch = inotify::add_watch(inotify, path, events).ok();
        if let Some(watch) = watch {
            self.owners.entry(watch).or_default().push(service);
        }
        watch.is_some()
    }

    /// Whether the end of the service's supervisor will be told: its lifeline
    /// asks for no event, for errors come unasked. Closing it is the end of that.
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
            // Whatever it answers, everything is looked at next.
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
                CHILDREN => news.child_ended = true,
                service => news.touched.push(service as usize),
            }
        }
        while self.children.as_ref().is_some_and(|c| c.next().is_some()) {
            news.child_ended = true;
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

fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    }
}
