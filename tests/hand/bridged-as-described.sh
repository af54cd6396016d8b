# lab: bare
# against: bridged
# verdict: pass
# why: plays host-a
bridged
