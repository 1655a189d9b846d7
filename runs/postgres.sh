#!/usr/bin/env bash
# Run a command beside a PostgreSQL that is thrown away afterwards; its URL is in ORCHESTRION_TEST_POSTGRES.
#
#     runs/postgres.sh pytest tests/test_store.py
#
# Needs Debian's package postgresql (any version from 12 on). The server listens on the loopback alone and keeps its
# files in a temporary folder. PostgreSQL refuses to run as root, so root lends it the account `postgres` or `nobody`.
set -euo pipefail
if [ $# -eq 0 ]; then
  echo "usage: $0 COMMAND..." >&2
  exit 2
fi
bin=$(dirname "$(command -v initdb || find /usr/lib/postgresql -name initdb 2>/dev/null | sort -V | tail -1)")
if [ ! -x "$bin/initdb" ]; then
  echo "$0: no initdb found; install PostgreSQL (Debian: apt install postgresql)" >&2
  exit 1
fi
bin=$(dirname "$(readlink -f "$bin/initdb")")
room=$(mktemp -d)
as=()
if [ "$(id -u)" = 0 ]; then
  account=$(id -un postgres 2>/dev/null || echo nobody)
  chown "$account" "$room"
  as=(setpriv --reuid "$account" --regid "$(id -g "$account")" --clear-groups env HOME="$room")
fi
cd_there() { (cd "$room" && "${as[@]}" "$@"); }
stop() {
  cd_there "$bin/pg_ctl" -D "$room/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$room"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd_there "$bin/initdb" -D "$room/data" -U orchestrion --auth=trust --encoding=UTF8 --locale=C >"$room/log" 2>&1 ||
  { cat "$room/log" >&2; exit 1; }
cd_there "$bin/pg_ctl" -D "$room/data" -w -l "$room/data/log" start \
  -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$room" >/dev/null ||
  { cat "$room/data/log" >&2; exit 1; }
export ORCHESTRION_TEST_POSTGRES="postgresql://orchestrion@127.0.0.1:$port/postgres"
"$@"
