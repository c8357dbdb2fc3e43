//! The checks of what block devices hold, and of where the root is and what is mounted.

use model::format::cmdline;
use model::format::device_name::DeviceName;
use model::format::mountinfo;
use model::format::partition_table::{self, Place};
use model::format::superblock::{Kind, probe};
use model::unmount;

use super::{Player, assert_tellable};

/// How much of an input is the start of the device; the rest is what is further back.
const NEAR: u64 = 4096;

pub fn block_devices(player: &mut dyn Player) {
    let ext: &[u8] = &image(&[(1024 + 0x38, b"\x53\xef"), (1024 + 0x78, b"label")]);
    let btrfs: &[u8] = &image(&[(NEAR as usize + 0x40, b"_BHRfS_M")]);
    let swap: &[u8] = &image(&[(1024, b"\x01"), (4086, b"SWAPSPACE2")]);
    let f2fs: &[u8] = &image(&[(1024, b"\x10\x20\xf5\xf2"), (1148, b"a\0b\0")]);
    let gpt: &[u8] = &image(&[
        (450, b"\xee"),
        (510, b"\x55\xaa"),
        (512, b"EFI PART"),
        (584, b"\x02"),
        (592, b"\x80\0\0\0\x80"),
        (1056, b"\0\x08"),
        (1080, b"r\0o\0o\0t"),
    ]);
    player.cases(&[ext, btrfs, swap, f2fs, gpt], &mut |input| {
        let mut reads = 0;
        let mut read = |offset: u64, buffer: &mut [u8]| {
            reads += 1;
            assert!(buffer.len() <= 4096);
            let near = offset.min(NEAR + offset % NEAR) as usize;
            let bytes = input.get(near..near + buffer.len());
            bytes.is_some_and(|bytes| {
                buffer.copy_from_slice(bytes);
                true
            })
        };
        let content = probe(&mut read);
        let place = Place {
            number: 1,
            start: 2048,
            sector_bytes: 512,
        };
        let names = partition_table::names(&mut read, place);
        assert!(reads <= 10, "{reads}");
        for label in [
            &content.as_ref().map(|c| c.label.clone()),
            &names.as_ref().map(|n| n.label.clone()),
        ] {
            assert!(label.as_ref().is_none_or(|label| label.len() <= 3 * 512));
        }
        if let Some(content) = content.as_ref().filter(|c| !c.uuid.is_empty()) {
            let name = DeviceName::decode(format!("UUID={}", content.uuid).as_bytes());
            assert!(name.means(content));
            assert!(content.kind == Kind::Vfat || content.uuid.len() == 36);
        }
        content.is_some() || names.is_some()
    });
}

pub fn roots_and_mounts(player: &mut dyn Player) {
    let seeds: [&[u8]; 2] = [
        b"root=\"LABEL=two words\" rw rootwait=9 rootfstype=ext4,xfs rootflags=a,b overlayroot=tmpfs",
        b"24 1 254:0 / / rw - ext4 /dev/root rw\n25 24 0:6 / /a\\040b rw shared:2 - nfs d ro\n\
        26 25 0:7 / /dev rw - tmpfs d rw\n",
    ];
    player.cases(&seeds, &mut |text| {
        let root = cmdline::root(text);
        let bytes = root.options.len() + root.kinds.concat().len();
        assert!(bytes <= text.len());
        for mistake in &root.mistakes {
            assert_tellable(mistake, text);
        }
        let mounts = mountinfo::decode(text);
        let (order, rest) = (unmount::order(&mounts), unmount::rest(&mounts));
        assert!(order.len() <= mounts.len() && rest.len() <= mounts.len());
        let is_root = |step: &unmount::Step| step.point == b"/";
        assert!(!order.iter().any(is_root));
        assert!(rest.iter().rev().skip(1).all(|step| !is_root(step)));
        root.device.is_some() || !mounts.is_empty()
    });
}

fn image(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    for (at, part) in parts {
        bytes[*at..*at + part.len()].copy_from_slice(part);
    }
    bytes
}
