# lab: bare
# against: routed
# verdict: fail
# why: so the bridge leads out of the host
bridged
cable host-a a2 v2; at host-a link set v2 master br0
at host-a.a2 addr add 10.0.0.3/24 dev eth0
forward host-a host-b
