# The machine's only way in, eth0, goes into the bridge, and nobody types `nslab keep`: the watchdog puts it back, whoever is killed.
nics() { ip -o link show eth0 | cut -d' ' -f2-; ip -o -4 addr show eth0; ip route show table all; }
home() { nics >/tmp/now; cmp -s /tmp/nics /tmp/now && [ ! -d /sys/class/net/br0 ]; }
back() { # back WHAT
  within 60 home && return
  diff /tmp/nics /tmp/now || true; ip -br link; nslab status || true; cat /run/nslab/bridged/watch.log || true; fail "not put back: $1"
}
before; nics >/tmp/nics
take() { nslab up bridged --role "$me" --nic eth0 --allow default-route,address --confirm-within "$1"; }
seconds=1
# Takes eth0, then runs the command; where the machine is so slow that the time is over first, again with twice of it.
in_time() { # in_time COMMAND...
  local code
  until code=0; { take ${seconds}s && "$@"; } >/tmp/ran 2>&1 || code=$?; [ $code = 0 ]; do
    [ $code = 6 ] || [ $code = 137 ] || { cat /tmp/ran; fail "up ended with $code"; }
    back "up that took longer than $seconds s"
    gone
    seconds=$((seconds * 2))
    [ $seconds -le 64 ] || fail "up takes longer than a minute"
  done
}
# Five times on each of four machines.
for round in 1 2 3 4 5; do
  in_time true
  says 'nslab keep'
  back "round $round"
  expect 6 keep
  gone
done
# The applying process killed at any moment: the watchdog alone heals.
for after in 0.1 0.25 0.4; do
  take 2s >/dev/null 2>&1 & pid=$!
  sleep $after; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
  back "up killed after $after s"
  gone
done
# Both killed: `down` heals.
for after in 0.15 0.4; do
  take 60s >/dev/null 2>&1 & pid=$!
  sleep $after; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
  for dog in /proc/[0-9]*; do
    if tr '\0' ' ' <"$dog/cmdline" 2>/dev/null | grep -q '^[^ ]*\(nslab\|exe\) watch-nic'; then kill -9 "${dog#/proc/}" || true; fi
  done
  gone
  home || back "up and watchdog killed after $after s, then down"
done
# Kept: it stays when the time is over, and `down` puts it back.
in_time nslab keep
sleep $((seconds + 1))
ip -o -4 addr show br0 | grep -q 10.0.2.15 || fail "kept, but put back"
ip route | grep -q '^default.* br0' || fail "the route has not moved"
expect 0 down
as_before
