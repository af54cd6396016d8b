# lab: bare
# against: bridged
# verdict: fail
# why: is no port of
routers
cable host-a a1 v1; cable host-b b1 v1
at host-a.a1 addr add 10.0.0.1/24 dev eth0
at host-b.b1 addr add 10.0.0.2/24 dev eth0
at host-a route add 10.0.0.1/32 dev v1; at host-a route add 10.0.0.2/32 via 192.168.1.2
at host-b route add 10.0.0.2/32 dev v1; at host-b route add 10.0.0.1/32 via 192.168.1.1
for host in host-a host-b; do on $host sysctl -qw net.ipv4.conf.all.proxy_arp=1; done
bridge host-a br0; bridge host-b br0
