//! Randomness that is kept from one boot to the next: what the last boot left is mixed into
//! the kernel's, and a new seed takes its place before that, so that none is used twice.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, fchmod, fsync, rename, statfs};

use super::teller::Teller;
use crate::sys::{file, random};

const SEED: &str = "/var/lib/random-seed";
const FRESH: &str = "/var/lib/.random-seed.new";
const DIR: &str = "/var/lib";
const DEVICE: &str = "/dev/urandom";
/// As much as the kernel's pool takes (random(4)).
const SEED_BYTES: usize = 512;
/// File systems in memory, which keep nothing: tmpfs, ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Uses the old seed, and writes a new one. `credit`: the kernel is told that nobody knows
/// the seed, and that it need not wait for other randomness.
pub fn renew(credit: bool, teller: &mut Teller) {
    let seed = file::open(Path::new(SEED), OFlags::RDONLY).and_then(|f| file::head(f, SEED_BYTES));
    let seed = match seed {
        Ok(seed) => seed,
        Err(e) => {
            teller.fail_unless_missing(SEED, &e);
            Vec::new()
        }
    };
    // A whole seed that nobody knows makes the next one as good, without a wait.
    let is_new = save(&seed, credit && seed.len() == SEED_BYTES, teller);
    if seed.is_empty() {
        return;
    }
    // A seed that may be used again is no secret.
    let mixed = if credit && is_new {
        random::add_secret(&seed)
    } else {
        file::open(Path::new(DEVICE), OFlags::WRONLY).and_then(|mut d| d.write_all(&seed))
    };
    if let Err(e) = mixed {
        teller.fail(format_args!("{DEVICE}: add the seed: {e}"));
    }
}

/// Writes a seed for the next boot, if there is a place that keeps it; false if there is none,
/// or it failed. `is_secret`: the old seed alone makes it unknown to all others.
pub fn save(old: &[u8], is_secret: bool, teller: &mut Teller) -> bool {
    match statfs(DIR) {
        Ok(place) if !IN_MEMORY.contains(&(place.f_type as u64)) => {}
        _ => {
            teller.detail(format_args!("{DIR}: keeps nothing; no seed is written"));
            return false;
        }
    }
    let written = write(old, is_secret);
    if let Err(e) = &written {
        teller.fail(format_args!("{SEED}: write: {e}"));
    }
    written.is_ok()
}

/// Early in a boot the kernel may have no randomness but the old seed: that is in the new one.
fn write(old: &[u8], is_secret: bool) -> io::Result<()> {
    let mut seed = vec![0; SEED_BYTES];
    if !is_secret || !random::fill_at_once(&mut seed) {
        seed = file::head(file::open(Path::new(DEVICE), OFlags::RDONLY)?, SEED_BYTES)?;
    }
    seed.iter_mut().zip(old).for_each(|(new, old)| *new ^= old);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    let mut fresh = File::from(file::open_at(CWD, Path::new(FRESH), flags, mode)?);
    fchmod(&fresh, mode)?;
    fresh.write_all(&seed)?;
    fsync(&fresh)?;
    Ok(rename(FRESH, SEED)?)
}
