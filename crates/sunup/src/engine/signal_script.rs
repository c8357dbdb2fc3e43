//! `runsvdir -s SCRIPT`: a program that is told of each signal before the
//! supervisor acts on it, as in busybox.
//!
//! Supervision goes on meanwhile: the script is a child like any other, and its
//! end is what the signal waits for. Which code it ends with is of no concern.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;

use model::service::Pid;
use model::supervisor::Input;
use rustix::event::epoll;

use super::{Engine, Token};
use crate::say;
use crate::sys::signal::{self, Signal, SignalFd};
use crate::sys::spawn;

/// What process 1 is told by busybox's halt and Ctrl-Alt-Del, beside TERM (reboot)
/// and USR2 (poweroff).
const MACHINE: [Signal; 2] = [signal::SIGINT, signal::SIGUSR1];

/// The script, and the signals that wait for it.
pub struct SignalScript {
    script: CString,
    running: Option<(Pid, Signal)>,
    /// Signals whose turn comes when the script has ended: each number once.
    pending: Vec<Signal>,
}

impl Engine {
    /// Runs `script`, which is looked for in PATH if it holds no slash, for each
    /// signal from now on. Process 1 hears more of them, and only the script
    /// ends it.
    ///
    /// # Errors
    /// A NUL in the name, or no descriptor to be had for the signals.
    pub fn tell_of_signals(&mut self, script: &[u8]) -> io::Result<()> {
        let script = CString::new(script)?;
        if is_process_1() {
            let all = [super::signals(), &MACHINE].concat();
            let few = std::mem::replace(&mut self.signals, SignalFd::new(&all)?);
            epoll::delete(&self.epoll, few)?;
            self.watch(self.signals.as_fd(), Token::Signals)?;
        }
        self.signal_script = Some(SignalScript {
            script,
            running: None,
            pending: Vec::new(),
        });
        Ok(())
    }

    /// A signal came: the script is told first, if there is one. Told the same
    /// again, a process that may end waits for the script no longer.
    pub(super) fn signalled(&mut self, signal: Signal) {
        let Some(hook) = self
            .signal_script
            .as_mut()
            .filter(|_| !self.core.is_ending())
        else {
            return self.act_on(signal);
        };
        match hook.running {
            Some((_, running)) if running == signal && !is_process_1() => self.act_on(signal),
            Some(_) if hook.pending.contains(&signal) => {}
            Some(_) => hook.pending.push(signal),
            None => self.start_notice(signal),
        }
    }

    /// Whether the script runs, and a signal waits for it.
    pub(super) fn is_telling(&self) -> bool {
        self.signal_script
            .as_ref()
            .is_some_and(|n| n.running.is_some())
    }

    fn start_notice(&mut self, signal: Signal) {
        let Some(hook) = &mut self.signal_script else {
            return;
        };
        let Ok(number) = CString::new(signal.to_string()) else {
            return;
        };
        let (who, launcher) = (self.who, &self.launcher);
        let argv = [hook.script.clone(), number];
        let script = &hook.script;
        let forked = spawn::fork(|| {
            launcher.give_files_limit_back();
            let e = spawn::exec_in_path(script, &argv);
            let name = script.as_bytes().escape_ascii();
            say::offer(who, format_args!("start {name} for signal {signal}: {e}"));
            127
        });
        match forked {
            Ok(pid) => hook.running = Some((pid as Pid, signal)),
            Err(e) => {
                let name = hook.script.as_bytes().escape_ascii();
                say::offer(who, format_args!("start {name} for signal {signal}: {e}"));
                self.act_on(signal);
            }
        }
    }

    /// A child that is no service's ended: if it is the script, its signal is
    /// acted on, and those that came meanwhile have their turn.
    pub(super) fn signal_script_ended(&mut self, pid: Pid) {
        let Some(hook) = &mut self.signal_script else {
            return;
        };
        let Some((_, signal)) = hook.running.take_if(|(running, _)| *running == pid) else {
            return;
        };
        let pending = std::mem::take(&mut hook.pending);
        if !self.core.is_ending() {
            self.act_on(signal);
        }
        for signal in pending {
            self.signalled(signal);
        }
    }

    fn act_on(&mut self, signal: Signal) {
        // The script is the end of a machine; without one this is a container's process 1.
        let endless = is_process_1() && self.signal_script.is_some();
        match signal {
            signal::SIGHUP if endless => self.feed(Input::StopEach),
            signal::SIGHUP => self.feed(Input::HangUp),
            // INT comes to process 1 alone: Ctrl-C in a container.
            signal::SIGTERM | signal::SIGINT if !endless => self.feed(Input::Terminate),
            signal::SIGUSR2 if !endless => self.begin_upgrade(),
            _ => {}
        }
    }
}

pub(super) fn is_process_1() -> bool {
    std::process::id() == 1
}
