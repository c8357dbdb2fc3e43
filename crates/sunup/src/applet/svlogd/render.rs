//! Decides about one line: whether it is logged, what it looks like, and whether it also
//! goes to standard error and by UDP.

use model::format::stamp::Stamp;
use model::format::svlogd_config::Config;
use model::format::tai64n::Tai64n;
use model::lines::body;

use super::remote::Remote;

/// Turns lines into what is written.
pub struct Render {
    config: Config,
    stamp: Option<Stamp>,
    line_max: usize,
    remote: Option<Remote>,
    /// Whether the line that has begun is logged.
    logging: bool,
    /// Stamp and prefix, and their time.
    opening: Vec<u8>,
    opening_of: Option<Tai64n>,
    message: Vec<u8>,
}

/// The rendered lines of a block.
#[derive(Default)]
pub struct Rendered {
    /// For `current`.
    pub log: Vec<u8>,
    /// For standard error.
    pub alerts: Vec<u8>,
}

impl Render {
    /// For a log with this config.
    pub fn new(stamp: Option<Stamp>, line_max: usize, config: Config) -> Self {
        Self {
            stamp,
            line_max,
            remote: config.remote.map(Remote::new),
            logging: !config.remote_only,
            config,
            opening: Vec::new(),
            opening_of: None,
            message: Vec::new(),
        }
    }

    /// Adds a piece that continues the last line.
    pub fn rest(&self, piece: &[u8], out: &mut Rendered) {
        if self.logging {
            out.log.extend_from_slice(piece);
        }
    }

    /// Adds a line that arrived at `time`, or the start of a long one.
    pub fn line(&mut self, line: &[u8], time: Tai64n, out: &mut Rendered) {
        self.open(time);
        let whole = body(line);
        let head = whole.get(..self.line_max).unwrap_or(whole);
        let verdict = self.config.selection.judge(head);
        self.logging = verdict.log && !self.config.remote_only;
        if verdict.alert || (verdict.log && self.remote.is_some()) {
            self.compose(head, head.len() < whole.len());
        }
        if verdict.alert {
            out.alerts.extend_from_slice(&self.message);
        }
        if verdict.log
            && let Some(remote) = &mut self.remote
            && !remote.send(&self.message)
        {
            out.log
                .extend_from_slice(b"warning: failure sending through udp: ");
            out.log.extend_from_slice(&self.message);
        }
        if self.logging {
            out.log.extend_from_slice(&self.opening);
            out.log.extend_from_slice(line);
        }
    }

    fn open(&mut self, time: Tai64n) {
        if self.opening_of == Some(time) {
            return;
        }
        self.opening_of = Some(time);
        self.opening.clear();
        if let Some(stamp) = self.stamp {
            stamp.encode(time, &mut self.opening);
        }
        self.opening.extend_from_slice(&self.config.prefix);
    }

    /// Composes the line for standard error and UDP, cut to `line_max`.
    fn compose(&mut self, head: &[u8], cut: bool) {
        self.message.clear();
        self.message.extend_from_slice(&self.opening);
        self.message.extend_from_slice(head);
        self.message
            .extend_from_slice(if cut { b"...\n" } else { b"\n" });
    }
}
