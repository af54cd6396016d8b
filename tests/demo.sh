#!/bin/sh
# make demo: one lab, from nothing to nothing. It has a name of its own, so that no lab of yours is touched.   demo.sh NSLAB
set -eu
nslab=$1
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n$ %s\n' "$*"; }
run() { say "nslab $*"; "$nslab" "$@"; }
trap '"$nslab" down demo >/dev/null 2>&1 || true' EXIT
trap 'exit 130' INT TERM

run up bridged --name demo
run status demo
run show demo/host-a
if command -v ping >/dev/null; then
  run exec demo/a1 ping -c 3 b1
else
  run exec demo/a1 cat /etc/hosts
  echo "(this machine has no ping: apt install iputils-ping)"
fi
run show demo/a1
run down demo
