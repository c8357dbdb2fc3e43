//! How the device's binary is linked: docs/decisions/0020-parts-of-glibc.md.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    println!("cargo::rustc-check-cfg=cfg(stand_ins, no_unwinding)");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let is = |name: &str, value: &str| variable(name) == value;
    // Without optimization all of std is linked, and with it all of glibc. On s390x, clone has
    // its arguments in another order.
    let is_lean = is("PROFILE", "release") && env::var_os("CARGO_FEATURE_WHOLE_LIBC").is_none();
    if is_lean && is("CARGO_CFG_TARGET_ENV", "gnu") && !is("CARGO_CFG_TARGET_ARCH", "s390x") {
        println!("cargo::rustc-cfg=stand_ins");
    }
    if is("PROFILE", "release") {
        // Compilers and linkers alike know `-T`.
        let script = format!("{}/no-unwinding.ld", variable("CARGO_MANIFEST_DIR"));
        println!("cargo::rustc-link-arg-bins=-T{script}");
        // 32-bit ARM has other names for it.
        if !is("CARGO_CFG_TARGET_ARCH", "arm") {
            println!("cargo::rustc-cfg=no_unwinding");
        }
    }
}
