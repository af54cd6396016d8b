# Every container of one machine pings every one of the other, and the internal network carries the hosts' MAC addresses alone.
before
measured "up routed --role $me" expect 0 up routed --role "$me"
barrier routed-up
tcpdump -U -eni eth1 -w /tmp/wire.pcap icmp 2>/tmp/dump & dump=$!
until grep -q listening /tmp/dump; do sleep 0.05; done
for from in $mine; do for to in $theirs; do
  ping=$(nslab exec "$from" ping -c 2 -i 0.2 -W 5 "$to") || { echo "$ping"; fail "$from does not reach $to"; }
done; done
barrier routed-pinged
sleep 0.3; kill $dump; wait $dump || true
tcpdump -enr /tmp/wire.pcap 2>/dev/null | awk '{ print $2; print $4 }' | tr -d , | sort -u >/tmp/macs
[ "$(cat /tmp/macs)" = "$(printf '52:54:00:6e:01:01\n52:54:00:6e:02:01')" ] || { cat /tmp/macs; fail "not the MAC addresses of the two hosts alone"; }
[ "$(ip -o -4 addr show dev eth1 | grep -c 'inet 192.168.100.[12]/24')" = 1 ] || fail "the NIC has not its address"
ip route | grep -q '^default via 10.0.2.2 dev eth0' || fail "the machine's own default route is gone"
expect 0 up routed --role "$me"; says already
expect 0 check --against routed
says '45 of 45'
expect 0 status
barrier routed-checked
measured "down" expect 0 down
as_before
barrier routed-down
