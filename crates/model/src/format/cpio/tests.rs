//! Archives: golden bytes, round trips, and what is no archive.

use super::*;
use alloc::vec;

fn inode<'a>(names: &[&'a [u8]], perm: u32, node: Node<'a>) -> Inode<'a> {
    let names = names.iter().map(|n| Cow::Borrowed(*n)).collect();
    Inode { names, perm, node }
}

fn file(data: &[u8]) -> Node<'_> {
    Node::File(Cow::Borrowed(data))
}

fn bytes(inodes: &[Inode]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(inodes, 0, |piece| out.extend_from_slice(piece)).unwrap();
    out
}

fn refused(inodes: &[Inode]) -> Reason {
    encode(inodes, 0, |_| ()).unwrap_err().reason
}

fn everything() -> Vec<Inode<'static>> {
    let tty = Device { major: 5, minor: 1 };
    let disk = Device {
        major: 259,
        minor: 0xf_ffff,
    };
    vec![
        inode(&[b"a"], 0o755, Node::Directory),
        inode(&[b"a-b"], 0o4755, file(b"#!/bin/sh\n")),
        inode(&[b"a/console"], 0o600, Node::Char(tty)),
        inode(&[b"a/disk"], 0o660, Node::Block(disk)),
        inode(&[b"a/one", b"z"], 0o640, file(b"linked")),
        inode(&[b"a/pipe"], 0o622, Node::Fifo),
        inode(&[b"a/socket"], 0o777, Node::Socket),
        inode(&[b"empty"], 0o644, file(b"")),
        inode(
            &[b"odd \xff\n name"],
            0o777,
            Node::Symlink(b"\xfe /x"[..].into()),
        ),
        inode(&[b"tmp"], 0o1777, Node::Directory),
    ]
}

/// GNU cpio 2.13 wrote this (`-H newc --reproducible -R 0:0`, mtime 0); it numbers inodes
/// from 0.
#[test]
fn golden_bytes() {
    let got = bytes(&[inode(&[b"hi"], 0o644, file(b"abcde"))]);
    let mut want = Vec::new();
    want.extend_from_slice(b"07070100000001000081A4000000000000000000000001");
    want.extend_from_slice(b"0000000000000005");
    want.extend_from_slice(b"00000000000000000000000000000000");
    want.extend_from_slice(b"0000000300000000hi\0\0\0\0abcde\0\0\0");
    want.extend_from_slice(b"070701000000000000000000000000000000000000000100000000");
    want.extend_from_slice(b"00000000000000000000000000000000000000000000000B00000000");
    want.extend_from_slice(b"TRAILER!!!\0\0\0\0");
    want.resize(512, 0);
    assert!(got == want, "{}", got.escape_ascii());
}

#[test]
fn round_trip() {
    let all = everything();
    let archive = bytes(&all);
    assert_eq!(archive.len() % 512, 0);
    assert_eq!(decode(&archive).unwrap(), all);
}

#[test]
fn order_of_input_does_not_matter() {
    let mut all = everything();
    let archive = bytes(&all);
    all.reverse();
    for i in &mut all {
        i.names.reverse();
    }
    assert_eq!(bytes(&all), archive);
}

#[test]
fn data_goes_with_the_last_link() {
    let archive = bytes(&[inode(&[b"a", b"b", b"c"], 0o644, file(b"data"))]);
    let mut at = 0;
    for (want, size) in [(b"a", 0), (b"b", 0), (b"c", 4)] {
        let raw = entry(&archive, at).unwrap();
        let header = raw.header;
        assert_eq!(raw.name, want);
        assert_eq!((header.size, header.nlink, header.ino), (size, 3, 1));
        at = raw.end;
    }
}

#[test]
fn data_with_the_first_link_is_read_too() {
    let mut archive = Vec::new();
    let mut sink = |piece: &[u8]| archive.extend_from_slice(piece);
    let mut out = Out {
        sink: &mut sink,
        written: 0,
    };
    let link = Header {
        ino: 7,
        mode: 0o100_644,
        nlink: 2,
        ..Header::default()
    };
    out.entry(Header { size: 4, ..link }, b"a", b"data");
    out.entry(link, b"b", b"");
    out.entry(Header::default(), TRAILER, b"");
    let want = inode(&[b"a", b"b"], 0o644, file(b"data"));
    assert_eq!(decode(&archive).unwrap(), [want]);
}

#[test]
fn names_that_would_not_arrive_are_refused() {
    for bad in [&b""[..], b"/a", b"a/", b"a//b", b".", b"a/../b", b"a\0b"] {
        assert_eq!(refused(&[inode(&[bad], 0, Node::Fifo)]), Reason::BadName);
    }
    let long = [b'x'; NAME_BYTES_MAX + 1];
    assert_eq!(refused(&[inode(&[&long], 0, Node::Fifo)]), Reason::TooLong);
    let far = Node::Symlink(Cow::Borrowed(&long));
    assert_eq!(refused(&[inode(&[b"l"], 0, far)]), Reason::TooLong);
    assert_eq!(
        refused(&[inode(&[TRAILER], 0, Node::Fifo)]),
        Reason::Reserved
    );
    assert_eq!(refused(&[inode(&[], 0, Node::Fifo)]), Reason::NoName);
    assert_eq!(
        refused(&[inode(&[b"a/b"], 0, Node::Fifo)]),
        Reason::NoParent
    );
    let twice = inode(&[b"a", b"a"], 0, Node::Fifo);
    assert_eq!(refused(&[twice]), Reason::Duplicate);
    let under_a_file = [
        inode(&[b"a"], 0, file(b"")),
        inode(&[b"a/b"], 0, Node::Fifo),
    ];
    assert_eq!(refused(&under_a_file), Reason::NoParent);
}

#[test]
fn the_longest_name_fits() {
    let long = [b'x'; NAME_BYTES_MAX];
    let one = [inode(&[&long], 0o600, file(b"x"))];
    assert_eq!(decode(&bytes(&one)).unwrap(), one);
}

#[test]
fn four_gibibytes_do_not_fit() {
    assert_eq!(number(b"f", u64::from(u32::MAX)), Ok(u32::MAX));
    let error = number(b"f", 1 << 32).unwrap_err();
    assert_eq!(error.reason, Reason::TooBig);
}

#[test]
fn any_cut_is_an_error() {
    let archive = bytes(&everything());
    let (mut at, mut trailer_end) = (0, 0);
    while trailer_end == 0 {
        let raw = entry(&archive, at).unwrap();
        trailer_end = if raw.name == TRAILER { raw.end } else { 0 };
        at = raw.end;
    }
    // Only the padding after the name of the trailer may be missing.
    for len in 0..trailer_end - 3 {
        assert!(decode(&archive[..len]).is_err(), "{len}");
    }
}

#[test]
fn garbage_is_named_with_its_place() {
    let mut archive = bytes(&[inode(&[b"hi"], 0o644, file(b"abcde"))]);
    archive[6] = b'x';
    let want = DecodeError {
        offset: 0,
        what: "a bad digit",
    };
    assert_eq!(decode(&archive), Err(want));
    archive[0] = b'1';
    assert_eq!(decode(&archive).unwrap_err().what, "no newc magic 070701");
}
