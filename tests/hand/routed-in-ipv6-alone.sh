# lab: bare
# against: routed
# verdict: pass
# why: 45 of 45
nics
at host-a addr add fd00::1/64 dev enp0s8 nodad
at host-b addr add fd00::2/64 dev enp0s8 nodad
for host in host-a host-b; do on $host sysctl -qw net.ipv6.conf.all.forwarding=1; done
at host-a -6 route replace default via fd00::2
at host-b -6 route replace default via fd00::1
cable host-a a1 v1; cable host-a a2 v2; bridge host-a br0 v1 v2
at host-a addr add fd00:1::1/64 dev br0 nodad
for one in a1 a2; do
  at host-a.$one addr add fd00:1::1${one#a}/64 dev eth0 nodad
  at host-a.$one -6 route add default via fd00:1::1
done
cable host-b b1 p1
at host-b addr add fd00:2::1/126 dev p1 nodad
at host-b.b1 addr add fd00:2::2/126 dev eth0 nodad
at host-b.b1 -6 route add default via fd00:2::1
