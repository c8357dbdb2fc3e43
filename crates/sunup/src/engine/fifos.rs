//! The fifos `control` and `ok` of `supervise`, by which a supervisor is commanded and known
//! to live.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, OFlags, linkat, renameat, unlinkat};
use rustix::io::Errno;

use super::site::Site;
use crate::sys::descriptors::aside;
use crate::sys::guarded;

/// Both, open.
pub struct Fifos {
    /// Open for both directions.
    pub control: OwnedFd,
    /// Only where `ok` could not be a link to `control`.
    pub ok: Option<OwnedFd>,
}

impl Fifos {
    /// Makes and opens them, once more if the names do not lead to what they should.
    pub fn open(site: Site) -> Result<Self, (&'static str, io::Error)> {
        let home = site.home;
        let in_control = |e: io::Error| ("open supervise/control", e);
        // Open for both directions: the fifo never reports end of file.
        let open = || fifo(site, c"supervise/control", OFlags::RDWR).map_err(in_control);
        let (mut control, is_new) = open()?;
        let link = link_ok(home, &control).ok();
        let mut is_linked = link.is_some();
        // Both names of a fifo that was made just now lead to it, on any file system.
        let is_certain = is_new && link == Some(Link::Made);
        if is_linked && !is_certain && !is_heard(home) {
            for name in [c"supervise/ok", c"supervise/control"] {
                let _replaced = unlinkat(home, name, AtFlags::empty());
            }
            control = open()?.0;
            is_linked = link_ok(home, &control).is_ok() && is_heard(home);
        }
        let separate = || {
            fifo(site, c"supervise/ok", OFlags::RDONLY)
                .and_then(|(ok, _)| Ok(aside(ok)?))
                .map_err(|e| ("open supervise/ok", e))
        };
        let ok = (!is_linked).then(separate).transpose()?;
        let control = aside(control).map_err(|e| in_control(e.into()))?;
        Ok(Self { control, ok })
    }

    /// Without the mark `sv` does not look for those that stop first; they do so all the
    /// same. Where `ok` is a fifo of its own, `sv` always looks.
    pub fn mark(&self, is_marked: bool) {
        let _told = guarded::mark_fifo(&self.control, is_marked);
    }

    /// Whether both names still lead to what is open.
    pub fn are_in_place(&self) -> bool {
        match &self.ok {
            // One of them, by both names.
            None => guarded::has_two_names(&self.control),
            Some(ok) => !guarded::is_removed(&self.control) && !guarded::is_removed(ok),
        }
    }
}

/// Whether opening `ok` reaches the reader of `control`.
fn is_heard(home: BorrowedFd) -> bool {
    guarded::fifo(home, c"supervise/ok", OFlags::WRONLY).is_ok()
}

/// Opens a fifo, and makes it first unless it exists; the second value: it was made.
/// Anything else of that name is replaced, such as the regular file that
/// `echo d >control` makes where there is no fifo.
fn fifo(site: Site, name: &CStr, access: OFlags) -> io::Result<(OwnedFd, bool)> {
    let home = site.home;
    let make = || site.make_fifo(name);
    let first = make();
    let is_there = first == Err(Errno::EXIST);
    match guarded::fifo(home, name, access) {
        Err(e) if is_there && guarded::stands_in_the_way(e) => {
            unlinkat(home, name, AtFlags::empty())?;
            make()?;
            Ok((guarded::fifo(home, name, access)?, true))
        }
        opened => Ok((opened?, first.is_ok())),
    }
}

/// How `ok` came to be another name of `control`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    /// There was none.
    Made,
    /// It was there, as far as the inode tells, or took another file's place.
    Found,
}

/// Makes `ok` a link to the open `control`, replacing what is there.
fn link_ok(home: BorrowedFd, control: &OwnedFd) -> io::Result<Link> {
    let link = linkat(
        home,
        c"supervise/control",
        home,
        c"supervise/ok",
        AtFlags::empty(),
    );
    if link.is_ok() {
        return Ok(Link::Made);
    }
    if guarded::is_at(home, c"supervise/ok", control) {
        return Ok(Link::Found);
    }
    let _left_over = unlinkat(home, c"supervise/ok.new", AtFlags::empty());
    linkat(
        home,
        c"supervise/control",
        home,
        c"supervise/ok.new",
        AtFlags::empty(),
    )?;
    renameat(home, c"supervise/ok.new", home, c"supervise/ok")?;
    Ok(Link::Found)
}
