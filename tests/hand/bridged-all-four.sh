# lab: bare
# against: bridged
# verdict: pass
# why: 50 of 50
bridged
cable host-a a2 v2; at host-a link set v2 master br0
cable host-b b2 v2; at host-b link set v2 master br0
at host-a.a2 addr add 10.0.0.3/24 dev eth0
at host-b.b2 addr add 10.0.0.4/24 dev eth0
