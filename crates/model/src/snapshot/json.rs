//! A snapshot as JSON (docs/json.md): keys are added in time, and never change or go.

use super::Snapshot;
use crate::format::json::Object;
use crate::format::state::last::Last;
use crate::time::Instant;

/// The object, without an end of line. `now` is on the boot clock, by which the next start
/// in a crash loop is told.
pub fn object(seen: &Snapshot, now: Instant) -> Object {
    let mut json = Object::new();
    add(&mut json, seen, now);
    json
}

/// As [`object`], after keys that are there already.
pub fn add(json: &mut Object, seen: &Snapshot, now: Instant) {
    json.bytes("name", &seen.name);
    json.bytes("dir", &seen.dir);
    json.text("state", seen.state().word());
    json.boolean("enabled", seen.enabled);
    if let Some(supervised) = seen.supervised {
        json.boolean("supervised", supervised);
    }
    if let Some(pid) = seen.pid() {
        json.number("pid", pid);
    }
    if let Some(since) = seen.since() {
        json.time("since", since);
    }
    if let Some(status) = seen.status.filter(|_| seen.supervised != Some(false)) {
        json.text("want", if status.want_up { "up" } else { "down" });
        json.boolean("paused", status.paused);
        json.boolean("got_term", status.got_term);
    }
    if let Some(normally_up) = seen.normally_up {
        json.text("normally", if normally_up { "up" } else { "down" });
    }
    if let Some(at) = seen.ready_since() {
        json.time("ready_since", at);
    }
    if let Some(name) = seen.waits_for() {
        json.text("waits_for", name);
    }
    if let Some(ended) = seen.last() {
        json.number("restarts", ended.restarts);
        json.object("last", &last(ended));
    }
    if let Some(crash_loop) = seen.crash_loop {
        let mut object = Object::new();
        object.number("tries", crash_loop.lives);
        if let Some(next) = crash_loop.next {
            object.number("next_ms", next.ms_since(now) as i64);
        }
        json.object("crash_loop", &object);
    }
    if let Some(text) = seen.told() {
        json.text("text", text);
    }
    if let Some(usage) = seen.usage {
        json.number("memory_bytes", usage.memory_bytes as i64);
        if let Some(cpu_ms) = usage.cpu_ms {
            json.number("cpu_ms", cpu_ms as i64);
        }
    }
    if let Some(trouble) = &seen.trouble {
        json.text("trouble", trouble);
    }
    if let Some(log) = &seen.log {
        json.object("log", &object(log, now));
    }
}

fn last(last: &Last) -> Object {
    let (code, status) = last.exit.finish_args();
    let mut json = Object::new();
    json.text("result", last.outcome.word());
    match last.exit.signal() {
        Some(signal) => json.number("signal", signal),
        None if status == 0 && code >= 0 => json.number("code", code),
        None => &mut json,
    };
    json.time("at", last.at);
    if let Some(ms) = last.lived_ms {
        json.number("lived_ms", i64::try_from(ms).unwrap_or(i64::MAX));
    }
    json.boolean("given_up", last.given_up);
    json
}
