# Every container of one machine pings every one of the other, and the internal network carries the containers' own MAC addresses.
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
[ "$(grep -c '^02:00:0[12]:00:0[12]:00$' /tmp/macs)" = 4 ] || { cat /tmp/macs; fail "not the MAC addresses of the four containers"; }
if grep -q '^52:54:' /tmp/macs; then cat /tmp/macs; fail "a host's MAC address on a routed network"; fi
[ -z "$(ip -o addr show dev eth1 | grep 'inet ')" ] || fail "the NIC in the bridge has an address"
expect 0 up routed --role "$me"; says already
expect 0 check --against routed
says '50 of 50'
expect 0 status
barrier routed-checked
measured "down" expect 0 down
as_before
barrier routed-down
