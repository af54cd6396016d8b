#!/bin/bash
# What an `lxc` must be able to do with a server, by TLS: each line is "ok NAME" or "not ok NAME", the last one "done".
#
#   conformance.sh CLIENT ADDRESS TOKEN IMAGE    (CLIENT is lxc, incus, or nslab called lxc)
#
# Makes and removes the instances c-one, c-two, c-new and c-gone, and the network c-net. Whatever happens on a terminal has
# "terminal" in its name, and three attempts: LXD 5.0 itself now and then loses the end of its output.
set -u
client=$1 address=$2 token=$3 image=$4
work=$(mktemp -d)
export LXD_CONF=$work/conf INCUS_CONF=$work/conf HOME=$work LXD_DIR=$work/none INCUS_DIR=$work/none TERM=xterm LC_ALL=C
mkdir -p "$LXD_CONF"
token=$(printf %s "$token" | base64 -d | sed -E "s/\"addresses\": ?\[[^]]*\]/\"addresses\":[\"$address\"]/" | base64 -w 0)
lxc() { timeout -k 2 60 "$client" "$@" </dev/null; }
trap 'for name in c-one c-two c-new c-gone; do lxc delete -f "t:$name"; done >/dev/null 2>&1; rm -rf "$work"' EXIT

# judge NAME CODE PATTERN COMMAND...: the code is a number, "fails" or "any"; the pattern is one of `grep -E`, of all output.
judge() {
  local name=$1 wanted=$2 pattern=$3 got fault=
  shift 3
  "$@" >"$work/said" 2>&1
  got=$?
  case $wanted in
    any) ;;
    fails) [ $got != 0 ] && [ $got != 124 ] || fault="ended with $got" ;;
    *) [ $got = "$wanted" ] || fault="ended with $got, not $wanted" ;;
  esac
  [ -z "$pattern" ] || grep -qE -e "$pattern" "$work/said" || fault="${fault:+$fault; }did not say $pattern"
  if [ -z "$fault" ]; then echo "ok $name"; else echo "not ok $name: $fault"; tr '\r' '\n' <"$work/said" | tail -5 | sed 's/^/# /' >&2; fi
}

cat > "$work/terminal.py" <<'END'
# A terminal of 33 rows and 91 columns for a command: writes or resizes when it has printed what each step waits for.
import fcntl, os, pty, select, struct, sys, termios, time
at = sys.argv.index("--")
steps = [step.split("=>", 1) for step in sys.argv[1:at]]
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 91, 0, 0))
    os.execvp(sys.argv[at + 1], sys.argv[at + 1:])
seen, deadline = b"", time.time() + 15
while time.time() < deadline:
    while steps and steps[0][0].encode() in seen:
        act = steps.pop(0)[1]
        time.sleep(0.3)
        if act == "RESIZE":
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 22, 77, 0, 0))
        else:
            os.write(fd, act.encode().decode("unicode_escape").encode("latin1"))
    if select.select([fd], [], [], 0.1)[0]:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
sys.stdout.buffer.write(seen)
sys.stdout.flush()
for _ in range(30):
    if (ended := os.waitpid(pid, os.WNOHANG))[0]:
        sys.exit(os.waitstatus_to_exitcode(ended[1]))
    time.sleep(0.1)
os.kill(pid, 9)
sys.exit(124)
END
terminal() { # PATTERN STEP... -- COMMAND...
  local pattern=$1 got
  shift
  for _ in 1 2 3; do
    python3 "$work/terminal.py" "$@" >"$work/shown"
    got=$?
    if grep -qE -e "$pattern" "$work/shown"; then break; fi
  done
  cat "$work/shown"
  return $got
}

reuse() { LXD_CONF=$work/second INCUS_CONF=$work/second lxc remote add x "$token"; }
stranger() { # the server is known, but not this client's key
  mkdir -p "$work/third"
  cp -r "$LXD_CONF/servercerts" "$LXD_CONF/config.yml" "$work/third/"
  LXD_CONF=$work/third INCUS_CONF=$work/third lxc list t:
}
streams() {
  lxc exec t:c-one -- sh -c 'echo out; echo err >&2' >"$work/out" 2>"$work/err" || return 1
  [ "$(cat "$work/out")" = out ] && [ "$(cat "$work/err")" = err ]
}
small() { printf 'hello\nworld\n' | timeout 60 "$client" exec t:c-one -- cat; }
big() { head -c 3000000 /dev/urandom >"$work/big" && timeout 60 "$client" exec t:c-one -- cat <"$work/big" | cmp - "$work/big"; }
output() { lxc exec t:c-one -- head -c 3000000 /dev/zero | wc -c; }
signalled() {
  "$client" exec t:c-one -- sleep 30 </dev/null &
  local pid=$!
  sleep 1
  kill -TERM $pid
  wait $pid
}
six() {
  local pids=() pid code=0
  for at in 1 2 3 4 5 6; do lxc exec t:c-one -- echo "p$at" & pids+=($!); done
  for pid in "${pids[@]}"; do wait "$pid" || code=1; done
  return $code
}
there_and_back() { head -c 200000 /dev/urandom >"$work/f" && lxc file push "$work/f" t:c-one/tmp/f && lxc file pull t:c-one/tmp/f "$work/g" && cmp "$work/f" "$work/g"; }
with_mode() { lxc file push --mode 0640 "$work/f" t:c-one/tmp/mode && lxc exec t:c-one -- stat -c %a /tmp/mode; }
trees() {
  mkdir -p "$work/d/s" "$work/back" && echo one >"$work/d/a" && echo two >"$work/d/s/b"
  lxc file push -r "$work/d" t:c-one/tmp/ && lxc file pull -r t:c-one/tmp/d "$work/back" && diff -r "$work/d" "$work/back/d"
}
edited() { lxc config show t:c-one | sed 's/user.cf: one/user.cf: two/' | timeout 60 "$client" config edit t:c-one && lxc config get t:c-one user.cf; }
watched() {
  timeout 60 "$client" monitor t: --type=lifecycle </dev/null >"$work/events" 2>&1 &
  # Until it listens, there is nothing that it could have heard.
  for _ in $(seq 20); do
    sleep 0.5
    lxc exec t:c-one -- true
    if grep -q instance-exec "$work/events"; then break; fi
  done
  kill $!
  wait $!
  cat "$work/events"
}
short() { lxc launch -e "t:$image" t:c-gone && lxc stop -f t:c-gone && ! lxc info t:c-gone; }

judge "remote add with a token" 0 '' lxc remote add t "$token"
judge "a token is for one use" fails '' reuse
judge "an unknown client is refused" fails '[Nn]ot authorized|[Ff]orbidden|not trusted|[Cc]ertificate' stranger
judge "remote list" 0 't .*https://' lxc remote list
judge "list" 0 NAME lxc list t:
judge "info of the server" 0 'api_status: "?stable' lxc info t:
judge "image list" 0 "$image" lxc image list t:
judge "image info" 0 'Fingerprint:' lxc image info "t:$image"
judge "init" 0 '' lxc init "t:$image" t:c-one -c user.cf=one
judge "list shows it stopped" 0 'c-one.*STOPPED' lxc list t:
judge "init of a name that is taken" fails '' lxc init "t:$image" t:c-one
judge "launch of no image" fails '[Nn]ot found' lxc launch t:no-such-image t:c-two
judge "start" 0 '' lxc start t:c-one
judge "start of what runs" fails 'already running' lxc start t:c-one
judge "start of nothing" fails '[Nn]ot found' lxc start t:c-none
judge "list shows it running" 0 'c-one.*RUNNING' lxc list t:
judge "list as JSON" 0 '"status": ?"Running"' lxc list t: --format json
judge "list with columns and a name" 0 c-one lxc list t: c-one -c ns46t
judge "info of an instance" 0 'Status: R' lxc info t:c-one
judge "config show" 0 'user.cf: one' lxc config show t:c-one
judge "config show --expanded" 0 'user.cf: one' lxc config show t:c-one --expanded
judge "config get" 0 '^one$' lxc config get t:c-one user.cf
judge "exec" 0 '' lxc exec t:c-one -- true
judge "exec: the exit code" 7 '' lxc exec t:c-one -- sh -c 'exit 7'
judge "exec: stdout and stderr apart" 0 '' streams
judge "exec: stdin and its end" 0 world small
judge "exec: 3 MB of stdin" 0 '' big
judge "exec: 3 MB of stdout" 0 3000000 output
judge "exec: variables and directory" 0 '/tmp b' lxc exec t:c-one --env A=b --cwd /tmp -- sh -c 'echo $(pwd) $A'
judge "exec: no such command" 127 '' lxc exec t:c-one -- /no/such/command
judge "exec -T -n" 0 '' lxc exec -T -n t:c-one -- true
judge "exec: a signal" 143 '' signalled
judge "exec: six at once" 0 p6 six
judge "exec on a terminal: size and exit code" 3 '33 91' terminal '33 91' -- "$client" exec t:c-one -- sh -c 'stty size; exit 3'
judge "exec on a terminal: another size" 0 '22 77' \
  terminal '22 77' 'ready=>RESIZE' -- "$client" exec t:c-one -- sh -c 'echo ready; sleep 2; stty size'
judge "exec on a terminal: keys" 0 got-xyz terminal got-xyz 'ready=>xyz\n' -- "$client" exec t:c-one -- sh -c 'echo ready; read a; echo got-$a'
judge "file push and pull" 0 '' there_and_back
judge "file push --mode" 0 640 with_mode
judge "file push -p" 0 '' lxc file push -p "$work/f" t:c-one/tmp/p/q/f
judge "file pull of nothing" fails '[Nn]ot [Ff]ound|not exist' lxc file pull t:c-one/tmp/none -
judge "file delete" 0 '' lxc file delete t:c-one/tmp/f
judge "file push -r and pull -r" 0 '' trees
judge "config set" 0 '' lxc config set t:c-one user.cf2=x
judge "config edit" 0 '^two$' edited
judge "config unset" 0 '' lxc config unset t:c-one user.cf2
judge "stop --force" 0 '' lxc stop --force t:c-one
judge "stop of what is stopped" fails '' lxc stop t:c-one
judge "exec in what is stopped" fails 'not running' lxc exec t:c-one -- true
judge "rename" 0 '' lxc rename t:c-one c-new
judge "rename back" 0 '' lxc rename t:c-new c-one
judge "launch" 0 '' lxc launch "t:$image" t:c-two
judge "exec in it" 0 '' lxc exec t:c-two -- true
judge "delete of what runs" fails running lxc delete t:c-two
judge "restart --force" 0 '' lxc restart --force t:c-two
judge "stop by its own end" any '' lxc stop --timeout 5 t:c-two
judge "delete --force" 0 '' lxc delete --force t:c-two
judge "it is gone" fails '[Nn]ot found' lxc info t:c-two
judge "start again" 0 '' lxc start t:c-one
judge "network list" 0 NAME lxc network list t:
judge "network create" 0 '' lxc network create t:c-net ipv4.address=none ipv6.address=none
judge "network show" 0 'name: c-net' lxc network show t:c-net
judge "network info" 0 MTU lxc network info t:c-net
judge "network attach" 0 '' lxc network attach t:c-net c-one eth9
judge "config device show" 0 eth9 lxc config device show t:c-one
judge "network detach" 0 '' lxc network detach t:c-net c-one eth9
judge "config device add" 0 '' lxc config device add t:c-one eth8 nic nictype=p2p name=eth8
judge "the device is in the instance" 0 eth8 lxc exec t:c-one -- ip link
judge "config device remove" 0 '' lxc config device remove t:c-one eth8
judge "network delete" 0 '' lxc network delete t:c-net
judge "console on a terminal" any 'detach from the console' \
  terminal 'detach from the console' 'detach=>\n' '=>\x01q' -- "$client" console t:c-one
judge "console --show-log" 0 '' lxc console --show-log t:c-one
judge "monitor" any 'instance-exec' watched
judge "profile list" 0 default lxc profile list t:
judge "profile show" 0 'name: default' lxc profile show t:default
judge "project list" 0 default lxc project list t:
judge "storage list" 0 NAME lxc storage list t:
judge "operation list" 0 'ID|TYPE' lxc operation list t:
judge "config trust list" 0 FINGERPRINT lxc config trust list t:
judge "query" 0 '/1.0/instances/c-one' lxc query t:/1.0/instances
judge "pause" 0 '' lxc pause t:c-one
judge "start of what is paused" 0 '' lxc start t:c-one
judge "launch -e, and it goes when it stops" 0 '' short
judge "delete -f" 0 '' lxc delete -f t:c-one
judge "remote remove" 0 '' lxc remote remove t
echo done
