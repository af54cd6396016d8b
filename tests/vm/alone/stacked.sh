#!/bin/bash
# Links that stand on others, and slow ones: what trace says is what the kernel does with a ping.
set -u
for module in 8021q bonding macvlan vxlan ip_gre ipip dummy sch_netem vrf; do modprobe $module || exit 2; done
sysctl -qw net.core.fb_tunnels_only_for_init_net=1
failed=0 title=

begin() { title=$1 lab=$2; nslab up "$lab" >/tmp/ran 2>&1 || { cat /tmp/ran; exit 1; }; }
end() { nslab down "$lab" >/dev/null; }
host() { local node=$1; shift; ip -n "$lab.$node" "$@"; }
both() { local node; for node in host-a host-b; do host $node "$@"; done; }
vlan() { local node=$1; shift; ip netns exec "$lab.$node" bridge vlan "$@"; }
macvlan() { # macvlan HOST CONTAINER PARENT ADDRESS
  host "$1" link add new link "$3" type macvlan mode bridge
  host "$1" link set new netns "$lab.$1.$2" name mv
  host "$1.$2" address add "$4" dev mv; host "$1.$2" link set mv up
}
# Of the outcome: answered, or the cause with a ? where it is not certain; and whether it was as the tables say.
traced() {
  nslab trace "${1##*.}" "$2" --format json >/tmp/json 2>/tmp/ran
  awk -F'"' '/^  "outcome"/ { inside = 1 } inside && $2 == "milliseconds" { word = "answered" } inside && $2 == "cause" && word == "" { word = $4 }
    inside && $2 == "certain" { sure = /true/ ? "" : "?" } /^  "differences": \[$/ { otherwise = " otherwise" } END { print word sure otherwise }' /tmp/json
}
says() { # says FROM ADDRESS WORD: what the kernel does, and what trace says of it
  local ping=answered word
  ip netns exec "$lab.$1" ping -c 1 -W 5 "$2" >/dev/null 2>&1 || ping=dead
  word=$(traced "$1" "$2")
  if [ "$word" = "$3" ] && { [ $ping = answered ] || [ "$3" != answered ]; } && { [ $ping = dead ] || [ "${3%% *}" = answered ]; }; then
    echo "ok   $title: $1 -> $2 $3"
  else
    echo "FAIL $title: $1 -> $2 is $ping, trace says $word, not $3"; failed=1
  fi
}

begin "a VLAN" routed
for end in a:1:2 b:2:1; do
  IFS=: read -r name own other <<<"$end"
  host host-$name link add link enp0s8 name v10 type vlan id 10
  host host-$name address add 192.168.110.$own/30 dev v10; host host-$name link set v10 up
  host host-$name route replace 10.$other.0.0/16 via 192.168.110.$other
done
says host-a 192.168.110.2 answered
says host-a.a1 10.2.0.2 answered
host host-b link set v10 down; says host-a.a1 10.2.0.2 link-down
host host-b link del v10; host host-b link add link enp0s8 name v20 type vlan id 20
host host-b address add 192.168.110.2/30 dev v20; host host-b link set v20 up
says host-a 192.168.110.2 other-vlan
host host-b link del v20; host host-b address add 192.168.110.2/30 dev enp0s8
says host-a 192.168.110.2 other-vlan
host host-a link set enp0s8 down; says host-a 192.168.110.2 link-down
nslab reset -y >/tmp/ran 2>&1 && nslab status | grep -q "Nothing was made by hand" && echo "ok   $title: reset" || { cat /tmp/ran; echo "FAIL $title: reset"; failed=1; }
end

begin "a bridge that filters by VLAN" bridged
host host-b link set br0 type bridge vlan_filtering 1; says host-a.a1 10.0.0.21 answered
vlan host-b del dev veth-b1 vid 1; says host-a.a1 10.0.0.21 vlan-sorted; says host-b.b1 10.0.0.22 vlan-sorted
vlan host-b add dev veth-b1 vid 10 pvid untagged; says host-b.b1 10.0.0.22 vlan-sorted
vlan host-b add dev veth-b2 vid 10 pvid untagged; says host-b.b1 10.0.0.22 answered
host host-a link set br0 type bridge vlan_filtering 1
for node in host-a host-b; do vlan $node add dev enp0s8 vid 10; done
vlan host-a add dev veth-a1 vid 10 pvid untagged; says host-a.a1 10.0.0.21 answered
vlan host-a del dev enp0s8 vid 10; says host-a.a1 10.0.0.21 vlan-sorted
end

begin "a bond" routed
both link add bond0 type bond mode active-backup miimon 100
both link set enp0s8 down; both link set enp0s8 master bond0; both link set bond0 up
host host-a address del 192.168.100.1/24 dev enp0s8; host host-a address add 192.168.100.1/24 dev bond0
host host-b address del 192.168.100.2/24 dev enp0s8; host host-b address add 192.168.100.2/24 dev bond0
host host-a route add default via 192.168.100.2; host host-b route add default via 192.168.100.1
sleep 1; says host-a.a1 10.2.0.2 answered
host host-b link set enp0s8 down; sleep 1; says host-a.a1 10.2.0.2 link-down
nslab reset -y >/tmp/ran 2>&1 && nslab status | grep -q "Nothing was made by hand" && echo "ok   $title: reset" || { cat /tmp/ran; echo "FAIL $title: reset"; failed=1; }
end

begin "a macvlan" routed
macvlan host-a a1 enp0s8 192.168.100.11/24; macvlan host-a a2 enp0s8 192.168.100.12/24; macvlan host-b b1 enp0s8 192.168.100.21/24
says host-a 192.168.100.11 macvlan-parent; says host-a.a1 192.168.100.1 macvlan-parent
says host-b 192.168.100.11 answered; says host-a.a1 192.168.100.21 answered; says host-a.a1 192.168.100.12 answered
host host-b.b1 link set mv down; says host-a.a1 192.168.100.21 link-down
end

for kind in gre ipip; do
  begin "a tunnel ($kind)" routed
  host host-a link add t0 type $kind local 192.168.100.1 remote 192.168.100.2; host host-b link add t0 type $kind local 192.168.100.2 remote 192.168.100.1
  host host-a address add 10.9.0.1/30 dev t0; host host-b address add 10.9.0.2/30 dev t0; both link set t0 up
  host host-a route replace 10.2.0.0/16 dev t0; host host-b route replace 10.1.0.0/16 dev t0
  says host-a.a1 10.2.0.2 answered; says host-a 10.9.0.2 answered
  host host-b link set t0 down; says host-a.a1 10.2.0.2 link-down
  host host-b link del t0; says host-a.a1 10.2.0.2 tunnel-end
  end
done

begin "a VXLAN" bridged
host host-a address add 172.16.0.1/24 dev br0; host host-b address add 172.16.0.2/24 dev br0
host host-a link add vx type vxlan id 5 remote 172.16.0.2 local 172.16.0.1 dstport 4789
host host-b link add vx type vxlan id 5 remote 172.16.0.1 local 172.16.0.2 dstport 4789
host host-a address add 10.8.0.1/24 dev vx; host host-b address add 10.8.0.2/24 dev vx; both link set vx up
says host-a 10.8.0.2 answered
host host-b link set vx down; says host-a 10.8.0.2 link-down
host host-b link del vx; host host-b link add vx type vxlan id 6 remote 172.16.0.1 local 172.16.0.2 dstport 4789
host host-b address add 10.8.0.2/24 dev vx; host host-b link set vx up; says host-a 10.8.0.2 tunnel-end
end

begin "a dummy" routed
host host-b link add d0 type dummy; host host-b address add 10.50.0.1/24 dev d0; host host-b link set d0 up
says host-a 10.50.0.1 answered; says host-a 10.50.0.9 dummy
end

begin "a VRF, which is not followed" routed
host host-b link add d0 type vrf table 7; host host-b link set d0 up; host host-b route add 10.51.0.0/24 dev d0
says host-a 10.51.0.9 "not-followed?"
end

for delay in 250 700 2500; do
  begin "an answer that is late by $delay ms" routed
  ip netns exec routed.host-a tc qdisc add dev enp0s8 root netem delay ${delay}ms
  ip netns exec routed.host-a ping -c 1 -W 9 192.168.100.2 >/dev/null
  says host-a.a1 10.2.0.2 answered
  end
done
exit $failed
