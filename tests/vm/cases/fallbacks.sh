# Modules that put devices of their own into every namespace, from index 2 on: loaded before `up`, while a lab is up, and while nslab works.
# One machine takes some of them, the other the rest.
if [ "$me" = host-a ]; then modules="ipip ip_gre ip_vti"; else modules="sit ip6_tunnel"; fi
declare -A devices=([ipip]=tunl0 [ip_gre]="gre0 gretap0 erspan0" [ip_vti]=ip_vti0 [sit]=sit0 [ip6_tunnel]=ip6tnl0)
sed '/^    bridges:.*enp0s8/{n;s/$/\n      new: { nics: { eth0: { bridge: br0, address: 10.0.0.NR\/24 } } }/}' /payload/topologies/bridged.yaml |
  awk '/NR/ { sub("NR", 30 + ++n); sub("new", "n" n) } { print }' >/tmp/changed.yaml
cp /payload/topologies/bridged.yaml /tmp/lab.yaml
grep -q 'n2: ' /tmp/changed.yaml || fail "the file has not changed"
unload() { rmmod "$1"; for rest in ip_vti ip_gre gre ip_tunnel tunnel4 tunnel6; do rmmod $rest 2>/dev/null || true; done; }
# The lab is as the file says, with the devices in every node and nobody taking notice.
silent() { # silent DEVICE...
  local node dev
  expect 0 status; says 'as described'
  says 'Nothing was made by hand'
  expect 0 graph bridged
  for dev; do
    for node in host-a a1; do ip -n bridged.${node/a1/host-a.a1} link show "$dev" >/dev/null || fail "$node has no $dev"; done
    if grep -q "$dev" /tmp/ran; then cat /tmp/ran; fail "draws $dev"; fi
  done
}
# Everything that is done to a lab that is up.
works() { # works DEVICE...
  silent "$@"
  expect 0 show a1; says 'eth0.*10.0.0.11'
  expect 0 show host-a; says br0
  expect 0 up /tmp/lab.yaml; says already
  expect 0 launch host-a/a3
  expect 0 restart a3
  expect 0 restart a1
  expect 0 stop a1 a3
  expect 0 start a1
  expect 0 delete a3
  expect 0 up /tmp/changed.yaml
  nslab exec n1 ping -c 1 -W 20 10.0.0.21 >/dev/null || fail "n1 reaches nobody"
  expect 0 up /tmp/lab.yaml
  silent "$@"
}
# What somebody does to one of them is handwork, and is undone; the device stays.
touched() { # touched DEVICE
  ip -n bridged.host-a link set "$1" up
  ip -n bridged.host-a addr add 192.0.2.1/24 dev "$1"
  expect 0 status; says '^2 .*by hand'
  expect 0 plan bridged --by-hand; says "link set $1 up"; says '192.0.2.1/24'
  if grep -q "link add" /tmp/ran; then cat /tmp/ran; fail "makes $1 again"; fi
  expect 0 reset --yes; says '2 operations'
  silent "$1"
  [ -z "$(ip -n bridged.host-a -o addr show dev "$1"; ip -n bridged.host-a -br link show "$1" | grep -w '<.*UP.*>')" ] || fail "$1 is not as before"
}
before
for module in $modules; do
  set -- ${devices[$module]}
  modprobe "$module"
  expect 0 doctor; for dev; do says "$dev"; done
  expect 0 up /tmp/lab.yaml
  works "$@"
  touched "$1"
  expect 0 check bridged; says '50 of 50'
  expect 0 reset --yes; says 'nothing to do'
  expect 0 down
  unload "$module"
  expect 0 up /tmp/lab.yaml
  modprobe "$module"
  works "$@"
  expect 0 down
  unload "$module"
  # While nslab works.
  for after in 0 0.1; do
    nslab up /tmp/lab.yaml >/tmp/ran 2>&1 & pid=$!
    sleep $after; modprobe "$module"
    wait $pid || { cat /tmp/ran; fail "up, with $module loaded after $after s"; }
    silent
    expect 0 down
    unload "$module"
  done
  expect 0 up /tmp/lab.yaml
  nslab launch host-a/a3 >/tmp/ran 2>&1 & pid=$!
  sleep 0.05; modprobe "$module"
  wait $pid || { cat /tmp/ran; fail "launch, with $module loaded meanwhile"; }
  silent "$@"
  expect 0 down
  unload "$module"
done
as_before
