# lab: bare
# against: routed
# verdict: fail
# why: overlap
routers
cable host-a a1 v1; cable host-a a2 v2; cable host-b b1 v1
bridge host-a br0 v1 v2
at host-a addr add 10.0.0.254/32 dev br0
at host-a.a1 addr add 10.0.0.1/24 dev eth0
at host-a.a2 addr add 10.0.0.3/24 dev eth0
at host-b.b1 addr add 10.0.0.2/24 dev eth0
for one in 1 3; do at host-a route add 10.0.0.$one/32 dev br0; at host-b route add 10.0.0.$one/32 via 192.168.1.1; done
at host-a route add 10.0.0.2/32 via 192.168.1.2
at host-b route add 10.0.0.2/32 dev v1
for host in host-a host-b; do on $host sysctl -qw net.ipv4.conf.all.proxy_arp=1; done
