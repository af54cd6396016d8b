# lab: bare
# against: routed
# verdict: fail
# why: without crossing internal: it left by host-b.short
routed
at host-a link add short type veth peer name short netns "$LAB.host-b"
at host-a link set short up; at host-b link set short up
at host-a addr add 192.168.9.1/30 dev short; at host-b addr add 192.168.9.2/30 dev short
at host-b route replace default via 192.168.9.1
