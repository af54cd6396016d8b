#!/bin/sh
# In a user namespace a process that has unshared its children's PID namespace cannot give them its own back.
#
# Kernel: seen on Linux 6.18; the check stands in pidns_install() of kernel/pid_namespace.c.
# One would guess: setns(2) to one's own, active PID namespace undoes unshare(CLONE_NEWPID) for children that are forked later, since
#   pid_namespaces(7) allows the caller's own namespace and its descendants.
# Seen: as root of the machine it does. As root of a user namespace that has no PID namespace of its own the same call is refused with
#   EPERM: CAP_SYS_ADMIN is asked for in the user namespace that owns the target, and one's own PID namespace belongs to the parent's.
# What follows: who needs children on both sides forks the inner one with clone(CLONE_NEWPID) and leaves its own children's namespace alone.
set -eu
command -v python3 >/dev/null && command -v unshare >/dev/null || exit 77
unshare -Ur true 2>/dev/null || exit 77
try='
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWPID = 0x20000000
own = os.open("/proc/self/ns/pid", os.O_RDONLY)
if libc.unshare(CLONE_NEWPID): raise SystemExit("unshare: " + os.strerror(ctypes.get_errno()))
print("done" if libc.setns(own, CLONE_NEWPID) == 0 else errno.errorcode[ctypes.get_errno()])
'
uname -sr
inside=$(unshare -Ur python3 -c "$try")
echo "setns to the own PID namespace as root of a user namespace: $inside"
[ "$inside" = EPERM ]
if [ "$(id -u)" = 0 ]; then
  outside=$(python3 -c "$try")
  echo "the same as root: $outside"
  [ "$outside" = done ]
fi
