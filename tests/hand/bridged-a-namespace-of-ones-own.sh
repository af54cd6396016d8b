# lab: bare
# against: bridged
# verdict: pass
# why: 50 of 50
bridged
"$NSLAB" exec "$LAB/host-a" sh -c 'ip netns add extra && ip link add v9 type veth peer name eth0 netns extra && ip link set v9 master br0 up &&
  ip -n extra addr add 10.0.0.77/24 dev eth0 && ip -n extra link set eth0 up'
