//! The newc cpio archive.
