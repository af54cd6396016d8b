"""Virtual machines by QEMU: one, or two that share an internal network, each running one script."""
import contextlib
import ctypes
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time

import archive

GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
# The guest ends its output with this byte: a port of virtio-serial has no end of its own.
END = b"\x04"
# Ten times what it takes on a machine that has something else to do.
BOOT = 240
# Machines are started so often where an emulator dies or does not boot; what a script says is never asked twice.
TRIES = 3
# Of VM 1 and 2: the NIC for management, and that on the internal network. Locally administered, and of nobody else.
ADDRESS = "52:54:00:6e:{:02x}:{:02x}"
# Nothing that is slow on an emulated processor and no part of a test.
ARGUMENTS = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off cryptomgr.notests no_timer_check tsc=reliable init_on_alloc=0 apparmor=0 audit=0"


def accelerator():
    """KVM only where the processor itself has it: nested by other means /dev/kvm opens, but Debian's kernels hang in it."""
    with open("/proc/cpuinfo") as file:
        able = re.search(r"\b(vmx|svm)\b", file.read())
    return "kvm" if able and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


class Machine:
    """One virtual machine, from its start to its end."""

    def __init__(self, index, name, script, kernel, options, wire):
        self.name, self.code, self.rest, self.started = name, None, b"", time.monotonic()
        self.seconds = {}
        self.directory = os.path.join(options.out, name)
        os.makedirs(self.directory, exist_ok=True)
        self.output, self.console = self.path("output"), self.path("console")
        open(self.output, "wb").close()
        with open(self.path("initrd"), "wb") as file:
            file.write(archive.read(kernel[1]))
            file.write(archive.cpio(self.payload(script, options.payload)))
        self.process = subprocess.Popen(self.command(index, kernel, options, wire), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=open(self.path("qemu"), "wb"), preexec_fn=end_with_parent,
                                        pass_fds=[wire.fileno()] if wire else [])

    def path(self, name):
        return os.path.join(self.directory, name)

    def payload(self, script, paths):
        yield archive.file("payload/task.sh", archive.read(script), 0o755)
        for name in ("start", "barrier"):
            yield archive.file("payload/" + name, archive.read(os.path.join(GUEST, name)), 0o755)
        for path in paths:
            if os.path.isdir(path):
                yield from archive.below(path, "payload/" + os.path.basename(path) + "/")
            else:
                yield archive.file("payload/" + os.path.basename(path), archive.read(path), os.stat(path).st_mode & 0o777)

    def command(self, index, kernel, options, wire):
        words = {"NAME": self.name, "INDEX": index, "MOUNT": options.mount or "", **options.words}
        append = " ".join([ARGUMENTS, *(f"vm.{key}={value}" for key, value in words.items())])
        tcg = options.accelerator == "tcg"
        line = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-M", "q35", "-smp", str(options.processors),
                "-accel", "tcg,thread=multi" if tcg else "kvm", "-cpu", "max" if tcg else "host", "-m", str(options.memory),
                "-kernel", kernel[0], "-initrd", self.path("initrd"), "-append", append,
                "-drive", f"file={options.system},format=raw,if=virtio,snapshot=on",
                "-serial", "file:" + self.console, "-device", "virtio-serial-pci,max_ports=4",
                "-chardev", "stdio,id=control,signal=off", "-device", "virtserialport,nr=1,chardev=control,name=vm.control",
                "-chardev", f"file,id=out,path={self.output}", "-device", "virtserialport,nr=2,chardev=out,name=vm.out"]
        if options.disk:
            line += ["-drive", f"file={options.disk},format=raw,if=virtio,readonly=on"]
        # Management as by NAT, but without a way out; the internal network is a pair of sockets that no other process can join.
        ends = ["user,id=net0,restrict=on", f"socket,id=net1,fd={wire.fileno()}" if wire else "hubport,id=net1,hubid=1"]
        for number, end in enumerate(ends):
            address = ADDRESS.format(1 if options.clone and number else index, number)
            device = f"{options.nic},netdev=net{number},addr={16 + number:#x},romfile=,mac={address}"
            line += ["-netdev", end, "-device", device]
        return line

    def say(self, line):
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def heard(self):
        """The whole lines that came on the control port since; none at its end."""
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line.decode(errors="replace").split() for line in lines if line.strip()]

    def broken(self):
        """What the emulator, not the script, has failed at. A machine that resets itself has ended with 0 and is not broken."""
        status = self.process.poll()
        if self.code is None and status is not None and (status or "boot" not in self.seconds):
            return f"the emulator ended with {status}: {archive.read(self.path('qemu')).decode(errors='replace').strip()}"
        if "boot" not in self.seconds and time.monotonic() > self.started + BOOT:
            return f"not up after {BOOT} s"
        return None

    def finish(self):
        """Waits a moment for the rest of the output, and ends the machine."""
        until = time.monotonic() + (10 if self.code is not None else 0)
        while self.process.poll() is None and time.monotonic() < until and not archive.read(self.output).endswith(END):
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        text = archive.read(self.output)
        with open(self.output, "wb") as file:
            file.write(text.removesuffix(END).replace(b"\r\n", b"\n"))
        os.remove(self.path("initrd"))

    def text(self):
        return archive.read(self.output).decode(errors="replace")


def end_with_parent():
    """A killed rig leaves no machine behind (PR_SET_PDEATHSIG, prctl(2))."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run(scripts, options, told):
    """Runs a script on a kernel per machine, by name; returns the machines, with the exit code of each script or none."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for left in reversed(range(TRIES)):
        machines, broken = once(scripts, options, told)
        if not broken or not left:
            return machines
        # A KVM that does not work is no reason to test nothing.
        options.accelerator = "tcg"
        print(f"{broken}; starting {'them' if len(machines) > 1 else 'it'} again", file=sys.stderr, flush=True)


def once(scripts, options, told):
    """The machines at their end, and what one of them broke by."""
    wires = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) if len(scripts) == 2 and options.linked else [None] * 2
    machines, waiting, selector, broken = [], {}, selectors.DefaultSelector(), None
    until = time.monotonic() + options.timeout
    try:
        for index, (name, (script, kernel)) in enumerate(scripts.items(), 1):
            machines.append(Machine(index, name, script, kernel, options, wires[index - 1]))
            selector.register(machines[-1].process.stdout, selectors.EVENT_READ, machines[-1])
        while selector.get_map() and time.monotonic() < until and not broken:
            for key, _ in selector.select(1):
                if listen(key.data, waiting, told):
                    selector.unregister(key.fileobj)
            # One that has ended keeps nobody waiting, but fails whoever waits for it.
            ended = {machine for machine in machines if machine.code is not None or machine.process.poll() is not None}
            for name in [name for name, come in waiting.items() if come | ended == set(machines)]:
                for machine in waiting.pop(name):
                    machine.say("gone" if ended else "go " + name)
            broken = next((f"{machine.name}: {machine.broken()}" for machine in machines if machine.broken()), None)
    finally:
        for machine in machines:
            machine.finish()
    return machines, broken


def listen(machine, waiting, told):
    """Takes what a machine says; whether it has said its last."""
    lines = machine.heard()
    if lines is None:
        # Its end of the pipe closes a moment before it is gone.
        with contextlib.suppress(subprocess.TimeoutExpired):
            machine.process.wait(10)
        return True
    for word, *rest in lines:
        now = time.monotonic() - machine.started
        if word == "ready":
            machine.seconds["boot"] = now
            told(f"{machine.name}: up after {now:.1f} s")
        elif word == "barrier":
            waiting.setdefault(rest[0], set()).add(machine)
        elif word == "exit":
            machine.code, machine.seconds["end"] = int(rest[0]), now
            told(f"{machine.name}: ended with {machine.code} after {now:.1f} s")
            return True
    return False
