#!/bin/sh
# A real LXD in this box, with an image `busybox`: runs COMMAND beside it, then takes the daemon and what it left away.
#
#   real-lxd.sh HOME COMMAND...    (as root, in network, mount and PID namespaces of its own)
#
# COMMAND finds LXD_DIR and LXD_CONF of the stock client, the daemon's address in ADDRESS, and makes tokens with
# `lxc config trust add --name NAME -q`.
set -eu
home=$1
shift
export ADDRESS=127.0.0.1:8443 LXD_DIR=$home/lxd LXD_CONF=$home/conf
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY || true
mkdir -p "$home/cgroups" "$LXD_DIR" "$LXD_CONF"

# /sys shows the network namespace that mounted it; a new one hides the cgroups, which LXD needs.
mount --rbind /sys/fs/cgroup "$home/cgroups"
mount -t sysfs sysfs /sys
mount --rbind "$home/cgroups" /sys/fs/cgroup
ip link set lo up

groups() { find "$home/cgroups/" -depth -type d -path '*/lxc*' | sort; }
groups > "$home/groups.before"
leave() {
  for name in $(lxc list -c n --format csv); do timeout 20 lxc delete -f "$name" >&2 || true; done
  timeout 40 lxd shutdown --timeout 30 || true
  # LXD leaves empty control groups behind; those that were not there before go.
  groups > "$home/groups.after"
  comm -13 "$home/groups.before" "$home/groups.after" | sort -r | while read -r group; do rmdir "$group" 2>/dev/null || true; done
}
trap leave EXIT

image=$home/image
mkdir -p "$image/rootfs/bin" "$image/rootfs/sbin" "$image/rootfs/dev" "$image/rootfs/proc" "$image/rootfs/sys" \
  "$image/rootfs/etc" "$image/rootfs/tmp" "$image/rootfs/root"
cp "$(command -v busybox)" "$image/rootfs/bin/busybox"
for name in $(busybox --list); do [ -e "$image/rootfs/bin/$name" ] || ln -s busybox "$image/rootfs/bin/$name"; done
for name in init ip; do ln -s ../bin/busybox "$image/rootfs/sbin/$name"; done
cat > "$image/rootfs/etc/inittab" <<'END'
::sysinit:/bin/true
console::respawn:/sbin/getty -n -l /bin/sh 38400 console
::ctrlaltdel:/bin/poweroff
::shutdown:/bin/true
END
printf 'root:x:0:0:root:/root:/bin/sh\n' > "$image/rootfs/etc/passwd"
printf 'root:x:0:\n' > "$image/rootfs/etc/group"
printf 'architecture: %s\ncreation_date: 1700000000\nproperties: { description: busybox, os: busybox, release: "1" }\n' \
  "$(uname -m)" > "$image/metadata.yaml"
tar -C "$image" -czf "$home/busybox.tar.gz" metadata.yaml rootfs

lxd --group root --logfile "$home/lxd.log" >"$home/lxd.out" 2>&1 9>&- &
lxd waitready --timeout 60 || { cat "$home/lxd.log" "$home/lxd.out" >&2; exit 1; }
lxc storage create default dir >/dev/null 2>&1
lxc profile device add default root disk path=/ pool=default >/dev/null
lxc image import "$home/busybox.tar.gz" --alias busybox >/dev/null
lxc config set core.https_address "$ADDRESS"
"$@"
