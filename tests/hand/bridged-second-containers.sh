# lab: bare
# against: bridged
# verdict: pass
# why: a2 plays a1
nics
cable host-a a2 v1; bridge host-a br0 enp0s8 v1
cable host-b b2 v1; bridge host-b br0 enp0s8 v1
at host-a.a2 addr add 10.0.0.1/24 dev eth0
at host-b.b2 addr add 10.0.0.2/24 dev eth0
