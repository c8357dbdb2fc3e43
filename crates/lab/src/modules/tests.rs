//! Modules of a kernel that is made up: small ELF files in a directory.

use super::*;
use model::format::cpio::Node;
use tempfile::{TempDir, tempdir};

/// An ELF file with the sections `.modinfo` and `.shstrtab` alone.
fn elf(modinfo: &str) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    let (info_at, names_at) = (file.len(), file.len() + modinfo.len());
    file.extend(modinfo.bytes());
    file.extend(names);
    let table = file.len();
    for (name, at, size) in [
        (0, 0, 0),
        (1, info_at, modinfo.len()),
        (10, names_at, names.len()),
    ] {
        let mut section = [0; 64];
        section[0] = name;
        section[0x18..0x20].copy_from_slice(&at.to_le_bytes());
        section[0x20..0x28].copy_from_slice(&size.to_le_bytes());
        file.extend(section);
    }
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    file[0x3a] = 64;
    file[0x3c] = 3;
    file[0x3e] = 2;
    file
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A kernel in `boot`, with modules beside it.
fn kernel() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let release = dir.path().join("lib/modules/6.1-x");
    let blk = "license=GPL\0depends=virtio,virtio-ring\0alias=virtio:d2v*\0";
    for (file, says) in [
        ("kernel/drivers/block/virtio_blk.ko", blk),
        ("kernel/drivers/virtio/virtio.ko", "depends=virtio_ring\0"),
        ("kernel/drivers/virtio/virtio_ring.ko", "depends=\0"),
        ("kernel/crypto/crc32c-intel.ko", "alias=crc32c\0depends=\0"),
        (
            "kernel/fs/f.ko",
            "softdep=pre: crc32c_intel nowhere post: virtio\0depends=\0",
        ),
    ] {
        write(&release.join(file), &elf(says));
    }
    write(
        &release.join("modules.builtin"),
        b"kernel/fs/ext4/ext4.ko\n",
    );
    let kernel = dir.path().join("boot/vmlinuz-6.1-x");
    write(&kernel, b"kernel");
    (dir, kernel)
}

/// The names below the directory of the modules, and the text of a list.
fn put(kernel: &Path, names: &[&str]) -> (Tree, Vec<String>) {
    let mut tree = Tree::default();
    Modules::of(kernel).unwrap().put(&mut tree, names).unwrap();
    let names = tree.names_below(b"lib/modules/6.1-x/");
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    let names = names.filter(|name| module_name(name).is_some()).collect();
    (tree, names)
}

fn text(tree: &Tree, list: &str) -> String {
    match tree.get(format!("lib/modules/6.1-x/{list}").as_bytes()) {
        Some(Node::File(content)) => String::from_utf8_lossy(content).into_owned(),
        other => panic!("{list}: {other:?}"),
    }
}

#[test]
fn a_module_comes_with_all_that_it_needs() {
    let (_dir, kernel) = kernel();
    let (tree, files) = put(&kernel, &["virtio-blk", "ext4"]);
    assert_eq!(
        files,
        [
            "kernel/drivers/block/virtio_blk.ko",
            "kernel/drivers/virtio/virtio.ko",
            "kernel/drivers/virtio/virtio_ring.ko"
        ]
    );
    // modprobe loads from the right to the left.
    let dep = text(&tree, "modules.dep");
    assert!(
        dep.contains(
            "kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko \
             kernel/drivers/virtio/virtio_ring.ko\n"
        ),
        "{dep}"
    );
    assert!(
        dep.contains("kernel/drivers/virtio/virtio_ring.ko:\n"),
        "{dep}"
    );
    assert_eq!(
        text(&tree, "modules.alias"),
        "alias virtio:d2v* virtio_blk\n"
    );
    assert_eq!(text(&tree, "modules.builtin"), "kernel/fs/ext4/ext4.ko\n");
}

#[test]
fn what_a_module_likes_comes_too_where_it_is_there() {
    let (_dir, kernel) = kernel();
    let (tree, files) = put(&kernel, &["f"]);
    assert_eq!(files, ["kernel/crypto/crc32c-intel.ko", "kernel/fs/f.ko"]);
    assert!(text(&tree, "modules.dep").contains("kernel/fs/f.ko:\n"));
    assert_eq!(put(&kernel, &[ALL]).1.len(), 5);
}

#[test]
fn a_packed_module_arrives_unpacked() {
    let (dir, kernel) = kernel();
    let plain = elf("depends=\0");
    let packed = zstd::bulk::compress(&plain, 1).unwrap();
    write(
        &dir.path().join("lib/modules/6.1-x/kernel/z.ko.zst"),
        &packed,
    );
    let (tree, files) = put(&kernel, &["z"]);
    assert_eq!(files, ["kernel/z.ko"]);
    let node = tree.get(b"lib/modules/6.1-x/kernel/z.ko");
    assert!(matches!(node, Some(Node::File(content)) if **content == plain));
}

#[test]
fn what_is_not_there_is_named() {
    let (dir, kernel) = kernel();
    let mut tree = Tree::default();
    let modules = Modules::of(&kernel).unwrap();
    let e = modules.put(&mut tree, &["virtio_bkl"]).unwrap_err();
    assert_eq!(e.to_string(), "the kernel 6.1-x has no module virtio_bkl");
    // The kernel's own name decides between two, and any name will do for one.
    fs::create_dir(dir.path().join("lib/modules/6.2-y")).unwrap();
    assert_eq!(Modules::of(&kernel).unwrap().release, "6.1-x");
    let other = dir.path().join("bzImage");
    write(&other, b"");
    assert!(
        Modules::of(&other)
            .unwrap_err()
            .to_string()
            .contains("2 directories")
    );
    let alone = tempdir().unwrap();
    write(&alone.path().join("a/b/bzImage"), b"");
    let e = Modules::of(&alone.path().join("a/b/bzImage")).unwrap_err();
    assert!(e.to_string().ends_with("no lib/modules beside it"), "{e}");
}

#[test]
fn any_cut_of_a_module_is_an_error_and_no_more() {
    let whole = elf("depends=a,b\0alias=x\0");
    assert_eq!(says_of(modinfo(&whole).unwrap()).depends, ["a", "b"]);
    for end in 0..whole.len() {
        let _ = modinfo(&whole[..end]).map(says_of);
    }
    assert_eq!(modinfo(b"garbage"), None);
}

#[test]
fn a_link_in_the_place_of_lib_is_followed() {
    let (_dir, kernel) = kernel();
    let mut tree = Tree::default();
    tree.put_link(b"lib", b"usr/lib");
    Modules::of(&kernel)
        .unwrap()
        .put(&mut tree, &["f"])
        .unwrap();
    assert!(tree.has(b"usr/lib/modules/6.1-x/kernel/fs/f.ko"));
    assert!(tree.is_link(b"lib"));
}

#[test]
fn an_initramfs_names_those_that_there_are() {
    let (_dir, kernel) = kernel();
    let mut tree = Tree::default();
    let modules = Modules::of(&kernel).unwrap();
    let names = ["virtio_blk", "nowhere", "ext4", "f"];
    modules.put_and_name(&mut tree, &names).unwrap();
    match tree.get(b"etc/modules") {
        Some(Node::File(list)) => assert_eq!(list[..], b"virtio_blk\next4\nf\n"[..]),
        other => panic!("{other:?}"),
    }
    assert!(tree.has(b"lib/modules/6.1-x/kernel/drivers/virtio/virtio_ring.ko"));
}
