//! The service of the measurements: a static program of 200 bytes, the same for
//! all peers, so that "up" is the service's own word.
//!
//! Its first act is to write 24 bytes to standard output: its pid and the boot
//! clock as `struct timespec` (all of them 64 bits, the machine's order). Then
//! it calls pause(2) for ever. It is machine code, written here byte by byte: a
//! C library's start would be most of what is measured.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Bytes of an announcement. Shorter than `PIPE_BUF`, so it arrives in one piece.
pub const ANNOUNCEMENT_BYTES: usize = 24;

/// Where the program is mapped.
const BASE: u64 = 0x40_0000;
/// elf(5): the lengths of `Elf64_Ehdr` and of the one `Elf64_Phdr`.
const HEADERS: [u16; 2] = [64, 56];

/// x86_64: the number of a system call is in eax, its arguments in rdi, rsi, rdx.
const CODE: &[u8] = &[
    0x48, 0x83, 0xec, 0x20, // sub rsp, 32
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
    0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, SYS_pause
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp to the mov before
];

/// Writes the program.
pub fn write(path: &Path) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("the service that is measured is machine code of x86_64; this is another processor");
    }
    fs::write(path, elf()).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    Ok(())
}

/// The program as an ELF file: two headers, and the code behind them.
pub fn elf() -> Vec<u8> {
    let [ehdr, phdr] = HEADERS;
    let start = u64::from(ehdr + phdr);
    let size = start + CODE.len() as u64;
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
    elf.extend_from_slice(CODE);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn announces_itself_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        write(&path).unwrap();
        let mut child = Command::new(&path).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; ANNOUNCEMENT_BYTES];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut said)
            .unwrap();
        assert_eq!(said[..8], u64::from(child.id()).to_le_bytes());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
