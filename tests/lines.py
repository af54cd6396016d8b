#!/usr/bin/env python3
"""Counts the lines of code of src, by room: neither blank, nor comment, nor tests; and the files."""
import collections
import pathlib

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"


def code(path):
    lines, counted = iter(path.read_text().splitlines()), 0
    for line in lines:
        # The tests of a file are its end; those in a file of their own are a line.
        if line.startswith("#[cfg(test)]"):
            follows = next((line for line in lines if not line.startswith("#[")), "")
            if not follows.endswith(";"):
                break
            continue
        counted += bool(line.strip()) and not line.strip().startswith("//")
    return counted


def main():
    rooms, files = collections.Counter(), 0
    for path in sorted(SRC.rglob("*.rs")):
        files += 1
        inner = path.relative_to(SRC)
        if "tests" not in inner.parts and inner.name != "tests.rs":
            rooms[inner.parts[0].removesuffix(".rs")] += code(path)
    for room, lines in sorted(rooms.items(), key=lambda room: room[1]):
        print(f"{lines:6} {room}")
    print(f"{sum(rooms.values()):6} lines in {files} files")


if __name__ == "__main__":
    main()
