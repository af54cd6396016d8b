# lab: bare
# against: routed
# verdict: pass
# why: 45 of 45
nics
at host-a addr add 172.31.255.1/30 dev enp0s8
at host-b addr add 172.31.255.2/30 dev enp0s8
forward host-a host-b
at host-a route replace default via 172.31.255.2
at host-b route replace default via 172.31.255.1
behind host-a a2 a1 192.168.77
link host-b b2 veth-to-b2 192.168.99.1/30 192.168.99.2/30
