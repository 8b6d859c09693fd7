#!/usr/bin/env python3
"""Measures shared buffers and object pools: Quarry, by hand, and every library that was found, by turns.

A program per library (rows.h says how they are spoken to) is started anew in every repetition, once in a process with a
single thread and once with another thread that sleeps. Row by row every system has its turn; the one that begins changes.
The results are medians over the repetitions.
"""
import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

HEADER = ("row", "system", "ns")
MODES = ("single", "threaded")

ROWS = {
    "create-64": "create and destroy, 64 bytes",
    "create-1k": "create and destroy, 1 KiB",
    "create-16k": "create and destroy, 16 KiB",
    "create-64k": "create and destroy, 64 KiB",
    "clone": "another reference, and drop it",
    "slice": "a part of a buffer, and drop it",
    "message-8": "8 parts as an iovec array, and drop them",
    "frames-128": "64 KiB in 128 frames, and drop them, per frame",
    "clone-2-threads": "one buffer cloned by two threads at once",
    "pool": "acquire and release an object",
    "pool-2-threads": "the same in two threads at once, per thread",
    "pool-bulk-32": "32 objects at once, per object",
}

PEERS = ("gbytes", "g_rc_box", "g_atomic_rc_box", "avbuffer", "avbufferpool", "evbuffer", "apr-bucket", "apr-reslist",
         "dpdk-mbuf", "dpdk-mempool")
PAIR_FLOOR_ROWS = ("clone", "slice", "clone-2-threads")  # in a threaded process, an atomic pair is all they can be
POOL_ROWS = ("pool", "pool-2-threads", "pool-bulk-32")


def label(system, mode):
    return system if mode == "single" else system + "-threaded"


class Program:
    """A library's program, waiting for the names of rows."""

    def __init__(self, path, system, mode):
        self.name = label(system, mode)
        self.process = subprocess.Popen([path, system, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, row):
        """ns, or None where there is nothing to measure."""
        try:
            self.process.stdin.write(row + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline().strip()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{self.name} ended: exit status {self.process.wait()}")
        return None if answer == "-" else float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Benchmark:
    """All measurements: values[row, system] is a list with one number per repetition."""

    def __init__(self, programs):
        self.offers = {}  # (path, system): the rows
        for path in programs:
            listing = subprocess.run([path, "--list"], check=True, capture_output=True, text=True).stdout
            for line in listing.splitlines():
                system, row, threads = line.split("\t")
                self.offers.setdefault((path, system), {})[row] = int(threads)
        self.values = {}
        self.missing = {}

    def repeat(self, mode, shift, rows):
        """One repetition in one mode."""
        running = {}
        for key in self.offers:
            if key not in self.missing:
                running[key] = Program(*key, mode)
        order = list(running)
        order = order[shift % len(order):] + order[:shift % len(order)]
        for row in rows:
            for key in order:
                if key in self.missing or self.offers[key].get(row, 9) > (1 if mode == "single" else 2):
                    continue
                try:
                    ns = running[key].measure(row)
                except RuntimeError as error:
                    self.missing[key] = str(error)
                    continue
                if ns is not None:
                    self.values.setdefault((row, running[key].name), []).append(ns)
        for program in running.values():
            program.close()

    def medians(self):
        return {key: statistics.median(values) for key, values in self.values.items()}


# ---- the report ----


class Report:
    """The table, and what the project holds itself to."""

    def __init__(self, benchmark):
        self.medians = benchmark.medians()
        self.values = benchmark.values
        self.lines = []

    def ns(self, row, system, mode="single"):
        return self.medians.get((row, label(system, mode)))

    def best_peer(self, row, mode):
        """(ns, name) of the fastest library."""
        found = [(self.ns(row, peer, mode), peer) for peer in PEERS if self.ns(row, peer, mode) is not None]
        return min(found, default=(None, ""))

    def spread(self, row, system, mode):
        values = sorted(self.values.get((row, label(system, mode)), ()))
        if len(values) < 3:
            return ""
        quarter = len(values) // 4
        return f"±{50 * (values[-1 - quarter] - values[quarter]) / statistics.median(values):.0f} %"

    def tables(self):
        for mode in MODES:
            self.lines.append("One thread in the process" if mode == "single" else "A process with several threads")
            self.lines.append(f"  {'ns':48} {'quarry':>8} {'':>6} {'by hand':>8} {'best library':>22} {'ratio':>6}")
            for row, summary in ROWS.items():
                ours = self.ns(row, "quarry", mode)
                if ours is None:
                    continue
                hand = self.ns(row, "mutex-pool" if row in POOL_ROWS else "by-hand", mode)
                best, name = self.best_peer(row, mode)
                best_text = f"{name} {best:.2f}" if best else "-"
                self.lines.append(f"  {summary:48} {ours:8.2f} {self.spread(row, 'quarry', mode):>6} "
                                  f"{f'{hand:.2f}' if hand else '-':>8} {best_text:>22} "
                                  f"{f'{ours / best:.2f}' if best else '-':>6}")
            self.lines.append("")
        self.everything()

    def everything(self):
        """Every system's numbers, for both modes."""
        systems = list(dict.fromkeys(system for _, system in self.medians))
        rows = [row for row in ROWS if any((row, system) in self.medians for system in systems)]
        self.lines.append("All of them, ns")
        for row in rows:
            found = sorted((self.medians[row, system], system) for system in systems if (row, system) in self.medians)
            self.lines.append(f"  {row:17} " + "  ".join(f"{system} {ns:.2f}" for ns, system in found))
        self.lines.append("")

    def bar(self, what, value, limit, unit="ns"):
        if value is None or limit is None:
            self.lines.append(f"  -    {what}: not measured")
            return
        met = value <= limit
        self.lines.append(f"  {'met ' if met else 'MISS'} {what}: {value:.2f} of at most {limit:.2f} {unit}")

    def bars(self):
        self.lines.append("Bars")
        for mode in MODES:
            suffix = "" if mode == "single" else ", threaded"
            for row in ("create-64", "create-1k", "create-16k", "create-64k"):
                plain = [self.ns(row, system, mode) for system in ("malloc", "quarry-malloc")]
                limit = min(plain) + 1 if None not in plain else None
                self.bar(f"{row}{suffix}, malloc+free (the faster of glibc's and Quarry's) + 1 ns",
                         self.ns(row, "quarry", mode), limit)
            for row in ("clone", "slice"):
                empty = self.ns("clone", "empty-calls-library", mode)
                floor = f" (calling two empty functions of a shared library takes {empty:.2f})" if empty else ""
                self.bar(f"{row}{suffix}{floor}", self.ns(row, "quarry", mode), 4 if mode == "single" else 13)
            self.bar(f"message-8{suffix}", self.ns("message-8", "quarry", mode), 25 if mode == "single" else 60)
            self.bar(f"frames-128{suffix}, per frame", self.ns("frames-128", "quarry", mode), 2)
            self.bar(f"pool{suffix}", self.ns("pool", "quarry", mode), 5)
            self.bar(f"pool-bulk-32{suffix}, per object", self.ns("pool-bulk-32", "quarry", mode), 1)
        one = self.ns("pool", "quarry", "threaded")
        self.bar("pool-2-threads, no slower than one thread (within 3 %)", self.ns("pool-2-threads", "quarry", "threaded"),
                 one and one * 1.03)
        for row in PAIR_FLOOR_ROWS:
            ours = self.ns(row, "quarry", "threaded")
            for system, where in (("atomic-pair-library", "of a shared library"), ("atomic-pair-called", "of the program")):
                pair = self.ns("clone-2-threads" if row == "clone-2-threads" else "clone", system, "threaded")
                self.bar(f"{row}, threaded, against the bare atomic pair in two functions {where}",
                         ours and pair and ours / pair, 1.25, "of it")
        for mode in MODES:
            for row in ROWS:
                if mode == "threaded" and row in PAIR_FLOOR_ROWS:
                    continue
                ours, (best, name) = self.ns(row, "quarry", mode), self.best_peer(row, mode)
                if ours is None or best is None or (row == "pool-bulk-32" and name == "dpdk-mempool"):
                    continue
                self.bar(f"{row}{'' if mode == 'single' else ', threaded'}, against {name}", ours / best, 0.8, "of it")

    def text(self):
        self.tables()
        self.bars()
        return "\n".join(self.lines)


def read_tsv(path):
    values = {}
    for line in Path(path).read_text(encoding="ascii").splitlines()[1:]:
        row, system, ns = line.split("\t")
        values.setdefault((row, system), []).append(float(ns))
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", nargs="*", help="relative to the build directory")
    parser.add_argument("--build-dir", default="build")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--rows", default="", help="some rows only, separated by commas")
    parser.add_argument("--systems", default="", help="some systems only, separated by commas")
    parser.add_argument("--report", metavar="TSV", help="report on an earlier run's bench-buffers.tsv, run nothing")
    options = parser.parse_args()
    folder = Path(options.build_dir).resolve()
    benchmark = Benchmark([str(folder / program) for program in options.programs])
    if options.report:
        benchmark.values = read_tsv(options.report)
        print(Report(benchmark).text())
        return 0

    wanted = options.systems.split(",") if options.systems else None
    benchmark.offers = {key: rows for key, rows in benchmark.offers.items() if not wanted or key[1] in wanted}
    rows = [row for row in ROWS if not options.rows or row in options.rows.split(",")]
    started = time.monotonic()
    for repetition in range(options.repetitions):
        for mode in MODES:
            benchmark.repeat(mode, repetition, rows)
        print(f"repetition {repetition + 1} of {options.repetitions}, {time.monotonic() - started:.0f} s", flush=True)

    with open(folder / "bench-buffers.tsv", "w", encoding="ascii") as output:
        print("\t".join(HEADER), file=output)
        for (row, system), ns in sorted(benchmark.medians().items(), key=lambda item: list(ROWS).index(item[0][0])):
            print(f"{row}\t{system}\t{ns:.3f}", file=output)
    text = Report(benchmark).text()
    for (_, system), reason in benchmark.missing.items():
        text += f"\nleft out: {system}: {reason}"
    (folder / "bench-buffers.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
