//! The moments and offsets are from `TZ=... date -d @N +%z`, of glibc and Debian's tzdata.

use super::*;
use alloc::vec::Vec;

const CENTRAL_EUROPE: &[u8] = b"CET-1CEST,M3.5.0,M10.5.0/3";

#[test]
fn rules() {
    for (text, at, hours) in [
        (CENTRAL_EUROPE, 1_774_745_999, 1),
        (CENTRAL_EUROPE, 1_774_746_000, 2),
        (CENTRAL_EUROPE, 1_792_889_999, 2),
        (CENTRAL_EUROPE, 1_792_890_000, 1),
        // After 2038, and after the time of 32 bits without a sign.
        (CENTRAL_EUROPE, 4_118_000_400, 2),
        (CENTRAL_EUROPE, 4_103_000_000, 1),
        // The south: summer at the turn of the year.
        (b"AEST-10AEDT,M10.1.0,M4.1.0/3", 1_767_225_600, 11),
        (b"AEST-10AEDT,M10.1.0,M4.1.0/3", 1_783_000_000, 10),
        (b"EST5EDT", 1_783_000_000, -4),
        (b"EST5EDT", 1_767_225_600, -5),
        (b"<-03>3", 0, -3),
        (b"UTC0", i64::MAX, 0),
        // 29 February has no number of the first kind, and one of the second.
        (b"XST0XDT-2,J60/0,J61/0", 1_709_251_199, 0),
        (b"XST0XDT-2,J60/0,J61/0", 1_709_251_200, 2),
        (b"XST0XDT-2,59/0,60/0", 1_709_164_800, 2),
        // At 25 o'clock, and before midnight.
        (b"IST-2IDT,M3.4.4/26,M10.5.0", 1_774_569_599, 2),
        (b"IST-2IDT,M3.4.4/26,M10.5.0", 1_774_569_600, 3),
        (b"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1_774_746_000, -1),
    ] {
        let shown = core::str::from_utf8(text).unwrap();
        assert_eq!(
            offset_s_by_rule(text, at),
            Some(hours * 3600),
            "{shown} {at}"
        );
    }
    assert_eq!(offset_s_by_rule(b"LMT-0:53:28", 0), Some(3208));
}

#[test]
fn what_is_no_rule() {
    for text in [
        "",
        "CET",
        "CE-1",
        "CET-25",
        "CET-1:60",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3x",
        "CET-1CEST,J0,J1",
        "<CET-1",
        "Europe/Berlin",
        "CET-1CEST,M3.5.0,M10.5.0/168",
    ] {
        assert_eq!(offset_s_by_rule(text.as_bytes(), 0), None, "{text}");
    }
}

/// A block with changes at 100 and 200 to the second and the first kind.
fn block(version: u8, time_bytes: usize) -> Vec<u8> {
    let mut out = Vec::from(MAGIC);
    out.push(version);
    out.extend([0; RESERVED_BYTES]);
    for count in [0_u32, 0, 1, 2, 2, 4] {
        out.extend(count.to_be_bytes());
    }
    for time in [100_i64, 200] {
        out.extend(time.to_be_bytes().get(8 - time_bytes..).unwrap());
    }
    out.extend([1, 0]);
    for offset in [-3600_i32, 7200] {
        out.extend(offset.to_be_bytes());
        out.extend([0, 0]);
    }
    out.extend(b"ABC\0");
    out.extend([0; 12].get(..time_bytes + 4).unwrap());
    out
}

#[test]
fn files() {
    let old = block(0, 4);
    let new = [&block(b'2', 4)[..], &block(b'2', 8), b"\nXST-5\n"].concat();
    for (at, old_offset, new_offset) in [
        (i64::MIN, -3600, -3600),
        (99, -3600, -3600),
        (100, 7200, 7200),
        (199, 7200, 7200),
        (200, -3600, 18_000),
        (i64::MAX, -3600, 18_000),
    ] {
        assert_eq!(offset_s(&old, at), Some(old_offset), "{at}");
        assert_eq!(offset_s(&new, at), Some(new_offset), "{at}");
    }
    for cut in 0..old.len() {
        assert_eq!(offset_s(old.get(..cut).unwrap(), 0), None, "{cut}");
    }
    // Without a rule the last change holds.
    let without = new.strip_suffix(b"XST-5\n").unwrap();
    assert_eq!(offset_s(without, 200), Some(-3600));
}
