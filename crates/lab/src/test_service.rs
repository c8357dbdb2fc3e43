//! A service for tests that does what its words say, one after another:
//!
//! - `log FILE`: from here on, what happens is told in lines at the end of FILE
//! - `note TEXT`: such a line
//! - `after MS`: lets the time pass
//! - `newline FD`: ready, on a descriptor, which is closed then
//! - `notify TEXT`: a message to NOTIFY_SOCKET
//! - `barrier`: waits until all messages before it have been dealt with
//! - `ignore SIGNAL`: from here on
//! - `until SIGNAL`: waits for it
//! - `stay`: waits for its end
//! - `exit CODE`, `die SIGNAL`: the end; it is `exit 0` behind the last word
//!
//! Every signal that comes is told. One that is neither waited for nor ignored does
//! what it does to a program that knows nothing of it.

use std::convert::Infallible;
use std::env;
use std::fs::OpenOptions;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::sys;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
};
use signal_hook::consts::signal;
use signal_hook::iterator::Signals;

/// The end if its words are wrong, or cannot be done.
const WRONG: u8 = 100;

/// Those that have names here; others are numbers, and `RTMIN+N`.
const NAMES: [(&str, i32); 11] = [
    ("ALRM", signal::SIGALRM),
    ("CONT", signal::SIGCONT),
    ("HUP", signal::SIGHUP),
    ("INT", signal::SIGINT),
    ("KILL", signal::SIGKILL),
    ("QUIT", signal::SIGQUIT),
    ("TERM", signal::SIGTERM),
    ("USR1", signal::SIGUSR1),
    ("USR2", signal::SIGUSR2),
    ("WINCH", signal::SIGWINCH),
    ("ABRT", signal::SIGABRT),
];
/// They end nobody.
const HARMLESS: [i32; 2] = [signal::SIGCONT, signal::SIGWINCH];
/// How many of them there are behind RTMIN that are listened to.
const REAL_TIME: i32 = 16;

fn main() -> ExitCode {
    let done = Service::new().and_then(|mut service| service.play(env::args().skip(1)));
    ExitCode::from(done.unwrap_or_else(|e| {
        eprintln!("test-service: {e:#}");
        WRONG
    }))
}

struct Service {
    heard: Receiver<i32>,
    ignored: Vec<i32>,
    log: Option<String>,
}

impl Service {
    fn new() -> Result<Self> {
        let named = NAMES.iter().map(|(_, number)| *number);
        let first = libc::SIGRTMIN();
        let all = named.chain(first..first + REAL_TIME);
        let mut signals = Signals::new(all.filter(|number| *number != signal::SIGKILL))?;
        let (tell, heard) = channel();
        thread::spawn(move || signals.forever().try_for_each(|signal| tell.send(signal)));
        Ok(Self {
            heard,
            ignored: Vec::new(),
            log: None,
        })
    }

    /// Does what the words say; the exit code.
    fn play(&mut self, mut words: impl Iterator<Item = String>) -> Result<u8> {
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word}: what?"));
            match word.as_str() {
                "log" => self.log = Some(value()?),
                "note" => self.note(&value()?)?,
                "after" => {
                    let time = Duration::from_millis(value()?.parse()?);
                    self.wait(Some(Instant::now() + time), None)?;
                }
                "newline" => newline(value()?.parse()?)?,
                "notify" => notify(&value()?)?,
                "barrier" => barrier()?,
                "ignore" => self.ignored.push(number(&value()?)?),
                "until" => self.wait(None, Some(number(&value()?)?))?,
                "stay" => self.wait(None, None)?,
                "exit" => return Ok(value()?.parse()?),
                "die" => drop(die(number(&value()?)?)?),
                _ => bail!("{word}: there is no such word"),
            }
        }
        Ok(0)
    }

    fn note(&self, text: &str) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut file = OpenOptions::new().append(true).create(true).open(log)?;
        // One write, for others write there, too.
        file.write_all(format!("{text}\n").as_bytes())
            .context("tell what happens")
    }

    /// Waits for a moment, or a signal.
    fn wait(&mut self, until: Option<Instant>, wanted: Option<i32>) -> Result<()> {
        loop {
            let heard = match until {
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    match self.heard.recv_timeout(left) {
                        Err(RecvTimeoutError::Timeout) => return Ok(()),
                        other => other?,
                    }
                }
                None => self.heard.recv()?,
            };
            self.note(&name(heard))?;
            if wanted == Some(heard) {
                return Ok(());
            }
            if !self.ignored.contains(&heard) && !HARMLESS.contains(&heard) {
                die(heard)?;
            }
        }
    }
}

fn number(name: &str) -> Result<i32> {
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let number = match name.strip_prefix("RTMIN+") {
        Some(behind) => libc::SIGRTMIN() + behind.parse::<i32>()?,
        None => name.parse()?,
    };
    Ok(number)
}

fn name(number: i32) -> String {
    match NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => (*name).to_owned(),
        None => format!("RTMIN+{}", number - libc::SIGRTMIN()),
    }
}

fn newline(fd: i32) -> Result<()> {
    let fd = sys::inherited(fd)?;
    io::copy(&mut &b"\n"[..], &mut std::fs::File::from(fd)).context("say that it is ready")?;
    Ok(())
}

fn socket() -> Result<String> {
    env::var("NOTIFY_SOCKET").context("NOTIFY_SOCKET")
}

fn address() -> Result<SocketAddrUnix> {
    let path = socket()?;
    Ok(match path.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        None => SocketAddrUnix::new(path)?,
    })
}

fn notify(text: &str) -> Result<()> {
    send(text.as_bytes(), &mut SendAncillaryBuffer::default())
}

fn send(text: &[u8], with: &mut SendAncillaryBuffer) -> Result<()> {
    let socket = UnixDatagram::unbound()?;
    let to = address()?;
    let text = [IoSlice::new(text)];
    sendmsg_addr(&socket, &to, &text, with, SendFlags::empty()).context("notify")?;
    Ok(())
}

/// The other end of a pipe goes with the message, and is closed when it was read.
fn barrier() -> Result<()> {
    let (mut read, write) = io::pipe()?;
    let fds = [write.as_fd()];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = SendAncillaryBuffer::new(&mut room);
    with.push(SendAncillaryMessage::ScmRights(&fds));
    send(b"BARRIER=1", &mut with)?;
    drop(write);
    read.read_to_end(&mut Vec::new()).context("barrier")?;
    Ok(())
}

fn die(signal: i32) -> Result<Infallible> {
    sys::take_by_default(signal);
    // It may come to another thread, a moment later.
    thread::sleep(Duration::from_secs(1));
    bail!("signal {signal} does not end it")
}
