//! Becoming another user, for good.
//!
//! rustix changes the credentials of a thread only; libc changes those of the
//! process.

use std::io;

use super::signal::check;

/// What could not be done, and why.
pub type Fault = (&'static str, io::Error);

/// Takes on the user and the groups, as real, effective and saved ones, drops
/// all other groups, and makes sure that there is no way back.
pub fn assume(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Fault> {
    let step = |what, result| check(result).map(drop).map_err(|e| (what, e));
    // SAFETY: `groups` is valid for its length; the other calls take numbers only.
    unsafe {
        step(
            "set the groups",
            libc::setgroups(groups.len(), groups.as_ptr()),
        )?;
        step("set the group", libc::setresgid(gid, gid, gid))?;
        step("set the user", libc::setresuid(uid, uid, uid))?;
    }
    confirm(uid, gid).map_err(|e| ("give up privileges", e))
}

/// A process that kept the capability to change users could become root again.
fn confirm(uid: u32, gid: u32) -> io::Result<()> {
    let (mut users, mut groups) = ([u32::MAX; 3], [u32::MAX; 3]);
    let ([r, e, s], [rg, eg, sg]) = (&mut users, &mut groups);
    // SAFETY: six valid places to write to.
    unsafe {
        check(libc::getresuid(r, e, s))?;
        check(libc::getresgid(rg, eg, sg))?;
    }
    let taken = users == [uid; 3] && groups == [gid; 3];
    // SAFETY: takes a number only.
    let back = uid != 0 && unsafe { libc::setresuid(0, 0, 0) } == 0;
    if taken && !back {
        Ok(())
    } else {
        Err(io::Error::other("root could be had back"))
    }
}
