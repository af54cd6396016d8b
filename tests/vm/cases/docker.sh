# docker's rules with br_netfilter: `up` names what drops, no ping passes, and each cure lets them pass when it is typed as it was printed.
sudo() { "$@"; }
cure() { # cure NUMBER WHAT: types what was printed after that
  local line
  line=$(grep -A 5 "$2" /tmp/ran | sed -n 's/^ *try: //p' | sed -n "$1p")
  [ -n "$line" ] || { cat /tmp/ran; fail "no cure $1 for: $2"; }
  echo "types: $line"
  eval "$line"
}
pings() { # pings SECONDS NUMBER: a container asks the other three; how many are to answer
  local from=${mine%% *} to answered=0
  for to in ${mine#* } $theirs; do
    if nslab exec "$from" ping -c 1 -W "$1" "$to" >/dev/null; then answered=$((answered + 1)); fi
  done
  [ "$answered" = "$2" ] || fail "$answered pings are answered, not $2"
}
modprobe br_netfilter
sysctl -qw net.bridge.bridge-nf-call-iptables=1
iptables -P FORWARD DROP
for chain in DOCKER DOCKER-USER DOCKER-ISOLATION-STAGE-1; do iptables -N $chain; done
iptables -A FORWARD -j DOCKER-USER
iptables -A FORWARD -j DOCKER-ISOLATION-STAGE-1
iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A FORWARD -o docker0 -j DOCKER
iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
iptables -A DOCKER-USER -j RETURN
iptables -Z
before
# One machine types the first way out, the other the second.
if [ "$me" = host-a ]; then which=1; else which=2; fi
expect 0 up bridged --role "$me"; says 'where docker has rules'
what='frames between the ports of br0 are dropped'
says "$what"
barrier docker-bridged-up
pings 1 0
barrier docker-bridged-dropped
cure $which "$what"
barrier docker-bridged-cured
pings 5 3
expect 0 up bridged
if grep -q dropped /tmp/ran; then cat /tmp/ran; fail "still named"; fi
barrier docker-bridged-pinged
expect 0 down
iptables -D FORWARD -i br0 -o br0 -j ACCEPT 2>/dev/null || true
sysctl -qw net.bridge.bridge-nf-call-iptables=1
iptables -Z
as_before
expect 0 up routed --role "$me"
what='packets that this machine forwards'
says "$what from eth1, "
barrier docker-routed-up
cure 1 "$what"
[ "$me" = host-b ] || cure 1 'frames between the ports of br0 are dropped'
barrier docker-routed-cured
pings 5 3
barrier docker-routed-pinged
expect 0 down
iptables -P FORWARD ACCEPT; iptables -F; iptables -X; nft flush ruleset
rmmod br_netfilter 2>/dev/null || true
