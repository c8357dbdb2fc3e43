//! The kernel's randomness (random(4)).

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::OFlags;

use super::file;
use super::signal::check;

/// Mixes bytes into the kernel's randomness, and tells it that nobody knows them, so that it
/// need not wait for more.
pub fn add_secret(bytes: &[u8]) -> io::Result<()> {
    let device = file::open(Path::new("/dev/urandom"), OFlags::WRONLY)?;
    let request = libc::_IOW::<[i32; 2]>(u32::from(b'R'), 3);
    // struct rand_pool_info: the number of bits, that of bytes, and the bytes, in words.
    let mut info = vec![(bytes.len() * 8) as u32, bytes.len() as u32];
    for word in bytes.chunks(4) {
        let mut whole = [0; 4];
        whole
            .iter_mut()
            .zip(word)
            .for_each(|(to, from)| *to = *from);
        info.push(u32::from_ne_bytes(whole));
    }
    // SAFETY: the request reads the two numbers, and then as many bytes as the second says.
    check(unsafe { libc::ioctl(device.as_raw_fd(), request, info.as_ptr()) }).map(drop)
}

/// Fills `bytes` with what the kernel makes of the randomness that it has, and does not wait for
/// more, as a read of /dev/urandom does for up to a second early in a boot. `false` before Linux 5.6.
pub fn fill_at_once(bytes: &mut [u8]) -> bool {
    let (start, len) = (bytes.as_mut_ptr(), bytes.len());
    // SAFETY: the kernel writes at most `len` bytes, which are borrowed here.
    let filled = unsafe { libc::getrandom(start.cast(), len, libc::GRND_INSECURE) };
    usize::try_from(filled) == Ok(len)
}
