#!/bin/sh
# usage: install.sh [--prefix DIR] [--root DIR]
#
# Puts sunup into the prefix (/usr/local), below a root directory if one is named. What is in the way
# is moved aside, to NAME.before-sunup. PREFIX/share/sunup/installed lists what was made and what was
# moved, and uninstall.sh beside it undoes all of that.
set -eu
umask 022

usage() { sed -n '2s/^# //p' "$0"; }

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

prefix=/usr/local root=
while [ $# -gt 0 ]; do
    case $1 in
    --help)
        usage
        exit
        ;;
    --prefix | --root) [ $# -ge 2 ] || fail "$1 needs a directory; $(usage)" ;;
    *) fail "$1: unknown; $(usage)" ;;
    esac
    case $1 in
    --prefix) prefix=${2%/} ;;
    --root) root=${2%/} ;;
    esac
    shift 2
done
case $prefix in
'' | /*) ;;
*) fail "--prefix $prefix: not an absolute path; $(usage)" ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
[ -x "$here/files/bin/sunup" ] || fail "$here/files is not there: run it where the archive was unpacked"
[ -d "$root/" ] || fail "--root $root: no directory"

own=$root$prefix/share/sunup
list=$own/installed

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

# What a file or link is, in one word.
identity() {
    if [ -L "$1" ]; then
        echo "link:$(readlink "$1")"
    elif [ -f "$1" ]; then
        cksum <"$1" | tr ' ' :
    fi
}

# Whether this was made by an installation before, and nobody has changed it.
is_ours() { grep -qxF "made $(identity "$root$1") $1" "$list"; }

# Lists a directory that is not there, and those above it that are not.
missing() {
    directory=$1
    while [ -n "$directory" ] && [ ! -d "$root$directory" ]; do
        echo "directory - $directory"
        directory=${directory%/*}
    done
}

# The list says first what is done then, so that it can be undone wherever this is interrupted.
place() {
    name=$prefix/$1
    missing "${name%/*}" >>"$list"
    mkdir -p "$root${name%/*}"
    if is_there "$root$name" && ! is_ours "$name"; then
        ! is_there "$root$name.before-sunup" ||
            fail "$root$name.before-sunup is in the way: move it elsewhere, then once more"
        echo "moved - $name" >>"$list"
        mv "$root$name" "$root$name.before-sunup"
    fi
    is_ours "$name" || echo "made $(identity "$here/files/$1") $name" >>"$list"
    rm -f "$root$name.sunup-new"
    cp -P "$here/files/$1" "$root$name.sunup-new"
    if [ -L "$here/files/$1" ]; then :
    elif [ -x "$here/files/$1" ]; then chmod 755 "$root$name.sunup-new"
    else chmod 644 "$root$name.sunup-new"
    fi
    mv -f "$root$name.sunup-new" "$root$name"
}

if [ ! -e "$list" ]; then
    directories=$(missing "$prefix/share/sunup")
    mkdir -p "$own"
    printf 'prefix - %s\n%s\n' "$prefix" "$directories" >"$list"
fi
cp "$here/uninstall.sh" "$own/uninstall.sh"
(cd "$here/files" && find . ! -type d) | sed 's,^\./,,' | LC_ALL=C sort >"$own/new"
while read -r file; do
    place "$file"
done <"$own/new"
# What an older version had, and this one has not.
sh "$own/uninstall.sh" --but "$own/new"
rm "$own/new"

echo "sunup is in $root$prefix; to undo this: $own/uninstall.sh"
case :$PATH: in
*:"$prefix/bin":*) ;;
*) echo "to call it by name: export PATH=$prefix/bin:$prefix/sbin:\$PATH" ;;
esac
