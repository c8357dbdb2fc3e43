//! Throughput of loggers: lines of 100 bytes through a pipe, as fast as they are taken.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, bail};

use super::lives::Bench;
use super::measures::What;
use super::peers::{Peer, Stamp};
use crate::moment::Moment;

const LINE_BYTES: usize = 100;
/// The stamps, and what they measure.
pub const STAMPS: [(Stamp, What); 3] = [
    (Stamp::Plain, What::LogPlain),
    (Stamp::Tai64n, What::LogTai64n),
    (Stamp::Human, What::LogHuman),
];

/// A mebibyte of lines, and a little more, so that it is whole lines.
fn block() -> Vec<u8> {
    let lines = (1_usize << 20).div_ceil(LINE_BYTES);
    let line = |i: usize| {
        let number = format!("{i:05} ");
        [number.as_bytes(), &[b'.'; LINE_BYTES - 7], b"\n"].concat()
    };
    (0..lines).flat_map(line).collect()
}

impl Bench<'_> {
    /// One logger from its start to its end.
    pub fn log(&mut self, peer: &Peer, stamp: Stamp, what: What) -> Result<()> {
        let dir = tempfile::Builder::new()
            .prefix("lab-bench-")
            .tempdir_in(&self.place)?;
        let Some(mut command) = peer.logger(stamp, dir.path())? else {
            return Ok(());
        };
        let block = block();
        let start = Moment::now();
        let mut logger = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("run {command:?}"))?;
        let mut pipe = logger
            .stdin
            .take()
            .ok_or_else(|| anyhow!("no pipe to a logger"))?;
        for _ in 0..self.effort.log_mib {
            self.interrupt.check()?;
            pipe.write_all(&block).context("write to a logger")?;
        }
        drop(pipe);
        let status = logger.wait()?;
        let seconds = Moment::now().since(start).as_secs_f64();
        if !status.success() {
            bail!("logger: {status}");
        }
        let megabytes = f64::from((self.effort.log_mib * block.len() / 1000) as u32) / 1e3;
        self.results.add(what, 0, peer.name, megabytes / seconds);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole() {
        let block = block();
        assert_eq!(block.len() % LINE_BYTES, 0);
        assert!(block.chunks(LINE_BYTES).all(|line| line.ends_with(b".\n")));
    }
}
