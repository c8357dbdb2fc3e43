//! The pipe that services announce themselves on, and the wish of the user to stop.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::probe::ANNOUNCEMENT_BYTES;
use crate::moment::{Moment, timespec};

/// Room for what all services announce at once: 43,000 of them.
const PIPE_BYTES: usize = 1 << 20;

/// Readable when somebody wants lab to stop: then all waiting here is an error,
/// and what was started is ended on the way out.
pub struct Interrupt(UnixStream);

impl Interrupt {
    /// From here on HUP, INT and TERM end no process but are heard.
    pub fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Self(read))
    }

    /// Lets `time` pass.
    pub fn rest(&self, time: Duration) -> Result<()> {
        let until = Moment::now().after(time);
        self.check()?;
        while Moment::now() < until {
            self.wait(None, until)?;
        }
        Ok(())
    }

    /// An error if lab is to stop.
    pub fn check(&self) -> Result<()> {
        self.wait(None, Moment::now())
    }

    /// Waits for `other` to become readable, at most `until`.
    fn wait(&self, other: Option<&PipeReader>, until: Moment) -> Result<()> {
        let mut fds = vec![PollFd::new(&self.0, PollFlags::IN)];
        fds.extend(other.map(|fd| PollFd::new(fd, PollFlags::IN)));
        let time = timespec(until.since(Moment::now()));
        match poll(&mut fds, Some(&time)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e).context("wait for services"),
        }
        if fds.first().is_some_and(|fd| !fd.revents().is_empty()) {
            bail!("stopped by a signal");
        }
        Ok(())
    }
}

/// What a service says when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Its process.
    pub pid: Pid,
    /// When, by its own clock.
    pub at: Moment,
}

/// The reading end.
pub struct Ear<'a> {
    interrupt: &'a Interrupt,
    read: PipeReader,
    write: PipeWriter,
    heard: VecDeque<Announcement>,
}

impl<'a> Ear<'a> {
    /// A pipe of its own for each tree, so that no service of another is heard.
    pub fn new(interrupt: &'a Interrupt) -> Result<Self> {
        let (read, write) = io::pipe().context("make a pipe")?;
        rustix::pipe::fcntl_setpipe_size(&write, PIPE_BYTES).context("widen a pipe")?;
        Ok(Self {
            interrupt,
            read,
            write,
            heard: VecDeque::new(),
        })
    }

    /// What is to be the services' standard output.
    pub fn mouth(&self) -> &PipeWriter {
        &self.write
    }

    /// The user's wish to stop.
    pub fn interrupt(&self) -> &'a Interrupt {
        self.interrupt
    }

    /// The next announcement; `None` when there is none until then.
    pub fn hear(&mut self, until: Moment) -> Result<Option<Announcement>> {
        loop {
            if let Some(announcement) = self.heard.pop_front() {
                return Ok(Some(announcement));
            }
            if !self.read_some()? {
                if Moment::now() >= until {
                    return Ok(None);
                }
                self.interrupt.wait(Some(&self.read), until)?;
            }
        }
    }

    /// Takes what is in the pipe; whether there was something.
    fn read_some(&mut self) -> Result<bool> {
        let waiting = rustix::io::ioctl_fionread(self.read.as_fd())?;
        let whole = waiting as usize / ANNOUNCEMENT_BYTES * ANNOUNCEMENT_BYTES;
        let mut bytes = vec![0; whole];
        self.read.read_exact(&mut bytes)?;
        let announcements = bytes.chunks_exact(ANNOUNCEMENT_BYTES).filter_map(parse);
        self.heard.extend(announcements);
        Ok(whole > 0)
    }
}

fn parse(bytes: &[u8]) -> Option<Announcement> {
    let (words, _) = bytes.as_chunks::<8>();
    let [pid, seconds, nanos] = words else {
        return None;
    };
    let [pid, seconds, nanos] = [pid, seconds, nanos].map(|w| u64::from_le_bytes(*w));
    Some(Announcement {
        pid: Pid::from_raw(i32::try_from(pid).ok()?)?,
        at: Moment::on_boot_clock(Duration::new(seconds, u32::try_from(nanos).ok()?)),
    })
}
