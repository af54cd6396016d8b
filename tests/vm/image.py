"""What a virtual machine boots: a Debian kernel, an initramfs with its modules, and a disk with a small Debian on it.

Everything comes from Debian's packages, unpacked and not installed, and is kept in a cache. A name in the cache is a digest of
what it was made from, so nothing stale is ever used; the cache may be deleted at any time.
"""
import fcntl
import fnmatch
import functools
import glob
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import archive

CACHE = os.environ.get("NSLAB_VM_CACHE", os.path.expanduser("~/.cache/nslab-vm"))

# What Debian's base system would have, and the tools that judge nslab in the tests.
PACKAGES = """base-files base-passwd bash coreutils dash diffutils findutils grep libc-bin mawk sed tar util-linux mount bsdutils
  kmod procps iproute2 iputils-ping traceroute nftables iptables tcpdump tshark strace ethtool libxml2-utils graphviz
  hostname busybox-static lxd-client""".split()
# Their maintainer scripts do not run, so what these set up is not needed either.
WITHOUT = {"dpkg", "debconf", "adduser", "passwd", "cdebconf", "perl-base", "install-info", "xdg-utils", "fontconfig-config"}

# By what a lab or a test asks for; what they depend on comes along.
MODULES = """net/802/* net/8021q/* net/bridge/* net/bridge/netfilter/* net/llc/* net/sched/* net/packet/* net/netfilter/* net/ipv4/*
  net/ipv4/netfilter/* net/ipv6/* net/ipv6/netfilter/* fs/ext4/* fs/overlayfs/* drivers/virtio/* drivers/block/virtio_blk*
  drivers/char/virtio_console* drivers/net/ethernet/intel/e1000/* drivers/net/bonding/* drivers/net/vxlan/* drivers/net/dummy*
  drivers/net/ifb* drivers/net/macvlan* drivers/net/tun* drivers/net/veth* drivers/net/virtio_net* drivers/net/vrf*
  drivers/net/net_failover* crypto/crc32c* arch/x86/crypto/crc32c*""".split()

PATIENT = ["-o", "Acquire::Retries=5", "-o", "Acquire::http::Timeout=60", "-o", "Acquire::https::Timeout=60"]


def output(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


class Outdated(SystemExit):
    """A package that the lists do not name, or that the server has no more."""


def fresh(make):
    """Once again with new lists, where those of this machine are missing or old."""
    @functools.wraps(make)
    def again(*arguments):
        try:
            return make(*arguments)
        except Outdated as error:
            print(f"{error}; updating the lists of packages", file=sys.stderr, flush=True)
            sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
            subprocess.run([*sudo, "apt-get", "-qq", *PATIENT, "update"], stdin=subprocess.DEVNULL, check=False)
            return make(*arguments)

    return again


def kernel_package(pattern):
    """The newest package of a name like `linux-image-6.1.*-cloud-amd64`, where `*` stands for a version."""
    expression = re.compile(re.escape(pattern).replace(r"\*", r"[0-9.]+(\+deb[0-9]+)?(-[0-9]+)?") + "$")
    found = [name for name in output("apt-cache", "pkgnames", "linux-image-").split() if expression.match(name)]
    if not found:
        raise Outdated(f"no package is called {pattern} here; Debian 12 has kernels 6.1 and 6.12")
    return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def closure(packages):
    """The packages and all that they depend on, each with its version."""
    kinds = "recommends suggests conflicts breaks replaces enhances".split()
    text = output("apt-cache", "depends", "--recurse", "-i", *(f"--no-{kind}" for kind in kinds), *packages)
    names = [name for name in re.findall(r"^(\w\S*)", text, re.M) if not re.search(r"[:<]", name)]
    names = sorted(name for name in set(names) if name not in WITHOUT and not name.startswith(("debconf-", "cdebconf")))
    policy = output("apt-cache", "policy", *names)
    versions = dict(re.findall(r"^(\S+):\n.*\n  Candidate: (\S+)", policy, re.M))
    lacking = [name for name in packages if versions.get(name, "(none)") == "(none)"]
    if lacking:
        raise Outdated(f"no package is called {' or '.join(lacking)} here")
    return {name: versions[name] for name in names if versions.get(name, "(none)") != "(none)"}


def download(packages, debs):
    """Packages as files of that directory; a network that fails now and then is asked again."""
    # apt's own user could not write to a directory of root's home.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    for wait in (5, 20, 0):
        ran = subprocess.run(["apt-get", "-qq", *PATIENT, *sandbox, "download", *packages], cwd=debs, stdin=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        if ran.returncode == 0:
            return
        time.sleep(wait)
    raise Outdated(f"apt-get download: {ran.stderr.strip()}")


def unpack(packages, into):
    """Downloads packages into the cache and unpacks them, keeping the links of a merged /usr."""
    debs = os.path.join(CACHE, "debs")
    os.makedirs(debs, exist_ok=True)
    download(packages, debs)
    for directory in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(os.path.join(into, "usr", directory), exist_ok=True)
        if not os.path.lexists(os.path.join(into, directory)):
            os.symlink("usr/" + directory, os.path.join(into, directory))
    for package in packages:
        newest = max(glob.glob(os.path.join(debs, package + "_*.deb")), key=os.path.getmtime)
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", newest], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", into], stdin=tar.stdout, check=True)
        if tar.wait():
            sys.exit(f"{newest} cannot be read; delete it and try again")


def made(name, recipe, make):
    """The file of that name and recipe in the cache, made if it is not there."""
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]
    path = os.path.join(CACHE, f"{name}-{digest}")
    os.makedirs(CACHE, exist_ok=True)
    # Who comes second waits, and finds it made.
    with open(os.path.join(CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                new = make(work)
                os.rename(new, path)
    return path


def disk(directory, image, spare):
    """An ext4 file system with what is in the directory, and so many MiB free; all of it root's."""
    used = int(output("du", "-sm", "--apparent-size", directory).split()[0])
    with open(image, "wb") as file:
        file.truncate((used + used // 8 + 16 + spare) << 20)
    tool = shutil.which("mke2fs") or "/sbin/mke2fs"
    quiet = ["-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", "-O", "^has_journal"]
    as_root([tool, *quiet, "-d", directory, image])
    return image


def as_root(command):
    """Runs a command for which the caller is root: in a user namespace of its own, if need be."""
    subprocess.run([*([] if os.geteuid() == 0 else ["unshare", "-r"]), *command], check=True, stderr=subprocess.PIPE)


@fresh
def system():
    """The disk with the small Debian."""
    packages = closure(PACKAGES)

    def make(work):
        root = os.path.join(work, "root")
        unpack(packages, root)
        for name in ("passwd", "group"):
            shutil.copy(f"{root}/usr/share/base-passwd/{name}.master", f"{root}/etc/{name}")
        with open(f"{root}/etc/passwd", "a") as file:
            file.write("tcpdump:x:102:102::/nonexistent:/usr/sbin/nologin\n")
        with open(f"{root}/etc/group", "a") as file:
            file.write("tcpdump:x:102:\n")
        with open(f"{root}/etc/hosts", "w") as file:
            file.write("127.0.0.1 localhost\n::1 localhost\n")
        links = {"usr/bin/awk": "mawk", "usr/sbin/iptables": "xtables-nft-multi", "usr/sbin/ip6tables": "xtables-nft-multi",
                 "usr/sbin/iptables-legacy": "xtables-legacy-multi", "usr/bin/traceroute": "traceroute.db", "etc/mtab": "/proc/mounts"}
        for link, target in links.items():
            if not os.path.lexists(f"{root}/{link}"):
                os.symlink(target, f"{root}/{link}")
        for waste in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/info"):
            shutil.rmtree(f"{root}/{waste}", ignore_errors=True)
        for empty in ("proc sys dev run tmp root mnt payload lib/modules var/tmp home srv").split():
            os.makedirs(f"{root}/{empty}", exist_ok=True)
        os.chmod(f"{root}/tmp", 0o1777)
        # Graphviz lists its plug-ins when it is installed.
        as_root(["chroot", root, "dot", "-c"])
        return disk(root, os.path.join(work, "disk"), 256)

    return made("system", (packages, open(__file__, "rb").read()), make)


@fresh
def kernel(pattern):
    """A kernel and an initramfs with busybox and the kernel's modules."""
    package = kernel_package(pattern)
    version = closure([package])[package]
    init = archive.read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "initramfs"))
    recipe = (package, version, init, open(__file__, "rb").read(), open(archive.__file__, "rb").read())

    def image(work):
        unpack([package], work)
        return glob.glob(work + "/boot/vmlinuz-*")[0]

    def initramfs(work):
        unpack([package, "busybox-static", *closure(["kmod"])], work)
        entries = [archive.file("init", init, 0o755), archive.file("bin/busybox", archive.read(f"{work}/usr/bin/busybox"), 0o755)]
        entries += modules(work)
        path = os.path.join(work, "initramfs")
        with open(path, "wb") as file:
            file.write(archive.cpio(entries))
        return path

    return made(package, recipe, image), made(package + "-initramfs", recipe, initramfs)


def modules(root):
    """The wanted modules and those that they need, unpacked: an emulated processor is slow at that."""
    top = glob.glob(root + "/usr/lib/modules/*")[0]
    every = {}
    for path in glob.glob(top + "/kernel/**/*.ko*", recursive=True):
        every[os.path.basename(path).split(".ko")[0].replace("-", "_")] = path
    inside = len(top + "/kernel/")
    todo = [name for name, path in every.items() if any(fnmatch.fnmatch(path[inside:], glob_) for glob_ in MODULES)]
    chosen = {}
    while todo:
        name = todo.pop()
        if name in chosen or name not in every:
            continue
        data = archive.read(every[name])
        if every[name].endswith(".xz"):
            data = lzma.decompress(data)
        chosen[name] = data
        needs = re.search(rb"\0depends=([^\0]*)\0", data)
        todo += needs.group(1).decode().replace("-", "_").split(",") if needs else []
    stage = os.path.join(root, "stage")
    place = f"{stage}/lib/modules/{os.path.basename(top)}"
    for name, data in chosen.items():
        path = place + re.sub(r"\.ko.*", ".ko", every[name][len(top):])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    for list_ in glob.glob(top + "/modules.*"):
        shutil.copy(list_, place)
    as_root(["chroot", root, "/sbin/depmod", "-b", "/stage", os.path.basename(top)])
    return list(archive.below(stage, ""))
