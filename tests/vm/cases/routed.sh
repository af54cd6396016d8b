# Every container of one machine pings every one of the other, and the internal network carries the hosts' MAC addresses alone.
wire() {
  [ "$(cat /tmp/macs)" = "$(printf '52:54:00:6e:01:01\n52:54:00:6e:02:01')" ] || { echo "not the MAC addresses of the two hosts alone"; return 1; }
}
nic() {
  [ "$(ip -o -4 addr show dev eth1 | grep -c 'inet 192.168.100.[12]/24')" = 1 ] || fail "the NIC has not its address"
  ip route | grep -q '^default via 10.0.2.2 dev eth0' || fail "the machine's own default route is gone"
}
halves routed '45 of 45'
