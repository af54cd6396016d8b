# The machine's only way in, eth0, goes into the bridge, and nobody types `nslab keep`: the watchdog puts it back, whoever is killed.
nics() { ip -o link show eth0 | cut -d' ' -f2-; ip -o -4 addr show eth0; ip route show table all; }
back() { # back SECONDS WHAT
  for _ in $(seq $(($1 * 10))); do nics >/tmp/now; cmp -s /tmp/nics /tmp/now && [ ! -d /sys/class/net/br0 ] && return; sleep 0.1; done
  diff /tmp/nics /tmp/now || true; ip -br link; nslab status || true; cat /run/nslab/bridged/watch.log || true; fail "not put back: $2"
}
before; nics >/tmp/nics
take() { nslab up bridged --role "$me" --nic eth0 --allow default-route,address --confirm-within "$1"; }
for round in 1 2; do
  take 2s >/tmp/ran || { cat /tmp/ran; fail "up"; }
  says 'nslab keep'
  ip -o -4 addr show br0 | grep -q 10.0.2.15 || fail "the address has not moved"
  ip route | grep -q '^default.* br0' || fail "the route has not moved"
  back 15 "round $round"
  expect 0 down
done
# The applying process killed at any moment: the watchdog alone heals.
for after in 0.1 0.25 0.4; do
  take 2s >/dev/null 2>&1 & pid=$!
  sleep $after; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
  back 15 "up killed after $after s"
  expect 0 down
done
# Both killed: `down` heals.
for after in 0.15 0.4; do
  take 60s >/dev/null 2>&1 & pid=$!
  sleep $after; kill -9 $pid 2>/dev/null || true; wait $pid 2>/dev/null || true
  for dog in /proc/[0-9]*; do
    if tr '\0' ' ' <"$dog/cmdline" 2>/dev/null | grep -q '^[^ ]*\(nslab\|exe\) watch-nic'; then kill -9 "${dog#/proc/}" || true; fi
  done
  nslab down >/tmp/ran 2>&1 || { cat /tmp/ran; fail "down"; }
  back 1 "up and watchdog killed after $after s, then down"
done
# Kept: it stays, and `down` puts it back.
take 3s >/dev/null; expect 0 keep
sleep 4
ip -o -4 addr show br0 | grep -q 10.0.2.15 || fail "kept, but put back"
expect 0 down
as_before
