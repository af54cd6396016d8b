#!/bin/sh
# Two hosts with a real LXD each, joined by their enp0s8, on one kernel: runs `nslab plan TOPOLOGY --as lxc` on both and pings.
#
#   two-hosts.sh NSLAB TOPOLOGY FROM TO...    (as root, in network, mount and PID namespaces of its own with an empty /run)
#
# FROM is HOST/CONTAINER, every TO an address. Prints "answered" or "no answer" for each; the daemons end with the box.
set -eu
nslab=$1 topology=$2 from=$3
shift 3
home=/run/two-hosts
mkdir $home
say() { echo "two-hosts.sh: $*" >&2; }

# LXD leaves empty control groups behind; those that were not there before go.
groups() { find $home/cgroups/ -depth -type d -path '*/lxc*' | sort; }
leave() {
  for host in host-a host-b; do
    for name in $(on $host lxc list -c n --format csv); do on $host lxc stop -f "$name" || true; done
    on $host lxd shutdown --timeout 30 || true
  done
  groups > $home/groups.after
  comm -13 $home/groups.before $home/groups.after | sort -r | while read -r group; do rmdir "$group" || true; done
}

# A host is a network namespace with lxdbr0 as `lxd init` makes it, and LXD's cgroups, which `ip netns exec` hides.
mkdir -p /run/netns "$home/cgroups"
mount --rbind /sys/fs/cgroup "$home/cgroups"
groups > $home/groups.before
for host in host-a host-b; do
  ip netns add $host
  ip -n $host link set lo up
done
ip -n host-a link add enp0s8 type veth peer name enp0s8 netns host-b

# The image: busybox, and an init that waits.
mkdir -p "$home/image/rootfs/bin" "$home/image/rootfs/sbin" "$home/image/rootfs/dev" "$home/image/rootfs/proc" \
  "$home/image/rootfs/sys" "$home/image/rootfs/etc" "$home/image/rootfs/tmp" "$home/image/rootfs/root"
cp "$(command -v busybox)" "$home/image/rootfs/bin/busybox"
for name in sh ip ping sleep true; do ln -s busybox "$home/image/rootfs/bin/$name"; done
printf '#!/bin/sh\nexec sleep 100000\n' > "$home/image/rootfs/sbin/init"
chmod 755 "$home/image/rootfs/sbin/init"
printf 'root:x:0:0:root:/root:/bin/sh\n' > "$home/image/rootfs/etc/passwd"
printf 'root:x:0:\n' > "$home/image/rootfs/etc/group"
printf 'architecture: %s\ncreation_date: 1700000000\nproperties: { description: busybox, os: busybox, release: "1" }\n' "$(uname -m)" \
  > "$home/image/metadata.yaml"
tar -C "$home/image" -czf "$home/busybox.tar.gz" metadata.yaml rootfs

on() { # HOST COMMAND...: on that host, as its root
  host=$1
  shift
  LXD_DIR=$home/$host LXD_CONF=$home/$host.conf ip netns exec "$host" "$@"
}
trap leave EXIT
for host in host-a host-b; do
  mkdir -p "$home/$host" "$home/$host.conf"
  on $host sh -c "mount --rbind $home/cgroups /sys/fs/cgroup; exec lxd --group root --logfile $home/$host.log" >"$home/$host.out" 2>&1 &
done
for host in host-a host-b; do
  on $host lxd waitready --timeout 60 || { cat "$home/$host.log" "$home/$host.out" >&2; exit 1; }
  on $host lxc storage create default dir >/dev/null
  ip -n $host link add lxdbr0 type bridge
  ip -n $host addr add 10.155.0.1/24 dev lxdbr0
  ip -n $host link set lxdbr0 up
  on $host lxc profile device add default root disk path=/ pool=default >/dev/null
  on $host lxc profile device add default eth0 nic nictype=bridged parent=lxdbr0 name=eth0 >/dev/null
  on $host lxc image import "$home/busybox.tar.gz" --alias busybox >/dev/null
done
for host in host-a host-b; do
  "$nslab" plan "$topology" --as lxc --role $host --image busybox > "$home/$host.sh"
  say "$host runs its part of $topology"
  on $host sh -e "$home/$host.sh" >&2 || { cat "$home/$host.sh" >&2; exit 1; }
done
for to in "$@"; do
  # The first packets of a bridge that was just made may be lost.
  if on "${from%/*}" lxc exec "${from#*/}" -- ping -c 5 -w 10 "$to" >&2; then echo "$to answered"; else echo "$to no answer"; fi
done
on "${from%/*}" lxc exec "${from#*/}" -- ip -o link >&2
