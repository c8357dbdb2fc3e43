//! Programs of others that read what a supervisor writes, or what sv says:
//! Prometheus' exporter, ansible's module for runit, and Debian's own sv.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::guest::{By, Guest, by_both, on_the_shared};

by_both![prometheus, ansible];

/// The exporter reads `supervise/status` by itself.
const EXPORTER: &str = "prometheus-node-exporter --collector.disable-defaults --collector.runit \
    --collector.runit.servicedir=/etc/service --web.listen-address=127.0.0.1:9199 \
    >/run/exporter.log 2>&1 </dev/null & exporter=$!; \
    await 'curl -s http://127.0.0.1:9199/metrics >/run/metrics'; kill $exporter; \
    grep ^node_service_ /run/metrics";

/// The seconds since 1970 of a status: TAI, from ten seconds earlier on.
const CHANGED: &str = "python3 -c \"import struct; \
    print(struct.unpack('>Q', open('/etc/service/dnsmasq/supervise/status', 'rb').read(8))[0] - 2**62 - 10)\"";

fn prometheus(guest: &mut Guest) {
    guest.sh("sv start dnsmasq tinydns && sv stop mini-httpd && sv once tinydns");
    guest.sh("await 'sv status tinydns | grep \"want down\"'");
    let metrics = guest.sh(EXPORTER);
    let changed: i64 = guest.sh(CHANGED).parse().unwrap();
    guest.sh("sv up tinydns; sv start mini-httpd");
    let metrics: BTreeMap<&str, i64> = metrics
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name, value.parse::<f64>().unwrap() as i64))
        .collect();
    let value = |name: &str, service: &str| {
        let key = format!("node_service_{name}{{service=\"{service}\",supervisor=\"runit\"}}");
        *metrics
            .get(key.as_str())
            .unwrap_or_else(|| panic!("no {key}: {metrics:#?}"))
    };
    // state, desired state, normal state: 1 is up.
    for (service, states) in [
        ("dnsmasq", [1, 1, 1]),
        ("mini-httpd", [0, 0, 1]),
        ("tinydns", [1, 0, 1]),
    ] {
        let shown = ["state", "desired_state", "normal_state"].map(|name| value(name, service));
        assert_eq!(shown, states, "{service}");
    }
    let shown = value("state_last_change_timestamp_seconds", "dnsmasq");
    assert_eq!(shown, changed);
}

/// Runs ansible's module as ansible does on the machine: its source, with JSON on
/// standard input; the answer is JSON, too.
fn module(guest: &mut Guest, arguments: &Value) -> Value {
    let mut arguments = arguments.clone();
    arguments["service_dir"] = json!("/etc/service");
    let input = json!({ "ANSIBLE_MODULE_ARGS": arguments });
    let path = "/usr/lib/python3/dist-packages/ansible_collections/community/general/plugins/modules/runit.py";
    let said = guest.sh(&format!("echo '{input}' | python3 {path}"));
    let answer = said
        .lines()
        .find_map(|line| serde_json::from_str(line).ok());
    answer.unwrap_or_else(|| panic!("{arguments}: {said}"))
}

fn ansible(guest: &mut Guest) {
    guest.sh("await 'sv status default-syslog'");
    let mut tell = |state: &str| {
        let answer = module(guest, &json!({ "name": "default-syslog", "state": state }));
        let sv = &answer["sv"];
        let state = sv["state"].as_str().unwrap().to_owned();
        // The module shows a pid that is gone, too.
        let pid = sv["pid"].as_str().filter(|_| state == "started");
        let changed = answer["changed"] == json!(true);
        let pid = pid.map(str::to_owned);
        (changed, state, pid)
    };
    let (changed, state, pid) = tell("started");
    assert_eq!((changed, state.as_str()), (false, "started"));
    let (changed, state, new) = tell("restarted");
    assert_eq!((changed, state.as_str()), (true, "started"));
    assert_ne!(new, pid);
    assert_eq!(tell("stopped"), (true, "stopped".into(), None));
    assert_eq!(tell("stopped"), (false, "stopped".into(), None));
    let (changed, state, _) = tell("started");
    assert_eq!((changed, state.as_str()), (true, "started"));
    assert_eq!(tell("killed"), (true, "stopped".into(), None));
    assert!(tell("once").0);
    assert!(tell("reloaded").0);
    tell("started");
    let enable = |guest: &mut Guest, enabled: bool| {
        let answer = module(
            guest,
            &json!({ "name": "default-syslog", "enabled": enabled }),
        );
        answer["changed"] == json!(true)
    };
    assert!(enable(guest, false));
    assert!(!enable(guest, false));
    // runit's runsvdir looks every five seconds; who is faster goes unnoticed.
    guest.sh("await '! sv status /etc/sv/default-syslog'");
    assert!(enable(guest, true));
    assert!(!enable(guest, true));
    guest.sh("await 'sv status default-syslog | grep ^run:'");
}

/// Debian's sv, which the diversion has kept, says the same of our supervisor,
/// character for character, and commands it.
#[test]
fn debians_sv_in_debian_by_sunup() {
    on_the_shared(By::Sunup, |guest| {
        guest.sh("await 'sv status /etc/service/default-syslog'");
        // By another name it would be an init script.
        guest.sh("mkdir -p /run/debian; ln -sf /usr/bin/sv.debian /run/debian/sv");
        guest.sh("sv stop mini-httpd && sv pause dnsmasq");
        // The milestone is ours alone: Debian's sv shows it as a run without a pid.
        let of_all = "status $(ls -d /etc/service/* | grep -v multi-user) none";
        let same = format!("[ \"$(sv {of_all})\" = \"$(/run/debian/sv {of_all})\" ]");
        guest.sh(&format!("await '{same}'"));
        let said = guest.sh("/run/debian/sv start mini-httpd");
        assert!(said.starts_with("ok: run: mini-httpd: (pid "), "{said}");
        let said = guest.sh("/run/debian/sv restart mini-httpd");
        assert!(said.starts_with("ok: run: mini-httpd: (pid "), "{said}");
        guest.sh("/run/debian/sv cont dnsmasq");
        guest.sh("await '! sv status dnsmasq | grep paused'");
        guest.sh(&format!("await '{same}'"));
    });
}
