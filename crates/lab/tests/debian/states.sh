# The package in every state that dpkg knows: `sh states.sh STEP`, with /lab/sunup.deb. Wherever a
# script of it fails, each name leads to a program, and removing it gives Debian's back as it was.
set -eu
step=$1
work=$(mktemp -d)
cd "$work"

say() { echo "states: $*"; }

fails() {
    if "$@" >said 2>&1; then
        say "this should have failed: $*"
        exit 1
    fi
}

says() {
    grep -qF -- "$1" said || {
        say "nobody says: $1"
        cat said
        exit 1
    }
}

works() {
    for program in /sbin/init /sbin/runit /usr/lib/runit/runit-init /usr/bin/sv /usr/bin/chpst /usr/sbin/mk-runscript; do
        [ -x "$program" ] || {
            say "no $program $*"
            exit 1
        }
    done
}

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

is_ours() { [ "$(readlink -f "$1")" = /usr/bin/sunup ]; }

as_before() {
    sh /lab/files >now
    diff before now || {
        say "not as before: $*"
        exit 1
    }
}

# variant NAME COMMAND: a package that differs.
variant() {
    rm -rf tree
    dpkg-deb --raw-extract /lab/sunup.deb tree
    sed -i "s/^Version: .*/&+$1/" tree/DEBIAN/control
    (cd tree && eval "$2")
    dpkg-deb --root-owner-group --build tree "$1.deb" >/dev/null
}

# Debian's package, from what is installed of it. Its scripts change something when they run first.
mkdir -p runit/DEBIAN
for script in preinst postinst prerm postrm triggers conffiles; do
    [ ! -e "/var/lib/dpkg/info/runit.$script" ] || cp -p "/var/lib/dpkg/info/runit.$script" "runit/DEBIAN/$script"
done
dpkg-query --status runit | sed '/^Status:/d; /^Conffiles:/,/^[^ ]/{/^Conffiles:/d; /^ /d}' >runit/DEBIAN/control
dpkg-query --listfiles runit | while read -r file; do
    case $file in
    # These are links on the machine.
    /. | /bin | /lib | /sbin) mkdir -p "runit$file" ;;
    *)
        if [ -d "$file" ] && [ ! -L "$file" ]; then
            mkdir -p "runit$file"
        elif is_there "$file"; then
            cp -a "$file" "runit$file"
        fi
        ;;
    esac
done
dpkg-deb --build runit runit.deb >/dev/null
dpkg -i --force-confold runit.deb

sh /lab/files >before
variant other "sed -i 's,^/usr/bin/chpst sunup,/usr/sbin/mk-runscript ../bin/sunup,' DEBIAN/p*"
variant no-room 'mkdir -p usr/bin && echo mine >usr/bin/cksum'
variant refuses 'printf "#!/bin/sh\nexit 3\n" >DEBIAN/preinst'
variant stumbles 'echo "exit 3" >>DEBIAN/postinst'

# What has other names, and what goes back to fewer.
dpkg -i /lab/sunup.deb
is_ours /usr/bin/chpst
is_ours /sbin/init
dpkg -i other.deb
works with other names
is_ours /usr/sbin/mk-runscript
! is_ours /usr/bin/chpst
dpkg -i /lab/sunup.deb
is_ours /usr/bin/chpst
! is_ours /usr/sbin/mk-runscript
dpkg -i /lab/sunup.deb
dpkg --remove sunup
as_before removed
dpkg --purge sunup
as_before purged

# An upgrade that fails leaves what was there; a first installation that fails leaves nothing.
for wrong in no-room refuses; do
    dpkg -i /lab/sunup.deb
    fails dpkg -i "$wrong.deb"
    works after "$wrong"
    is_ours /usr/bin/sv
    dpkg --audit
    dpkg --purge sunup
    as_before "upgraded to $wrong, purged"
    fails dpkg -i "$wrong.deb"
    as_before "installed $wrong"
    dpkg --purge sunup
done
fails dpkg -i stumbles.deb
works after stumbles
dpkg --purge sunup
as_before stumbled

# Never configured.
dpkg --unpack /lab/sunup.deb
! is_ours /usr/bin/sv
dpkg --purge sunup
as_before unpacked, purged
dpkg -i /lab/sunup.deb
dpkg --unpack other.deb
works unpacked over another
dpkg --purge sunup
as_before unpacked over another, purged

# Who has diverted runit's programs by hand learns what to do first.
dpkg-divert --rename --divert /usr/bin/sv.mine --add /usr/bin/sv
fails dpkg -i /lab/sunup.deb
says 'rm /usr/bin/sv; dpkg-divert --rename --remove /usr/bin/sv'
dpkg-divert --rename --remove /usr/bin/sv
touch /usr/bin/sv.debian
fails dpkg -i /lab/sunup.deb
says '/usr/bin/sv.debian is in the way'
rm /usr/bin/sv.debian
dpkg --purge sunup
as_before refused

# Debian's package is installed anew meanwhile.
dpkg -i --force-confold /lab/sunup.deb runit.deb
is_ours /usr/bin/sv
is_ours /sbin/init
dpkg -i --force-confold runit.deb
is_ours /usr/bin/sv
dpkg --purge sunup
as_before with runit installed anew

# A script that is killed at one of its commands.
mkdir bin
for command in dpkg-divert ln mv rm; do
    cat >"bin/$command" <<end
#!/bin/sh
n=\$((\$(cat $work/count) + 1))
echo "\$n" >$work/count
[ "\$n" != "\$(cat $work/limit)" ] || { kill -9 \$PPID; exit 1; }
exec $(command -v $command) "\$@"
end
    chmod +x "bin/$command"
done
interrupted() {
    echo 0 >count
    echo "$1" >limit
    shift
    PATH=$work/bin:$PATH "$@" >said 2>&1 || :
}
limit=1
while :; do
    interrupted "$limit" dpkg -i /lab/sunup.deb
    works "killed at $limit"
    dpkg --configure -a >/dev/null
    is_ours /usr/bin/sv
    is_ours /sbin/init
    [ "$(cat count)" -ge "$limit" ] || break
    interrupted "$limit" dpkg --remove sunup
    works "removal killed at $limit"
    dpkg --purge sunup >/dev/null
    as_before "killed at $limit"
    interrupted "$limit" dpkg -i /lab/sunup.deb
    dpkg --purge sunup >/dev/null
    as_before "killed at $limit, and removed"
    limit=$((limit + step))
done
dpkg --purge sunup
as_before at the end
say "well, with $limit commands"
