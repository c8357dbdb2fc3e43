//! A boot of lab's own: a machine that hands its record over.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use model::boot_summary::Boot;
use model::format::boot_record::{HEADER, Record};

use super::Subject;
use crate::boot::{self, Booted, Options};
use crate::machine::{Event, Machine};
use crate::moment::Moment;
use crate::report::Marks;

/// Makes `rootfs/etc/runit/report` send the record, too.
const WORD: &str = "SUNUP_RECORD=1";
/// How long all may take to be up, after the first login.
const PATIENCE: Duration = Duration::from_mins(5);

/// Boots, and keeps the record in a file if one is named.
pub fn boot(options: &Options, keep: Option<&Path>) -> Result<Subject> {
    let lab = std::env::current_exe().context("find lab's own binary")?;
    let (booted, record, _) = record_of(options, &lab)?;
    if let Some(path) = keep {
        std::fs::write(path, &record).with_context(|| format!("write {}", path.display()))?;
    }
    let on = booted
        .kernel
        .map_or_else(String::new, |kernel| format!(" on {kernel}"));
    let Some(record) = Record::decode(&record) else {
        bail!("what the machine sent is not the record of a boot");
    };
    Ok(Subject {
        name: format!("sunup in {}{on}", booted.host.name()),
        boot: Boot::of(&record),
    })
}

/// A machine that has booted, the record that it wrote, and what it told of its times.
pub fn record_of(options: &Options, lab: &Path) -> Result<(Booted, Vec<u8>, Marks)> {
    let mut options = options.clone();
    options.append = format!("{WORD} {}", options.append);
    let mut booted = boot::start(&options, lab)?;
    let mut marks = Marks::default();
    boot::measure(&mut booted.machine, &mut marks)?;
    let record = receive(&mut booted.machine)?;
    Ok((booted, record, marks))
}

/// The lines of the record, up to the one that ends it.
fn receive(machine: &mut Machine) -> Result<Vec<u8>> {
    let deadline = Moment::now().after(PATIENCE);
    let mut record = Vec::new();
    loop {
        match machine.next(&[], Some(deadline))? {
            Event::Result { line, .. } if line == "record: end" => return Ok(record),
            Event::Result { line, .. } => {
                if record.is_empty() && line.as_bytes() != HEADER.trim_ascii_end() {
                    bail!("no record of the boot, but: {line}");
                }
                record.extend_from_slice(line.as_bytes());
                record.push(b'\n');
            }
            Event::End(end) => bail!("no record: the machine {end}; {}", machine.tail()),
            Event::Timeout => bail!("no record within {PATIENCE:?}; {}", machine.tail()),
            Event::Console(_) | Event::Other(_) => {}
        }
    }
}
