# lab: bare
# against: bridged
# verdict: pass
# why: puente
nics
cable host-a a1 nadie; bridge host-a puente enp0s8 nadie
cable host-b b1 tap7; bridge host-b lan enp0s8 tap7
at host-a.a1 addr add 172.16.5.9/20 dev eth0
at host-b.b1 addr add 172.16.9.200/20 dev eth0
