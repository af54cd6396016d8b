#!/bin/sh
# A path MTU that an IPv4 node has learned is listed only after somebody has asked for the route since.
#
# Kernel: seen on Linux 6.18; fib_dump_info_fnhe() in net/ipv4/route.c lists an exception where a route has been cached in it,
#   which rt_bind_exception() does at the next lookup, not ip_rt_update_pmtu() when the ICMP error comes in.
# One would guess: "ip route show cache" and a netlink dump with the flag for cached routes list what routers have told.
# Seen: after ping(8) with "don't fragment" was told of a smaller MTU the list is empty; after "ip route get" to the same address, which sends
#   nothing, the entry is there with its MTU, and with the time to expire of the first error.
# What follows: who wants to know whether a small MTU was learned asks for the way (ip route get, or connect(2) and IP_MTU) before a dump.
set -eu
for program in unshare ip ping; do command -v $program >/dev/null || exit 77; done
[ "$(id -u)" = 0 ] || exit 77
uname -sr
# Three namespaces in a row; the second link of the router takes 1300 bytes at most.
exec unshare -nm sh -eu -c '
mount --make-rprivate / && mount -t tmpfs none /run
for name in near router there; do ip netns add $name; done
ip link add n0 netns near type veth peer name r0 netns router
ip link add r1 netns router type veth peer name t0 netns there
ip -n near address add 10.9.1.1/24 dev n0
ip -n router address add 10.9.1.2/24 dev r0
ip -n router address add 10.9.2.1/24 dev r1
ip -n there address add 10.9.2.2/24 dev t0
for end in "near n0" "router r0" "router r1" "there t0"; do set -- $end; ip -n $1 link set $2 up; done
ip -n near route add default via 10.9.1.2
ip -n there route add default via 10.9.2.1
ip netns exec router sh -c "echo 1 >/proc/sys/net/ipv4/ip_forward"
ip -n router link set r1 mtu 1300
ip netns exec near ping -c 1 -W 2 10.9.2.2 >/dev/null
ip netns exec near ping -c 1 -W 1 -M do -s 1400 10.9.2.2 >/dev/null 2>&1 && exit 1
first=$(ip -n near route show cache)
ip -n near route get 10.9.2.2 >/dev/null
second=$(ip -n near route show cache)
echo "after the error: ${first:-nothing is listed}"
echo "after a lookup: $second"
[ -z "$first" ] || exit 1
case $second in *"mtu 1300"*) ;; *) exit 1 ;; esac
'
