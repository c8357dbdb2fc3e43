//! The file and wire formats, one pure file each: `decode` and `encode`.

pub mod account;
pub mod adopt;
pub mod cpio;
pub mod inittab;
pub mod issue;
pub mod mdev_conf;
pub mod passwd;
pub mod stamp;
pub mod status;
pub mod svlogd_config;
pub mod tai64n;
pub mod uevent;
pub mod utmp;
