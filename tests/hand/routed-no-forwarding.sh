# lab: bare
# against: routed
# verdict: fail
# why: does not forward IPv4
routed
on host-b sysctl -qw net.ipv4.ip_forward=0
