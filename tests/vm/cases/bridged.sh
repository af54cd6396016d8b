# Every container of one machine pings every one of the other, and the internal network carries the containers' own MAC addresses.
wire() {
  [ "$(grep -c '^02:00:0[12]:00:0[12]:00$' /tmp/macs)" = 4 ] || { echo "not the MAC addresses of the four containers"; return 1; }
  ! grep '^52:54:' /tmp/macs || { echo "a host's MAC address on a bridged network"; return 1; }
}
nic() { [ -z "$(ip -o addr show dev eth1 | grep 'inet ')" ] || fail "the NIC in the bridge has an address"; }
halves bridged '50 of 50'
