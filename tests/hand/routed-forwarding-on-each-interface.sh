# lab: bare
# against: routed
# verdict: pass
# why: 45 of 45
routed
for host in host-a host-b; do
  on $host sysctl -qw net.ipv4.ip_forward=0
  for dev in $(ip -n "$LAB.$host" -br link | sed 's/[@ ].*//' | grep -v '^lo$'); do on $host sysctl -qw net.ipv4.conf.$dev.forwarding=1; done
done
