# lab: bare
# against: bridged
# verdict: fail
# why: on host-a; none is on the other host
nics
cable host-a a1 v1; cable host-a a2 v2; bridge host-a br0 enp0s8 v1 v2
bridge host-b br0 enp0s8
at host-a.a1 addr add 10.0.0.1/24 dev eth0
at host-a.a2 addr add 10.0.0.2/24 dev eth0
