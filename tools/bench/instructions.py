#!/usr/bin/env python3
"""Counts instructions per malloc and per free with callgrind: on the hot path, and through refill and flush.

Every number is the difference of two runs that differ in the number of rounds alone, divided by the calls between
them, so start-up and warming up do not count, and what happens once in many calls counts in its share. callgrind leaves
malloc as it is (memcheck would replace it). Settings as for bench.py: ALLOCATORS=…, QUARRY_LIB=…, QUARRY_BENCH_PEERS=….
"""
import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from allocators import find_allocators  # noqa: E402
from measure import Programs, SOURCES, clean_environment, find_program  # noqa: E402

SETTINGS = ("ALLOCATORS", "QUARRY_LIB", "QUARRY_BENCH_PEERS")

HOT_SIZES = (16, 64, 400, 1000)
BATCHES = (100, 400, 1600, 20000)  # of BATCH_SIZE bytes; the last one is larger than any depot
BATCH_SIZE = 64
# Calls to warm up, and calls that are counted on top of them; both rounded to whole batches.
WARM_CALLS, COUNTED_CALLS = 200000, 200000

# The project's goals, for Quarry.
MALLOC_GOAL, FREE_GOAL = 17, 23
REFILL_AND_FLUSH_GOAL = 26
DEPOT_GOAL = 1  # "none": exchanging magazines with the depot costs less than one instruction a block
DEPOT_BATCHES = (100, 400, 1600)


def program_interpreter(path):
    """The dynamic linker that an ELF program names."""
    data = Path(path).read_bytes()
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    table, = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)
    entry_size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    for at in range(table, table + entry_size * count, entry_size):
        if struct.unpack_from(order + "I", data, at)[0] == 3:  # PT_INTERP
            offset, = struct.unpack_from(order + ("Q" if wide else "I"), data, at + (8 if wide else 4))
            return data[offset:data.index(b"\0", offset)].decode()
    raise SystemExit(f"{path} has no dynamic linker, so nothing can be preloaded")


def calls_made(profile, caller):
    """How many calls a function made, and the instructions inside them, from a callgrind profile. A call is two lines:
    "calls=COUNT …" and then the inclusive cost, within the part that begins with the caller's "fn=" line."""
    names, inside, count, cost, pending = {}, False, 0, 0, False
    with open(profile, encoding="utf-8", errors="replace") as file:
        for line in file:
            if pending:
                cost += int(line.split()[1])
                pending = False
            elif line.startswith(("fn=", "cfn=")):
                # Names are given once, "(7) main", and then by number, "(7)".
                number, name = re.match(r"c?fn=(\(\d+\))\s*(.*)", line).groups()
                names[number] = name or names[number]
                if line.startswith("fn="):
                    inside = names[number].split("'")[0] == caller
            elif inside and line.startswith("calls="):
                count += int(line[len("calls="):].split()[0])
                pending = True
    return count, cost


def total(profile):
    """The instructions of the whole run."""
    with open(profile, encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(("totals:", "summary:")))


class Counter:
    """Runs bench-pairs under callgrind with one allocator."""

    def __init__(self, programs, library, folder):
        self.program = programs.path("bench-pairs")
        self.library = library
        self.folder = folder

    def profile(self, size, batch, rounds):
        """Function name -> (calls, instructions) for malloc and free; "all" -> (0, instructions of the whole run)."""
        output = os.path.join(self.folder, "callgrind.out")
        # Preloading through the dynamic linker, not the environment: `valgrind` is a shell script on some systems.
        preload = [program_interpreter(self.program), "--preload", self.library] if self.library else []
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={output}", "--compress-pos=no",
                   "--compress-strings=yes", *preload, self.program, str(size), str(batch), str(rounds)]
        run = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=300, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"exit status {run.returncode} under callgrind: {run.stderr.strip()[-300:]}")
        return {"malloc": calls_made(output, "take_block"), "free": calls_made(output, "drop_block"),
                "all": (0, total(output))}

    def count(self, size, batch):
        """Instructions per malloc and per free, from two runs; and per turn of the program's loop, calls and all."""
        warm, counted = max(1, WARM_CALLS // batch), max(1, COUNTED_CALLS // batch)
        before, after = self.profile(size, batch, warm), self.profile(size, batch, warm + counted)
        found = {}
        for name in ("malloc", "free"):
            calls, cost = after[name]
            calls_between = calls - before[name][0]
            # More: where malloc jumps to its slow half, callgrind takes the jump for one more call by the same caller.
            if calls_between < counted * batch:
                raise RuntimeError(f"callgrind saw {calls_between} calls of {name}, not {counted * batch}")
            found[name] = (cost - before[name][1]) / calls_between
        found["pair"] = found["malloc"] + found["free"]
        found["turn"] = (after["all"][1] - before["all"][1]) / (counted * batch)
        return found


def verdict(value, goal):
    return f"<= {goal}, {'met' if value <= goal else 'NOT MET'}"


def row(label, found, rest):
    print(f"{label:28}{found['malloc']:9.2f}{found['free']:9.2f}{found['pair']:9.2f}{found['turn']:11.2f}{rest}",
          flush=True)


def report(allocator, programs, folder):
    counter = Counter(programs, allocator.library, folder)
    goals = allocator.name == "quarry"
    print(f"\n{allocator.name}: instructions per call; with loop: the counting program's own instructions included")
    head = f"{'':28}{'malloc':>9}{'free':>9}{'pair':>9}{'with loop':>11}"
    print(head)
    hot = None
    for size in HOT_SIZES:
        found = counter.count(size, 1)
        met = f"   malloc {verdict(found['malloc'], MALLOC_GOAL)}; free {verdict(found['free'], FREE_GOAL)}"
        row(f"hot pair, {size} bytes", found, met if goals else "")
        if size == BATCH_SIZE:
            hot = found["pair"]
    print(f"{head}{'beyond hot':>12}")
    # callgrind takes a jump from malloc to its slow half for another call, so the calls' own costs are only reliable where
    # there are no slow calls; what the program spends on a turn of its loop is the same for every batch.
    loop = None
    for batch in BATCHES:
        found = counter.count(BATCH_SIZE, batch)
        loop = loop or found["turn"] - found["pair"]
        beyond = found["turn"] - loop - hot
        goal = DEPOT_GOAL if batch in DEPOT_BATCHES else REFILL_AND_FLUSH_GOAL
        met = f"   {verdict(beyond, goal)}" if goals else ""
        row(f"{batch} of {BATCH_SIZE} bytes, in order", found, f"{beyond:12.2f}{met}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="one of " + ", ".join(SETTINGS))
    parser.add_argument("--build-dir", default=str(SOURCES.parent.parent / "build"))
    options = parser.parse_args()
    settings = {name: os.environ.get(name, "") for name in SETTINGS}
    for argument in options.settings:
        name, separator, value = argument.partition("=")
        if not separator or name not in SETTINGS:
            parser.error(f"unknown setting {argument!r}; there are {', '.join(SETTINGS)}")
        settings[name] = value
    if not find_program("valgrind") and not any(os.access(os.path.join(folder, "valgrind"), os.X_OK)
                                                for folder in os.environ.get("PATH", "").split(os.pathsep)):
        raise SystemExit("valgrind is not installed (Debian: apt-get install valgrind)")

    build = Path(options.build_dir).resolve()
    allocators, missing = find_allocators(settings["QUARRY_LIB"] or str(build / ".libs" / "libquarry.so"),
                                          settings["QUARRY_BENCH_PEERS"])
    # Quarry alone unless others are named: a table takes some ten seconds.
    wanted = settings["ALLOCATORS"].split() or ["quarry"]
    unknown = [name for name in wanted if name not in {allocator.name for allocator in allocators}]
    if unknown:
        raise SystemExit("\n".join([f"no allocator {', '.join(unknown)}", *missing]))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="quarry-bench.") as folder:
        for allocator in allocators:
            if allocator.name not in wanted:
                continue
            try:
                report(allocator, Programs(build / "tools" / "bench"), folder)
            except (RuntimeError, subprocess.SubprocessError) as error:
                failed = 1
                print(f"{allocator.name}: FAILED: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
