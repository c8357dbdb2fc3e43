#!/bin/sh
# Builds sunup for another machine by Debian's packages alone, without rustup: in a tree of
# Debian 13 that is removed afterwards. Needs root, mmdebstrap, and cargo to fetch what the
# sources depend on.
#
#	crates/lab/cross-in-debian.sh arm64|armhf|riscv64 FILE
set -eu

usage() {
	echo "usage: $0 arm64|armhf|riscv64 FILE" >&2
	exit 2
}

[ $# = 2 ] || usage
case $1 in
arm64) triple=aarch64-unknown-linux-gnu gcc=aarch64-linux-gnu ;;
armhf) triple=armv7-unknown-linux-gnueabihf gcc=arm-linux-gnueabihf ;;
riscv64) triple=riscv64gc-unknown-linux-gnu gcc=riscv64-linux-gnu ;;
*) usage ;;
esac
arch=$1 file=$2
mirror=${MIRROR:-http://deb.debian.org/debian}
top=$(dirname "$0")/../..

tree=$(mktemp -d "${TMPDIR:-/var/tmp}/cross.XXXXXX")
trap 'rm -rf "$tree"' EXIT
trap 'exit 1' HUP INT TERM

# The packages of std for two machines cannot both be installed: one is unpacked.
std='cd "$1/tmp" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q download '"libstd-rust-web-dev:$arch"'
	dpkg-deb -x libstd-rust-web-dev_*.deb "$1"'
mmdebstrap --quiet --variant=apt --architectures=amd64,"$arch" --customize-hook="$std" \
	--include="rustc-web,cargo-web,gcc-$gcc,libc6-dev-$arch-cross" trixie "$tree" "$mirror"

mkdir "$tree/src"
git -C "$top" archive HEAD | tar -x -C "$tree/src"
# There is no network inside.
cargo vendor --quiet --locked --manifest-path "$tree/src/Cargo.toml" "$tree/src/vendor" >/dev/null
cat >>"$tree/src/.cargo/config.toml" <<-'.'
	[source.crates-io]
	replace-with = "vendored-sources"
	[source.vendored-sources]
	directory = "vendor"
.
linker=CARGO_TARGET_$(echo "$triple" | tr a-z- A-Z_)_LINKER
chroot "$tree" env "$linker=$gcc-gcc" CARGO_HOME=/tmp/cargo \
	sh -ec "cd /src; cargo build --quiet --release --offline -p sunup --target $triple"
cp "$tree/src/target/$triple/release/sunup" "$file"
echo "$file: $(wc -c <"$file") bytes"
