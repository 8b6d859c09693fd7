#!/usr/bin/env python3
"""The relay beside its copying twin: throughput, CPU per delivered byte, memory with slow subscribers.

Each point is run several times, the systems taking turns, and the medians are compared. Two paths:

    loopback  relay-load publishes and subscribes; the kernel copies between the two sockets in any case. The subscribers
              let the kernel throw the bytes away, so that the relay is what is slow.
    ifb       the subscribers are made up by relay-wire, behind a device that drops everything: what sending alone
              costs, as with a network card.

Both in a network namespace of its own, for which it needs root; without it, ifb is left out.

Writes a table (path frame subscribers system mib_per_second cpu_ns_per_kib peak_kib), says where the twin is better.
"""
import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

SYSTEMS = ("relay", "relay-copy")
HERE, THERE = "10.99.0.1", "10.99.0.2"

# (what is compared, at most): 16 KiB frames to 100 subscribers.
BARS = {"loopback": 0.75, "ifb": 0.5, "slow": 0.1}

# Runs of one system differ by that much on a quiet machine.
WITHIN_NOISE = 0.95


class Failed(Exception):
    """A program did not do what it was started for; the message says which and why."""


def pairs(text):
    """The numbers of a line "name: key value key value…"."""
    return {key: float(value) for key, value in re.findall(r"([a-z_]+) ([0-9.]+)", text)}


class Namespace:
    """A network namespace; with an ifb device, if the kernel has them. Goes away with close()."""

    def __init__(self):
        self.name = f"relay-{os.getpid()}"
        self.prefix = ["ip", "netns", "exec", self.name]
        self.run("ip", "netns", "add", self.name)
        try:
            self.run("ip", "-n", self.name, "link", "set", "lo", "up")
            # A congestion control that paces (BBR, some machines' default) arms timers for the packets of a device
            # without pacing of its own; in a virtual machine that is much of the cost. No wire here loses anything:
            # reno will do.
            self.run(*self.prefix, "sh", "-c", "echo reno >/proc/sys/net/ipv4/tcp_congestion_control")
            self.has_wire = self.add_wire()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def run(*command):
        subprocess.run(command, check=True, capture_output=True, text=True)

    def add_wire(self):
        try:
            for arguments in (["link", "add", "wire0", "type", "ifb"], ["addr", "add", f"{HERE}/24", "dev", "wire0"],
                              ["link", "set", "wire0", "up"]):
                self.run("ip", "-n", self.name, *arguments)
        except subprocess.CalledProcessError as error:
            print(f"ifb: left out, no such device here ({error.stderr.strip()})")
            return False
        return True

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


class Bench:
    def __init__(self, options, namespace):
        self.options = options
        self.started = []
        self.prefix = [] if namespace is None else namespace.prefix
        self.folder = options.build_dir / "tools/examples"
        two = len(os.sched_getaffinity(0)) > 1 and shutil.which("taskset")
        self.server_cpu = ["taskset", "-c", "0"] if two else []
        self.load_cpu = ["taskset", "-c", "1"] if two else []

    def start(self, command):
        self.started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                             env={**os.environ, "LC_ALL": "C"}))
        return self.started[-1]

    def end(self):
        """What a failure has left running: a wire that nobody stops disturbs whatever is measured next."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()

    def start_relay(self, system, prefix, *arguments):
        send = [f"--send={self.options.send}"] if system == "relay" else []
        relay = self.start([*prefix, *self.server_cpu, str(self.folder / system), "--stats", *send, *arguments])
        ports = [relay.stdout.readline().strip().rpartition(":")[2] for _ in range(2)]
        if not all(ports):
            raise Failed(f"{system} does not start: {relay.communicate()[1]}")
        return relay, *ports

    @staticmethod
    def stop(process, name):
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        if process.returncode != 0:
            raise Failed(f"{name}: status {process.returncode}: {errors}")
        return pairs(errors.strip().splitlines()[-1]) if errors.strip() else {}

    def load(self, prefix, *arguments):
        done = subprocess.run([*prefix, *self.load_cpu, str(self.folder / "relay-load"), *arguments],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"relay-load: {done.stderr}")
        return pairs(done.stdout)

    def loopback(self, system, frame, subscribers):
        relay, publish, subscribe = self.start_relay(system, self.prefix)
        load = self.load(self.prefix, f"--publish={publish}", f"--subscribe={subscribe}", f"--frame={frame}",
                         f"--subscribers={subscribers}", f"--tenths={self.options.tenths}")
        cost = self.stop(relay, system)
        return load["mib_per_second"], cost

    def ifb(self, system, frame, subscribers):
        prefix = self.prefix
        relay, publish, subscribe = self.start_relay(system, prefix, f"--address={HERE}")
        wire = self.start([*prefix, *self.load_cpu, str(self.folder / "relay-wire"), "--device=wire0",
                           f"--from={THERE}", f"--to={HERE}", f"--port={subscribe}", f"--subscribers={subscribers}"])
        if not wire.stdout.readline():
            relay.terminate()
            raise Failed(f"relay-wire: {wire.communicate()[1]}")
        begin = time.monotonic()
        self.load(prefix, f"--host={HERE}", f"--publish={publish}", f"--subscribe={subscribe}", f"--frame={frame}",
                  "--subscribers=0", f"--tenths={self.options.tenths}")
        cost = self.stop(relay, system)  # which sends what waits before it ends
        seconds = time.monotonic() - begin
        self.stop(wire, "relay-wire")
        return cost["bytes_out"] / 2**20 / seconds, cost

    def slow(self, system, frame, subscribers):
        """Nobody reads until 64 MiB have been published; 4 MiB may wait for each."""
        relay, publish, subscribe = self.start_relay(system, self.prefix, "--slow=drop", "--queue=4M", "--socket=64K")
        load = self.load(self.prefix, f"--publish={publish}", f"--subscribe={subscribe}", f"--frame={frame}", "--lossy",
                         f"--subscribers={subscribers}", f"--stall={subscribers}", f"--count={2**26 // frame}",
                         "--socket=64K")
        return load["mib_per_second"], self.stop(relay, system)


def measure(bench, path, frame, subscribers, reps):
    """Medians by system: MiB/s, CPU ns for each delivered KiB, peak KiB."""
    runs = {system: [] for system in SYSTEMS}
    for rep in range(reps):
        for system in (SYSTEMS if rep % 2 == 0 else reversed(SYSTEMS)):
            speed, cost = getattr(bench, path)(system, frame, subscribers)
            cpu = (cost["cpu_user"] + cost["cpu_system"]) * 1e9 / (cost["bytes_out"] / 1024)
            runs[system].append((speed, cpu, cost["peak_kib"]))
    return {system: [statistics.median(column) for column in zip(*rows)] for system, rows in runs.items()}


def numbers(text):
    return [int(word) for word in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="the table (bench-relay.tsv in the build directory)")
    parser.add_argument("--paths", default="loopback,ifb,slow", help="(%(default)s)")
    parser.add_argument("--frames", type=numbers, default=[128, 1024, 16384], help="bytes (128,1024,16384)")
    parser.add_argument("--subscribers", type=numbers, default=[1, 10, 100], help="(1,10,100)")
    parser.add_argument("--send", default="auto", help="how the relay sends: see its --help (%(default)s)")
    parser.add_argument("--reps", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--tenths", type=int, default=7, help="tenths of a second of each run (%(default)s)")
    options = parser.parse_args()
    options.output = options.output or options.build_dir / "bench-relay.tsv"
    unknown = set(options.paths.split(",")) - {"loopback", "ifb", "slow"}
    if unknown:
        parser.error(f"--paths: there is no {', '.join(unknown)}")
    return options


def points(options):
    for path in options.paths.split(","):
        if path == "slow":
            yield path, 16384, 100, 1
        else:
            for frame in options.frames:
                for subscribers in options.subscribers:
                    yield path, frame, subscribers, options.reps


def run(options, namespace, bench):
    rows, below = [], []
    print(f"{'path':8} {'frame':>6} {'subs':>4}  {'MiB/s':>7} {'twin':>7} {'ratio':>6}  {'ns/KiB':>7} {'twin':>7} "
          f"{'ratio':>6}  {'peak KiB':>8} {'twin':>8}")
    for path, frame, subscribers, reps in points(options):
        if path == "ifb" and (namespace is None or not namespace.has_wire):
            continue
        result = measure(bench, path, frame, subscribers, reps)
        (speed, cpu, peak), (twin_speed, twin_cpu, twin_peak) = result["relay"], result["relay-copy"]
        print(f"{path:8} {frame:6} {subscribers:4}  {speed:7.0f} {twin_speed:7.0f} {speed / twin_speed:6.2f}  "
              f"{cpu:7.1f} {twin_cpu:7.1f} {cpu / twin_cpu:6.2f}  {peak:8.0f} {twin_peak:8.0f}", flush=True)
        for system, (a, b, c) in result.items():
            rows.append(f"{path}\t{frame}\t{subscribers}\t{system}\t{a:.1f}\t{b:.1f}\t{c:.0f}\n")
        if path != "slow" and speed < WITHIN_NOISE * twin_speed:
            busy = speed * 1024 * cpu / 1e9  # a server that is idle half the time waits for its load
            below.append(f"{path} {frame} x {subscribers}: {speed / twin_speed:.2f} of the twin's throughput, "
                         f"with {busy:.0%} of a processor")
        if frame == 16384 and subscribers == 100:
            ratio = peak / twin_peak if path == "slow" else cpu / twin_cpu
            what = "peak resident memory" if path == "slow" else "CPU per delivered byte"
            verdict = "met" if ratio <= BARS[path] else "MISSED"
            print(f"         {what}: {ratio:.3f} of the twin's, at most {BARS[path]}: {verdict}")
    options.output.write_text("path\tframe\tsubscribers\tsystem\tmib_per_second\tcpu_ns_per_kib\tpeak_kib\n"
                              + "".join(rows))
    print("\n".join(below) if below else "nowhere slower than the twin")
    print(f"written to {options.output}")


def main():
    options = arguments()
    namespace = None
    try:
        namespace = Namespace()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no network namespace of its own ({error}): ifb is left out, loopback has the machine's congestion control")
    bench = Bench(options, namespace)
    try:
        run(options, namespace, bench)
    except Failed as error:
        sys.exit(f"bench_relay: {error}")
    finally:
        bench.end()
        if namespace is not None:
            namespace.close()


if __name__ == "__main__":
    main()
