#!/bin/sh
# A gateway for the main table is looked for by the policy rules, one for another table in that table: where no rule leads to the main
# table, a route is taken into table 100 and refused in the main one, with the same gateway on the same connected subnet.
#
# Kernel: seen on Linux 6.18; fib_check_nh_v4_gw() in net/ipv4/fib_semantics.c asks a table of its own choice first only where that is not
#   RT_TABLE_MAIN, and fib_lookup(), which follows the rules, otherwise.
# One would guess: whether a gateway is on a connected subnet does not depend on "ip rule"; the connected route is there all the time.
# Seen: after "ip rule del preference 32766" the main table still lists the connected route, "ip route add default via" says
#   "Nexthop has invalid gateway"; the same line with "table 100", which holds a copy of the connected route, is taken.
# What follows: who foretells whether a route is taken has to look at the rules too, and a lost rule has to be mended before routes are.
set -eu
for program in unshare ip; do command -v $program >/dev/null || exit 77; done
[ "$(id -u)" = 0 ] || exit 77
uname -sr
exec unshare -n sh -eu -c '
ip link add n0 type veth peer name f0
ip link set n0 up
ip link set f0 up
ip address add 10.9.1.1/24 dev n0
ip route add 10.9.1.0/24 dev n0 table 100
ip route add default via 10.9.1.2
ip route del default
ip rule del preference 32766
ip route show table main | grep "10.9.1.0/24 dev n0"
if why=$(ip route add default via 10.9.1.2 2>&1); then exit 1; fi
echo "main: $why"
case $why in *"invalid gateway"*) ;; *) exit 1 ;; esac
ip route add default via 10.9.1.2 table 100
echo "100: $(ip route show table 100 default)"
'
