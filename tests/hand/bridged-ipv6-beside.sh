# lab: bare
# against: bridged
# verdict: pass
# why: 50 of 50
bridged
at host-a.a1 addr add fd00::1/64 dev eth0 nodad
