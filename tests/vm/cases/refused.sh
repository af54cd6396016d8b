# NICs that somebody needs: refused with the fact and the flag that overrides it, and nothing is changed.
before
refused() { # refused CODE SAYS MORE...
  local code=$1 said=$2; shift 2
  expect "$code" up bridged --role "$me" "$@"; says "$said"
  [ ! -e /run/nslab ] || fail "refused, but /run/nslab is there"
}
refused 4 'carries a default route' --nic eth0
says 'allow default-route,address'
refused 4 '10.0.2.15/24' --nic eth0 --allow default-route
refused 2 'eth9' --nic eth9
ip addr add 192.168.56.7/24 dev eth1; ip link set eth1 up
export SSH_CONNECTION='192.168.56.1 50000 192.168.56.7 22'
expect 4 up routed --role "$me" --nic eth1; says 'SSH session comes in by it'; says 'allow ssh'
export SSH_CONNECTION=
refused 4 '192.168.56.7/24' --nic eth1
# Two free NICs or none: the list says how each stands.
ip addr flush dev eth1
ip link add other type bridge; ip link set eth1 master other
refused 4 'port of other' --nic eth1 --allow default-route,ssh,address,wifi,managed
ip link del other
ip addr add 192.168.56.7/24 dev eth1
refused 2 'eth1'
ip addr flush dev eth1; ip link set eth1 down
expect 2 up bridged --role nobody; says host-a
as_before
