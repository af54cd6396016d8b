# Each machine commands the containers of the other, as docs/two-machines.md has it: its blocks are typed, each on the machine that it names.
if [ "$me" = host-a ]; then far=host-b address=192.168.100.1; else far=host-a address=192.168.100.2; fi
first=${mine%% *} theirs_first=${theirs%% *}
is() { # is TEXT COMMAND...: what a command prints
  local text=$1 got; shift
  got=$("$@") || fail "$* ended with $?: $got"
  [ "$got" = "$text" ] || fail "$* printed '$got', not '$text'"
}
ends() { # ends CODE COMMAND...
  local wanted=$1 got=0; shift
  "$@" || got=$?
  [ "$got" = "$wanted" ] || fail "$* ended with $got, not $wanted"
}
block() { # block NUMBER: the text of a block of that section; none behind the last
  awk -v number="$1" '/^## /{ inside = /^## The containers of the other machine/ } !inside { next }
    /^```sh host-/ { block++; here = block == number; if (here) print "# " $2; next } /^```/ { here = 0 } here' /payload/two-machines.md
}
typed() { # typed FILE: in the shell of this host; what it says in /tmp/typed
  nslab exec "$me" bash -ex "$1" >/tmp/typed 2>&1 </dev/null || { cat "$1" /tmp/typed; fail "what the document says"; }
}
fetched() { busybox nc -w 20 192.168.100.2 9000 </dev/null >/tmp/token && [ -s /tmp/token ]; }
# What this machine sees of the container that the other one commanded, from the last thing that was typed there.
looked() { # looked TEXT
  local last name seen
  last=$(grep -E 'lxc|nslab' <<<"$1" | grep "$me:[ab]3" | tail -n 1 || true); [ -n "$last" ] || return 0
  name=$(grep -o '[ab]3' <<<"$last")
  seen=$(ip netns list | grep -c "^remote.$me.$name\>" || true)
  case $last in
    *launch*) [ "$seen" = 1 ] && is "$name" nslab exec "$name" hostname;;
    *stop*) [ "$seen" = 0 ] && nslab status | grep -q '1 stopped';;
    *delete*) [ "$seen" = 0 ] && ! nslab status | grep -q '1 stopped\|1 launched';;
  esac || { ip netns list; nslab status; fail "after '$last' this machine does not look so"; }
}

before
# Two machines never agree on the time: a certificate that host-a has just made begins to hold when it is a minute and a half later on host-b.
[ "$me" = host-b ] || date -s "@$(($(date +%s) + 90))" >/dev/null
expect 0 up remote --role "$me"
expect 0 status; says "Agents that run: $me"
is "$address:8443" sh -c "ss -Hltn | awk '{ print \$4 }' | grep 8443"
barrier agents-up
[ "$me" = host-b ] || { expect 1 check; says 'sudo nslab agent token host-b --name host-a'; }
number=1
until text=$(block $number); [ -z "$text" ]; do
  if [ "$text" != "${text#\# $me}" ]; then
    if grep -q TOKEN <<<"$text"; then
      within 60 fetched || fail "no token came over the network"
      text=${text/TOKEN/$(tail -n 1 /tmp/token)}
    fi
    printf '%s\n' "$text" >/tmp/block
    measured "block $number of the document" typed /tmp/block
    if grep -q 'agent token' <<<"$text"; then busybox nc -l -p 9000 <<<"$(tail -n 1 /tmp/typed)" >/dev/null & fi
    if grep -q 'nslab check' <<<"$text"; then grep -q '5 of 5' /tmp/typed || { cat /tmp/typed; fail "check does not give the points"; } fi
  fi
  barrier "agents-$number"
  [ "$text" != "${text#\# $me}" ] || looked "$text"
  barrier "agents-$number-seen"
  number=$((number + 1))
done
[ $number -gt 6 ] || fail "only $number blocks in the document"

# What a command in a far container says, reads and ends with, by the stock client and by nslab.
export LXD_DIR=/run/nslab/remote/agent/$me LXD_CONF=/var/lib/nslab/agents/remote/$me/client
if [ "$me" = host-a ]; then run() { lxc exec "$far:$theirs_first" -- "$@"; }; else run() { nslab exec "$far:$theirs_first" "$@"; }; fi
ends 7 run sh -c 'exit 7' </dev/null
typed_in() { echo typed | run cat; }
is typed typed_in
if [ "$me" = host-a ]; then
  echo pushed >/tmp/pushed
  lxc file push -q /tmp/pushed "$far:$theirs_first/root/pushed"
  is pushed lxc file pull -q "$far:$theirs_first/root/pushed" -
  is pushed nslab exec "$far:$theirs_first" cat /root/pushed </dev/null
  [ ! -e /root/pushed ] || fail "a file of a container is the machine's"
fi
barrier agents-commanded

# The agent of host-b is killed: its containers and what runs in them go on, a new one knows them and whom the old one trusted.
runs() { pgrep -f "$1" >/dev/null; }
ended() { ! runs "$1"; }
if [ "$me" = host-b ]; then
  nslab exec b1 sleep 4001 & local=$!
  within 60 runs '^sleep 4001'
  kill -9 "$(pgrep -f 'serve-agent remote host-b')"
  within 60 ended 'serve-agent remote host-b'
  expect 1 status; says 'should run and do not: host-b'
  expect 0 up remote; says 'as described again'
  runs '^sleep 4001' || fail "what ran in b1 ended with the agent"
fi
barrier agents-killed
[ "$me" = host-b ] || is "$(printf '%s,RUNNING\n' $theirs)" lxc list "$far:" -c ns -f csv

# The network breaks: what host-a runs in containers of host-b ends there within half a minute. On one pair of machines only: the waiting is long.
far_sleeps() { # far_sleeps NUMBER: on host-a, until it is ended
  case $1 in
    4002) lxc exec host-b:b1 -- sleep 4002;;
    4003) script -qec 'lxc exec host-b:b1 -- sleep 4003' /dev/null;;
    4004) nslab exec host-b:b2 sleep 4004;;
  esac </dev/null >"/tmp/far-$1" 2>&1
}
if [ "$VM_PART" = 0 ]; then
  clients=
  for number in 4002 4003 4004; do
    if [ "$me" = host-a ]; then
      far_sleeps $number & clients="$clients $!"
    else
      within 60 runs "^sleep $number" || fail "sleep $number does not run"
    fi
    barrier "agents-$number" || { cat "/tmp/far-$number"; fail "the client says this"; }
  done
  if [ "$me" = host-b ]; then
    nft 'table inet cable { chain in { type filter hook input priority 0; iif eth1 drop; }; chain out { type filter hook output priority 0; oif eth1 drop; }; }'
    measured "commands go on after the network has broken" within 30 ended '^sleep 400[234]' || { pgrep -af sleep; fail "they go on for longer"; }
    nft delete table inet cable
    runs '^sleep 4001' || fail "a command of the machine's own ended, too"
  fi
  barrier agents-mended
  if [ "$me" = host-a ]; then
    kill -9 $clients 2>/dev/null || true
    within 60 lxc exec host-b:b1 -- true </dev/null || fail "the remote is not valid any more"
  fi
fi
if [ "$me" = host-a ]; then
  # What is left running goes with the lab.
  lxc launch host-b:host host-b:b4 </dev/null
fi
barrier agents-left
expect 0 down
if [ "$me" = host-b ]; then wait "$local" || true; fi
ended serve-agent || fail "an agent outlives its lab"
as_before
expect 0 agent forget remote
[ ! -e /var/lib/nslab ] || fail "keys are left behind"
barrier agents-down
