# lab: bare
# against: bridged
# verdict: fail
# why: is a port of br1, not of br0
bridged
at host-a link add br1 type bridge; at host-a link set br1 up
at host-a link set v1 master br1
at host-a link add t0 type veth peer name t1
for end in t0 t1; do at host-a link set $end up; done
at host-a link set t0 master br0; at host-a link set t1 master br1
