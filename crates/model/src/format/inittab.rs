//! busybox's /etc/inittab.
