# lab: bare
# against: routed
# verdict: pass
# why: 45 of 45
routed
at host-a.a1 addr add fd00::1/64 dev eth0 nodad
at host-b.b1 addr add fd00:1::1/64 dev eth0 nodad
