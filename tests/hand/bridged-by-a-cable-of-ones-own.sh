# lab: bare
# against: bridged
# verdict: fail
# why: so the bridge leads out of the host
bridged
at host-a link set enp0s8 nomaster; at host-b link set enp0s8 nomaster
at host-a link add short type veth peer name short netns "$LAB.host-b"
for host in host-a host-b; do at $host link set short up; at $host link set short master br0; done
