//! The rules of /etc/mdev.conf.
