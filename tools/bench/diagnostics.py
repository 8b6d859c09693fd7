#!/usr/bin/env python3
"""What looking costs: each synthetic workload with and without the heap profile, the live page and the report at exit.

All settings run in turn, in every repetition. A ratio is the median of the repetitions' own ratios to the run without a setting, so
that a machine that is slow for a while is slow for both.
"""
import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile

SETTINGS = {
    "profile, 512 KiB": {"QUARRY_PROF": "1:{folder}/profile"},
    "profile, 64 KiB": {"QUARRY_PROF": "1:{folder}/profile", "QUARRY_OPTIONS": "prof_rate:64K"},
    "live:page": {"QUARRY_OPTIONS": "live:page"},
    "text at exit": {"QUARRY_STATS": "text:{folder}/text.%p"},
}


def run(program, workload, scale, library, setting, folder):
    """Seconds, as the workload itself measures them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QUARRY_")}
    environment.update({name: value.format(folder=folder) for name, value in setting.items()}, LD_PRELOAD=library)
    done = subprocess.run([program, workload, scale], env=environment, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build-dir", required=True)
    folder = parser.parse_args().build_dir
    program = os.path.join(folder, "tools/bench/bench-workloads")
    library = os.environ.get("QUARRY_LIB", os.path.join(folder, ".libs/libquarry.so"))
    repetitions = int(os.environ.get("REPS", "5"))
    scale = os.environ.get("SCALE", "0.3")
    listed = subprocess.run([program, "list"], stdout=subprocess.PIPE, check=True, text=True).stdout
    workloads = os.environ.get("WORKLOADS", "").split() or [line.split()[0] for line in listed.splitlines()]

    print(f"time divided by that without, medians of {repetitions} (scale {scale})")
    print(" " * 18, *(f"{name:>17}" for name in SETTINGS))
    logarithms = {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as scratch:
        for workload in workloads:
            ratios = {name: [] for name in SETTINGS}
            for _ in range(repetitions):
                plain = run(program, workload, scale, library, {}, scratch)
                for name, setting in SETTINGS.items():
                    ratios[name].append(run(program, workload, scale, library, setting, scratch) / plain)
            medians = {name: statistics.median(values) for name, values in ratios.items()}
            for name, value in medians.items():
                logarithms[name].append(math.log(value))
            print(f"{workload:18}", *(f"{value:17.3f}" for value in medians.values()), flush=True)
    print(f"{'geometric mean':18}", *(f"{math.exp(statistics.mean(values)):17.3f}" for values in logarithms.values()))


if __name__ == "__main__":
    sys.exit(main())
