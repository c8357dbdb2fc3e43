# A small machine of services in the directory $1, with the programs in $2, and what somebody
# sees who looks at it. Standard output is a terminal.
set -eu
test -d "$1" && test -d "$2"
cd "$1"
PATH=$2:$PATH
export PATH SVDIR="$1/service" SUNUP_DB="$1/sv" TERM=xterm LC_ALL=C.UTF-8
unset NO_COLOR SVWAIT
mkdir sv service

# NAME, then its run script as standard input.
service() {
    mkdir -p "sv/$1/log"
    { echo '#!/bin/sh'; echo 'exec 2>&1'; cat; } >"sv/$1/run"
    printf '#!/bin/sh\nmkdir -p main\nexec svlogd -tt main\n' >"sv/$1/log/run"
    chmod +x "sv/$1/run" "sv/$1/log/run"
}

service postgres <<'END'
echo "database system is ready to accept connections"
exec sleep 1000
END
service web <<'END'
echo "listening on port 8000"
sleep 0.2
echo "GET / 200 3ms"
exec sleep 1000
END
mkdir -p sv/web/needs sv/mailer/needs
touch sv/web/needs/postgres sv/mailer/needs/queue
service worker <<'END'
echo "worker: /etc/worker.conf: No such file or directory"
exit 78
END
touch sv/worker/backoff
service mailer <<'END'
exec sleep 1000
END
service queue <<'END'
exec sleep 1000
END
touch sv/queue/down sv/mailer/needs/queue
mkdir sv/tmp
printf '#!/bin/sh\nexit 0\n' >sv/tmp/setup
chmod +x sv/tmp/setup
service backup <<'END'
exec sleep 1000
END
for name in postgres web worker mailer queue tmp; do ln -s "../sv/$name" "service/$name"; done

runsvdir "$SVDIR" >/dev/null 2>&1 &
supervisor=$!
trap 'kill -HUP $supervisor; wait $supervisor || :' EXIT
sv -w 20 start postgres web tmp >/dev/null
# Until the worker has failed so often that its supervisor calls that a loop.
until sv status worker | grep -q 'crash loop'; do sleep 0.2; done

show() {
    printf '\033[1m$ %s\033[0m\n' "$*"
    "$@" || :
}
show sv list -a
echo
show sv why worker mailer
echo
printf '\033[1m$ sv log -f -n 2 postgres web\033[0m\n'
timeout 1 sv log -f -n 2 postgres web || :
