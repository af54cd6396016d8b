# Every container of one machine pings every one of the other, and the internal network carries the containers' own MAC addresses.
wire() {
  [ "$(grep -c '^02:00:0[12]:00:0[12]:00$' /tmp/macs)" = 4 ] || { echo "not the MAC addresses of the four containers"; return 1; }
  ! grep '^52:54:' /tmp/macs || { echo "a host's MAC address on a bridged network"; return 1; }
}
nic() {
  [ -z "$(ip -o addr show dev eth1 | grep 'inet ')" ] || fail "the NIC in the bridge has an address"
  # An agent has no address to be reached at until somebody gives the bridge one.
  expect 0 agent start "$me"
  expect 3 agent token "$me" --name other; says 'core.https_address'
  ip addr add 192.168.100.$VM_INDEX/24 dev br0
  nslab exec "$me" lxc config set core.https_address 192.168.100.$VM_INDEX
  expect 0 agent token "$me" --name other
  [ -n "$(ss -Hltn "src 192.168.100.$VM_INDEX:8443")" ] || fail "the agent does not listen where it was told to"
}
halves bridged '50 of 50'
expect 0 agent forget bridged
