"""The live tests inside of a virtual machine: the test executables and the release binary on a disk, at the paths they were built for."""
import json
import os
import shutil
import subprocess
import sys

import image

# Run by `make test-vm`: a lab up and down, its sockets and neighbours, in two minutes on an emulated processor.
TESTS = "binary ping".split()
# Run by `tests/vm/run suite all`, for half an hour; not all of them pass there yet, some know no slow machine. Left out are those that
# run nslab, or the predictor, a thousand times.
ALL = TESTS + """live live_exec live_terminal trace live_commands live_processes tap support_self live_files live_graph live_languages
  ping_all macs capture capture_files check trace_causes trace_filters trace_unknown foreign""".split()
# Hundreds of thousands of frames as fast as they can be sent are no test of an emulated processor.
WITHOUT = ["under_a_flood_it_loses", "frames_that_found_no_room"]


def executables(root, names):
    """The test executables that cargo has built, by name; builds those that it has not."""
    tests = [word for name in names for word in ("--test", name)]
    command = ["cargo", "test", "--locked", "--features", "fault", "--no-run", "--message-format=json", *tests]
    found, binary = {}, None
    for line in image.output(*command, cwd=root).splitlines():
        message = json.loads(line)
        if message.get("executable"):
            if message["target"]["kind"] == ["test"]:
                found[message["target"]["name"]] = message["executable"]
            elif message["target"]["kind"] == ["bin"]:
                binary = message["executable"]
    missing = set(names) - set(found)
    if missing or not binary:
        sys.exit(f"cargo did not name the executables of {' '.join(sorted(missing)) or 'nslab'}")
    return found, binary


def disk(root, names, nslab, work):
    """A disk with those tests, to be mounted at the repository's own path."""
    found, binary = executables(root, names)
    stage = os.path.join(work, "stage")
    os.makedirs(stage)
    for name in ("tests", "topologies", "docs"):
        shutil.copytree(os.path.join(root, name), os.path.join(stage, name), ignore=shutil.ignore_patterns("vm", "*.rs", "__pycache__"))
    shutil.copy(os.path.join(root, "README.md"), stage)
    os.makedirs(os.path.join(stage, "live"))
    for name, path in found.items():
        # Four fifths of them are for a debugger.
        subprocess.run(["strip", "-o", os.path.join(stage, "live", name), path], check=True)
    # Where the tests were told to find nslab stands the static binary that users get.
    for place in (os.path.relpath(binary, root), "target/nslab"):
        os.makedirs(os.path.dirname(os.path.join(stage, place)), exist_ok=True)
        shutil.copy(nslab, os.path.join(stage, place))
    return image.disk(stage, os.path.join(work, "suite"), 0)
