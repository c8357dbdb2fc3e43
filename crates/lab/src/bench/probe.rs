//! The service of the measurements: a static program of 200 bytes, the same for
//! all peers, so that "up" is the service's own word.
//!
//! It takes a list of steps and then calls pause(2) for ever. Most are of one step,
//! [`Step::Announce`]. It is machine code, written here byte by byte: a C library's
//! start would be most of what is measured.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Bytes of an announcement. Shorter than `PIPE_BUF`, so it arrives in one piece.
pub const ANNOUNCEMENT_BYTES: usize = 24;
/// What a service says that it is ready on.
pub const READY_FD: u32 = 3;

/// Where the program is mapped.
const BASE: u64 = 0x40_0000;
/// elf(5): the lengths of `Elf64_Ehdr` and of the one `Elf64_Phdr`.
const HEADERS: [u16; 2] = [64, 56];

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes 24 bytes to standard output: its pid and the boot clock as `struct
    /// timespec` (all of them 64 bits, the machine's order).
    Announce,
    /// Writes a newline to [`READY_FD`] and closes it.
    Ready,
    /// Lets so many milliseconds pass; below 2000.
    Rest(u32),
    /// TERM ends it no longer.
    HoldTerm,
    /// Waits for TERM, which is held.
    AwaitTerm,
    /// Ends with 0.
    End,
}

/// The steps of a service that is started, and nothing more.
pub const PLAIN: &[Step] = &[Step::Announce];

/// x86_64: the number of a system call is in eax, its arguments in rdi, rsi, rdx, r10.
const ROOM: &[u8] = &[0x48, 0x83, 0xec, 0x20]; // sub rsp, 32
const ANNOUNCE: &[u8] = &[
    0xb8, 0x27, 0x00, 0x00, 0x00, // mov eax, SYS_getpid
    0x0f, 0x05, // syscall
    0x48, 0x89, 0x04, 0x24, // mov [rsp], rax
    0xbf, 0x07, 0x00, 0x00, 0x00, // mov edi, CLOCK_BOOTTIME
    0x48, 0x8d, 0x74, 0x24, 0x08, // lea rsi, [rsp + 8]
    0xb8, 0xe4, 0x00, 0x00, 0x00, // mov eax, SYS_clock_gettime
    0x0f, 0x05, // syscall
    0xbf, 0x01, 0x00, 0x00, 0x00, // mov edi, 1
    0x48, 0x89, 0xe6, // mov rsi, rsp
    0xba, 0x18, 0x00, 0x00, 0x00, // mov edx, 24
    0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, SYS_write
    0x0f, 0x05, // syscall
];
const READY: &[u8] = &[
    0xc6,
    0x04,
    0x24,
    b'\n', // mov byte [rsp], 10
    0xbf,
    READY_FD as u8,
    0x00,
    0x00,
    0x00, // mov edi, 3
    0x48,
    0x89,
    0xe6, // mov rsi, rsp
    0xba,
    0x01,
    0x00,
    0x00,
    0x00, // mov edx, 1
    0xb8,
    0x01,
    0x00,
    0x00,
    0x00, // mov eax, SYS_write
    0x0f,
    0x05, // syscall
    0xb8,
    0x03,
    0x00,
    0x00,
    0x00, // mov eax, SYS_close
    0x0f,
    0x05, // syscall
];
/// With a `struct timespec` at rsp, which [`STORE`] puts there.
const REST: &[u8] = &[
    0x48, 0x89, 0xe7, // mov rdi, rsp
    0x31, 0xf6, // xor esi, esi
    0xb8, 0x23, 0x00, 0x00, 0x00, // mov eax, SYS_nanosleep
    0x0f, 0x05, // syscall
];
/// Before 32 bits: of seconds, and of nanoseconds.
const STORE: [&[u8]; 2] = [
    &[0x48, 0xc7, 0x04, 0x24],       // mov qword [rsp], ...
    &[0x48, 0xc7, 0x44, 0x24, 0x08], // mov qword [rsp + 8], ...
];
const HOLD_TERM: &[u8] = &[
    0x48, 0xc7, 0x04, 0x24, 0x00, 0x40, 0x00, 0x00, // mov qword [rsp], 1 << (SIGTERM - 1)
    0x31, 0xff, // xor edi, edi: SIG_BLOCK
    0x48, 0x89, 0xe6, // mov rsi, rsp
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8
    0xb8, 0x0e, 0x00, 0x00, 0x00, // mov eax, SYS_rt_sigprocmask
    0x0f, 0x05, // syscall
];
const AWAIT_TERM: &[u8] = &[
    0x48, 0xc7, 0x04, 0x24, 0x00, 0x40, 0x00, 0x00, // mov qword [rsp], 1 << (SIGTERM - 1)
    0x48, 0x89, 0xe7, // mov rdi, rsp
    0x31, 0xf6, // xor esi, esi
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov r10d, 8
    0xb8, 0x80, 0x00, 0x00, 0x00, // mov eax, SYS_rt_sigtimedwait
    0x0f, 0x05, // syscall
];
const END: &[u8] = &[
    0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, SYS_exit
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
];
const STAY: &[u8] = &[
    0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, SYS_pause
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp to the mov before
];

impl Step {
    fn code(self) -> Vec<u8> {
        match self {
            Self::Announce => ANNOUNCE.into(),
            Self::Ready => READY.into(),
            Self::Rest(ms) => {
                let [seconds, nanos] = [ms / 1000, ms % 1000 * 1_000_000].map(u32::to_le_bytes);
                [STORE[0], &seconds, STORE[1], &nanos, REST].concat()
            }
            Self::HoldTerm => HOLD_TERM.into(),
            Self::AwaitTerm => AWAIT_TERM.into(),
            Self::End => END.into(),
        }
    }
}

/// Writes the program.
pub fn write(path: &Path, steps: &[Step]) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("the service that is measured is machine code of x86_64; this is another processor");
    }
    fs::write(path, elf(steps)).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    Ok(())
}

/// The program as an ELF file: two headers, and the code behind them.
pub fn elf(steps: &[Step]) -> Vec<u8> {
    let mut code = ROOM.to_vec();
    code.extend(steps.iter().flat_map(|step| step.code()));
    code.extend_from_slice(STAY);
    let [ehdr, phdr] = HEADERS;
    let start = u64::from(ehdr + phdr);
    let size = start + code.len() as u64;
    let mut elf = Vec::new();
    // 64 bits, little endian, version 1, System V.
    elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let mut half = |values: &[u16]| values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    half(&[2, 62]); // ET_EXEC, EM_X86_64
    half(&[1, 0]); // the version, a word
    let mut long = |values: &[u64]| values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    long(&[BASE + start, u64::from(ehdr), 0]); // entry, program headers, no sections
    let mut half = |values: &[u16]| values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    half(&[0, 0, ehdr, phdr, 1, 0, 0, 0]);
    half(&[1, 0, 5, 0]); // PT_LOAD, readable and executable: words
    let mut long = |values: &[u64]| values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    long(&[0, BASE, BASE, size, size, 4096]);
    elf.extend_from_slice(&code);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::process::{Child, Command, Stdio};

    use crate::moment::Moment;
    use crate::sys;

    fn start(steps: &[Step]) -> (tempfile::TempDir, Child) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        write(&path, steps).unwrap();
        let child = Command::new(&path).stdout(Stdio::piped()).spawn().unwrap();
        (dir, child)
    }

    fn announcement(child: &mut Child) -> [u8; ANNOUNCEMENT_BYTES] {
        let mut said = [0; ANNOUNCEMENT_BYTES];
        let stdout = child.stdout.as_mut().unwrap();
        stdout.read_exact(&mut said).unwrap();
        said
    }

    #[test]
    fn announces_itself_and_stays() {
        let (_dir, mut child) = start(PLAIN);
        let said = announcement(&mut child);
        assert_eq!(said[..8], u64::from(child.id()).to_le_bytes());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn rests_and_ends() {
        let before = Moment::now();
        let (_dir, mut child) = start(&[Step::Rest(1001), Step::Announce, Step::End]);
        announcement(&mut child);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(Moment::now().since(before).as_millis() >= 1001);
    }

    #[test]
    fn hears_the_first_term_and_none_after_it() {
        let steps = [
            Step::HoldTerm,
            Step::Announce,
            Step::AwaitTerm,
            Step::Announce,
        ];
        let (_dir, mut child) = start(&steps);
        let first = announcement(&mut child);
        let term = || {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        };
        term();
        term();
        assert_ne!(announcement(&mut child), first);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn says_that_it_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        write(&path, &[Step::Ready, Step::End]).unwrap();
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let (mut read, pipe) = std::io::pipe().unwrap();
        let null = fs::File::create("/dev/null").unwrap();
        let pid = sys::vfork_exec(&path, null.as_fd(), Some(pipe.as_fd())).unwrap();
        drop(pipe);
        let mut said = Vec::new();
        read.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"\n");
        let pid = rustix::process::Pid::from_raw(pid);
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
    }
}
