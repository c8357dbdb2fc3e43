#!/bin/sh
# usage: uninstall.sh
#
# Undoes install.sh, by the list beside this file: what that has made is removed, unless somebody has
# changed it since, and what it has moved aside comes back. (`--but FILE` is for install.sh: names in
# FILE stay.)
set -eu

own=$(cd "$(dirname "$0")" && pwd)
list=$own/installed but=
case ${1-} in
'') ;;
--but) but=$2 ;;
--help)
    sed -n '2s/^# //p' "$0"
    exit
    ;;
*)
    echo "uninstall.sh: $1: unknown; $(sed -n '2s/^# //p' "$0")" >&2
    exit 1
    ;;
esac
if [ ! -f "$list" ]; then
    echo "uninstall.sh: $list is not there: run it where install.sh has put it" >&2
    exit 1
fi
prefix=$(sed -n 's/^prefix - //p' "$list")
root=${own%"$prefix/share/sunup"}
if [ "$root$prefix/share/sunup" != "$own" ]; then
    echo "uninstall.sh: $own is not below $prefix, where it was installed: move it back there" >&2
    exit 1
fi

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

identity() {
    if [ -L "$1" ]; then
        echo "link:$(readlink "$1")"
    elif [ -f "$1" ]; then
        cksum <"$1" | tr ' ' :
    fi
}

sed -n 's/^\(made\|moved\) [^ ]* //p' "$list" | LC_ALL=C sort -u | while read -r name; do
    [ -z "$but" ] || ! grep -qxF "${name#"$prefix/"}" "$but" || continue
    file=$root$name
    rm -f "$file.sunup-new"
    if grep -qxF "made $(identity "$file") $name" "$list"; then
        rm "$file"
    fi
    if grep -qxF "moved - $name" "$list" && is_there "$file.before-sunup"; then
        if is_there "$file"; then
            echo "uninstall.sh: $file was changed and is left alone; what was there before is $file.before-sunup" >&2
        else
            mv "$file.before-sunup" "$file"
        fi
    elif is_there "$file" && [ -z "$but" ]; then
        echo "uninstall.sh: $file was changed and is left alone" >&2
    fi
done
[ -z "$but" ] || exit 0

directories=$(sed -n 's/^directory - //p' "$list" | LC_ALL=C sort -ru)
rm -f "$list" "$own/uninstall.sh" "$own/new"
echo "$directories" | while read -r directory; do
    # Somebody else may have put something there, and then it stays.
    [ -z "$directory" ] || rmdir "$root$directory" 2>/dev/null || :
done
