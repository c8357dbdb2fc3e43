//! The file and wire formats, one pure file each: `decode` and `encode`.

pub mod cpio;
pub mod inittab;
pub mod mdev_conf;
pub mod stamp;
pub mod status;
pub mod svlogd_config;
pub mod tai64n;
pub mod uevent;
