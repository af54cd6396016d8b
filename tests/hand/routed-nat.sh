# lab: bare
# against: routed
# verdict: fail
# why: NAT: host-a changes the source
routed
on host-a nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oifname "enp0s8" masquerade'
