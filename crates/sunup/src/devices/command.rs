//! Runs the command of a rule by `sh -c`, in /dev, with the event in its environment.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;

use model::format::uevent::Uevent;
use rustix::process::WaitStatus;

use super::Voice;
use crate::sys::bounded;
use crate::sys::spawn;

/// How a command ended, for messages.
pub fn outcome(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => String::from("goes on"),
    }
}

/// A command, and the variables that are added to mdev's own environment.
pub struct Command {
    text: Vec<u8>,
    variables: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Command {
    /// `node`: the name of the event's node, for `$MDEV`.
    pub fn new(text: &[u8], node: &[u8], event: &Uevent) -> Self {
        let mut variables = event.variables().to_vec();
        variables.retain(|(name, _)| name != b"MDEV");
        variables.push((b"MDEV".to_vec(), node.to_vec()));
        Self {
            text: text.to_vec(),
            variables,
        }
    }

    /// The text of the command, for messages.
    pub fn text(&self) -> String {
        self.text.escape_ascii().to_string()
    }

    /// Starts the command. The caller must reap it.
    pub fn start(&self) -> io::Result<spawn::Pid> {
        let environment = self.environment()?;
        let argv = [c"sh".into(), c"-c".into(), CString::new(self.text.clone())?];
        spawn::fork(|| {
            let e = spawn::exec(c"/bin/sh", &argv, Some(&environment));
            crate::say::line("mdev", format_args!("/bin/sh: start: {e}"));
            127
        })
    }

    /// Runs the command and waits for its end.
    pub fn run(&self, voice: Voice) {
        let pid = match self.start() {
            Ok(pid) => pid,
            Err(e) => return voice.say(format_args!("{}: start: {e}", self.text())),
        };
        let ended = bounded::wait(pid, None, &mut |_| {
            voice.say(format_args!(
                "{}: still running; the devices wait for it",
                self.text()
            ));
        });
        if let Ok(Some(status)) = ended {
            voice.detail(format_args!("{}: {}", self.text(), outcome(status)));
        }
    }

    fn environment(&self) -> io::Result<Vec<CString>> {
        let own = std::env::vars_os()
            .filter(|(name, _)| self.variables.iter().all(|(n, _)| n != name.as_bytes()))
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
        let event = self
            .variables
            .iter()
            .map(|(n, v)| [n, &b"="[..], v].concat());
        let all = own.chain(event).map(CString::new);
        Ok(all.collect::<Result<_, _>>()?)
    }
}
