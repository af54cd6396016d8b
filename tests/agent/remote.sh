#!/bin/bash
# What `nslab remote` and REMOTE:NODE must do with a server: each line is "ok NAME" or "not ok NAME", the last one "done".
#
#   remote.sh NSLAB IMAGE    (LXD_DIR and LXD_CONF are those of a client that the server trusts)
set -u
nslab=$1 image=$2
work=$(mktemp -d)
export NSLAB_REMOTES=$work/far LC_ALL=C
trap 'rm -rf "$work"' EXIT

judge() { # NAME COMMAND...: whether it ends with 0
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then echo "ok $name"; else echo "not ok $name"; sed 's/^/# /' "$work/said" >&2; fi
}
code() { # CODE COMMAND...: whether it ends with that code
  local wanted=$1 got=0
  shift
  "$@" || got=$?
  [ "$got" = "$wanted" ] || { echo "ended with $got, not $wanted"; return 1; }
}
says() { # TEXT COMMAND...: whether it says that, however it ends
  local text=$1
  shift
  { "$@" 2>&1 || true; } | tee -a /dev/stderr | grep -qF -e "$text"
}
prints() { # TEXT COMMAND...: whether stdout is exactly that
  local text=$1 got
  shift
  got=$("$@") || return 1
  [ "$got" = "$text" ] || { echo "printed '$got', not '$text'"; return 1; }
}
eventually() { # COMMAND...: whether it ends with 0 within some seconds
  for _ in 1 2 3 4 5 6 7 8 9 10; do "$@" && return 0; sleep 0.5; done
  return 1
}
token() { lxc config trust add --name "$1" -q 2>/dev/null | tail -1; }
on() { "$nslab" exec far:c1 "$@"; }

judge "no remote is known at first" says "No remote is known" "$nslab" remote list
judge "an unknown remote is told" code 2 "$nslab" list far:
invitation=$(token tester)
judge "a token with another fingerprint is not redeemed" says "certificate of far changed" \
  "$nslab" remote add far "$(printf %s "$invitation" | base64 -d | sed 's/"fingerprint":"[0-9a-f]\{8\}/"fingerprint":"00000000/' | base64 -w 0)"
judge "a token makes a remote" "$nslab" remote add far "$invitation"
judge "a name is given once" code 4 "$nslab" remote add far "$invitation"
judge "a token is redeemed once" says "No matching certificate" env NSLAB_REMOTES="$work/other" "$nslab" remote add far "$invitation"
judge "an address alone is not trusted" says "does not trust" \
  env NSLAB_REMOTES="$work/other" "$nslab" remote add far "$ADDRESS" --accept-certificate
judge "nobody takes a certificate unasked" code 2 "$nslab" remote add again "$ADDRESS"
judge "an address is enough for who is trusted" "$nslab" remote add again "$ADDRESS" --accept-certificate
judge "rubbish is no token" code 2 "$nslab" remote add third '%%%'
judge "keys are for their owner alone" prints 600 stat -c %a "$work/far/client.key"
judge "remotes are listed" says "far " "$nslab" remote list
judge "the stock client reads the same remotes" env LXD_CONF="$work/far" lxc list far:

lxc launch "$image" c1 >/dev/null 2>&1 </dev/null
lxc config set c1 user.x=y
judge "containers are listed" says "Running" "$nslab" list far:
judge "and as JSON" says '"name": "c1"' "$nslab" --format json list far:
judge "status of one that runs" code 0 "$nslab" status far:c1
judge "status of one that is not there" says "Instance not found" "$nslab" status far:c9

judge "a command's output" prints hello on echo hello
judge "stdout and stderr are two" prints out on sh -c 'echo out; echo err >&2'
judge "stderr comes" says err on sh -c 'echo err >&2'
judge "the exit code" code 7 on sh -c 'exit 7'
judge "a signal's exit code" code 143 on sh -c 'kill -TERM $$'
judge "a command that is not there" code 127 on nosuchcommand
judge "a file that is no program" code 126 on /etc/passwd
judge "a container that is not there" code 125 "$nslab" exec far:c9 true
stdin() { head -c 3000000 /dev/urandom > "$work/in"; on cat < "$work/in" | cmp - "$work/in"; }
judge "three megabytes in and out" stdin
judge "arguments stay whole" prints 'a b|*' on sh -c 'printf "%s|%s" "$1" "$2"' x 'a b' '*'
judge "nothing to read" code 0 on cat </dev/null
interrupted() { timeout --preserve-status -s INT 1 "$nslab" exec far:c1 sleep 31; }
judge "an interrupt goes to the command" code 130 interrupted
ended() { ! on pgrep -f 'sleep 3[1]'; }
judge "and nothing is left of it" ended
gone() { ! on pgrep -f 'sleep 3[2]'; }
killed() { "$nslab" exec far:c1 sleep 32 & sleep 1; kill -9 $!; wait $! 2>/dev/null; eventually gone; }
judge "a client that is killed leaves nothing running" killed
inside() { script -qec "stty rows 33 cols 77; $nslab exec far:c1 $1" /dev/null </dev/null; }
judge "a terminal of its size" says "33 77" inside "stty size"
judge "a terminal's exit code" code 5 inside "sh -c 'exit 5'"
shell() { printf 'echo got-$((40+2)); exit 6\n' | script -qec "$nslab shell far:c1" /dev/null; }
judge "a shell on a terminal" says "got-42" shell
"$nslab" exec far:c1 sleep 33 &
judge "processes" eventually says "sleep 33" "$nslab" ps far:c1
kill $!

parallel() { for i in 1 2 3 4 5 6; do on true & jobs="${jobs:-} $!"; done; for job in $jobs; do wait "$job" || return 1; done; }
judge "six at once" parallel

judge "a launch" says "far:c2 runs" "$nslab" launch far:c2 --image "$image" --config user.k=v
judge "its setting" prints v lxc config get c2 user.k
judge "a name that is taken" code 1 "$nslab" launch far:c2 --image "$image"
judge "an image that is not there" code 1 "$nslab" launch far:c3 --image no-such-image
judge "start of what runs" says "far:c2 is running" "$nslab" start far:c2
judge "pause" says "far:c2 is paused" "$nslab" pause far:c2
judge "start of what is paused" says "far:c2 runs" "$nslab" start far:c2
judge "delete of what runs" says "far:c2 is running" "$nslab" delete far:c2
judge "restart" says "far:c2 runs again" "$nslab" restart --force far:c2
judge "stop" says "far:c2 is stopped" "$nslab" stop --timeout 3s far:c2
judge "stop of what is stopped" says "far:c2 is stopped" "$nslab" stop far:c2
judge "exec in what is stopped" code 125 "$nslab" exec far:c2 true
judge "start" says "far:c2 runs" "$nslab" start far:c2
judge "as JSON" says '"remote": "far"' "$nslab" --format json stop --force far:c2
judge "delete" says "far:c2 is gone" "$nslab" delete far:c2
judge "it is gone" says "Instance not found" "$nslab" status far:c2
judge "one of two that is not there keeps the other from nothing" code 1 "$nslab" stop --force far:c9 far:c1
judge "the other" says "Stopped" "$nslab" list far:c1
judge "delete by force" code 0 "$nslab" delete --force far:c1
cp "$work/far/client.crt" "$work/far/servercerts/far.crt"
judge "another certificate stops everything" says "certificate of far changed" "$nslab" list far:
judge "a remote is forgotten" "$nslab" remote remove far
judge "and then unknown" code 2 "$nslab" list far:
lxc config trust remove "$(lxc config trust list --format csv | grep tester | cut -d, -f4)" || true
judge "who is no longer trusted is told so" says "does not trust" "$nslab" list again:
echo done
