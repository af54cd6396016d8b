"""An initramfs is a `cpio` archive of the kind `newc` (the kernel's driver-api/early-userspace/buffer-format)."""
import os
import stat


def read(path):
    with open(path, "rb") as file:
        return file.read()


def file(name, content, mode):
    return name, stat.S_IFREG | mode, content


def below(directory, prefix):
    """Every file below a directory, named from there after the prefix."""
    for place, _, names in os.walk(directory):
        for name in sorted(names):
            path = os.path.join(place, name)
            yield file(prefix + os.path.relpath(path, directory), read(path), os.stat(path).st_mode & 0o777)


def cpio(entries):
    """The archive of files, with the directories that they need."""
    entries = list(entries)
    parents = {name[:at] for name, _, _ in entries for at, letter in enumerate(name) if letter == "/"}
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in sorted(parents)] + entries
    parts = []
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + "".join(f"{field:08x}" for field in fields).encode() + path
        parts += [head, bytes(-len(head) % 4), content, bytes(-len(content) % 4)]
    archive = b"".join(parts)
    # The kernel takes several archives one after the other where each begins at a multiple of four.
    return archive + bytes(-len(archive) % 512)
