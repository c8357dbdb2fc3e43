//! `DIR/backoff`: whether a service asks for delays that grow. It is read when a
//! gap between two short lives begins, and at no other time: nothing is held
//! open, and a change counts from the next gap on.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use model::format::backoff;
use model::restart::LONGEST_S_DEFAULT;
use model::supervisor::{Id, Input};
use rustix::fs::{Mode, OFlags};

use super::Engine;
use super::half::About;
use crate::sys::file;

impl Engine {
    /// The longest delay that a service asks for. What cannot be understood is
    /// said, once, and the default holds: somebody wants delays that grow.
    pub(super) fn look_at_backoff(&mut self, id: Id) -> Input {
        let read = self.half(id).map(|half| read(half.home()));
        let longest_s = match read {
            None => None,
            Some(Ok(longest_s)) => {
                if let Some(half) = self.half(id) {
                    half.is_well(About::Backoff);
                }
                longest_s
            }
            Some(Err(reason)) => {
                let title = self.title_of(id);
                let who = self.who;
                let text =
                    format!("{title}/backoff: {reason}; taken for {LONGEST_S_DEFAULT} seconds");
                if let Some(half) = self.half(id) {
                    half.complain(who, About::Backoff, text);
                }
                Some(LONGEST_S_DEFAULT)
            }
        };
        Input::BackoffSeen(id, longest_s)
    }
}

/// `None` if there is no such file; an error says what is wrong with it.
fn read(home: BorrowedFd) -> Result<Option<u32>, String> {
    let opened = file::open_at(home, Path::new("backoff"), OFlags::RDONLY, Mode::empty());
    let content = match opened {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.and_then(|fd| file::all_of(File::from(fd), backoff::BYTES_MAX)),
    };
    let content = content.map_err(|e| e.to_string())?;
    match backoff::decode(&content) {
        Ok(longest_s) => Ok(Some(longest_s)),
        Err(mistake) => Err(format!("line {}: {}", mistake.line, mistake.reason)),
    }
}
