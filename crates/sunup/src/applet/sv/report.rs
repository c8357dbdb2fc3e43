//! `sv status`: a line for each service, in the order in which they were named.

use model::format::status::Phase;

use super::client::{Service, Trouble};
use super::output::Output;
use super::parts::{self, Reported};

/// Reports on all.
pub fn status(names: &[&[u8]]) -> Reported {
    parts::report(names, &mut Output::new(), &ask_all)
}

fn ask_all(names: &[&[u8]], out: &mut Output) -> Reported {
    let mut reported = Reported {
        failed: 0,
        lsb_code: 4,
    };
    for name in names {
        let (text, ok, hint) = match report(name, out) {
            Ok((phase, text, log_ok)) => {
                reported.lsb_code = if phase == Phase::Down { 3 } else { 0 };
                (text, log_ok, None)
            }
            Err(trouble) => (trouble.line(name), false, trouble.hint(name)),
        };
        reported.failed += u32::from(!ok);
        out.say(&text);
        if let Some(hint) = hint {
            out.hint(&hint);
        }
    }
    reported
}

/// The phase and the line of a service, and whether its log service, if any, is well.
fn report(name: &[u8], out: &mut Output) -> Result<(Phase, Vec<u8>, bool), Trouble> {
    let service = Service::named(name)?;
    let status = service.status()?;
    let entries = service.entries();
    let mut text = service.describe(name, &status, entries, out);
    let mut log_ok = true;
    let log = service.log(entries);
    let log = log.and_then(|log| log.map(|log| Ok((log.status()?, log))).transpose());
    match log {
        Ok(None) => text.push(b'\n'),
        Ok(Some((status, log))) => {
            text.extend_from_slice(b"; ");
            text.extend(log.describe(b"log", &status, log.entries(), out));
            text.push(b'\n');
        }
        Err(trouble) => {
            log_ok = false;
            text.extend_from_slice(b"; ");
            text.extend(trouble.line(&[name, b"/log"].concat()));
        }
    }
    Ok((status.phase, text, log_ok))
}
