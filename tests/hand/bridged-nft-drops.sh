# lab: bare
# against: bridged
# verdict: fail
# why: A packet filter in a1 drops it
bridged
on host-a.a1 nft 'add table ip t; add chain ip t c { type filter hook input priority 0; }; add rule ip t c ip saddr 10.0.0.2 drop'
