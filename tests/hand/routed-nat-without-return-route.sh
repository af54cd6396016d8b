# lab: bare
# against: routed
# verdict: fail
# why: NAT: host-a changes the source
routed
at host-b route del default
on host-a nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oifname "enp0s8" masquerade'
