//! Lines that go to another machine by UDP.

use std::fs;
use std::net::UdpSocket;

use super::super::common::{Fixture, patience};
use super::{Logger, compare, current};

#[test]
fn lines_go_by_udp() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let receiver = UdpSocket::bind(address).unwrap();
        receiver.set_read_timeout(Some(patience())).unwrap();
        let to = receiver.local_addr().unwrap();
        let fixture = Fixture::new(&[("log/config", &format!("u{to}\npP: \n-*x*\n"))]);
        let mut logger = Logger::on(&fixture, &["-l8", "-b30"]);
        logger.feed(b"hello\nxx\n0123456789abcdef\n\n");
        assert!(logger.end().0.success());
        let mut got = Vec::new();
        for _ in 0..3 {
            let mut buffer = [0; 100];
            let n = receiver.recv(&mut buffer).unwrap();
            got.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
        }
        assert_eq!(got, ["P: hello\n", "P: 01234567...\n", "P: \n"]);
        assert_eq!(current(&fixture), b"P: hello\nP: 0123456789abcdef\nP: \n");
    }
}

#[test]
fn udp_that_fails_goes_to_the_log() {
    // Broadcasting needs a permission the socket has not.
    let fixture = compare("U255.255.255.255:9\n", &[], b"a\nb\n");
    let want = "warning: failure sending through udp: a\nwarning: failure sending through udp: b\n";
    assert_eq!(
        fs::read_to_string(fixture.path("tested/current")).unwrap(),
        want
    );
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = receiver.local_addr().unwrap();
    compare(&format!("U{to}\n"), &[], b"a\nb\n");
}
