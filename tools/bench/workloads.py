"""The workloads: what to run for each and how to read its time. Synthetic ones measure themselves; of real programs the
whole run counts; of small programs only the peak RSS matters."""
import os
import socket
import subprocess
import time

import generate
from measure import Result, RunFailed, SOURCES, find_program

SYNTHETIC, REAL, SMALL = "synthetic", "real", "small"
SMALL_REPETITIONS = 51  # peak RSS of a small program varies by some pages from run to run: take the median of many


class Workload:
    """One line of the benchmark."""

    repetitions = None  # None: as many as asked for

    def __init__(self, name, group, summary):
        self.name = name
        self.group = group
        self.summary = summary

    def missing(self):
        """The name of a program that is not installed, or None."""
        return None

    def prepare(self, launcher, scale):
        """Makes the input files in the launcher's folder."""

    def library(self, prober, allocator):
        """What to preload for this allocator."""
        return allocator.library

    def run(self, launcher, library, scale):
        """Runs once; returns a Result."""
        raise NotImplementedError


class Synthetic(Workload):
    """A sub-command of a program of our own, which prints the seconds of the part that counts."""

    def __init__(self, name, summary, program, arguments):
        super().__init__(name, SYNTHETIC, summary)
        self.program = program
        self.arguments = arguments

    def run(self, launcher, library, scale):
        result = launcher.run([launcher.programs.path(self.program), *self.arguments, str(scale)], library, exact=True)
        try:
            return Result(float(result.output), result.rss_kib, "")
        except ValueError:
            raise RunFailed(f"printed no time: {result.output.strip()[:100]}") from None


class Program(Workload):
    """A program of the machine on an input of ours. `arguments` is a function of the scale; `trial` is a short run by
    which the preload is proven. What it prints must be the same in every run."""

    def __init__(self, name, summary, program, arguments, trial, variables=None, inputs=None, group=REAL):
        super().__init__(name, group, summary)
        self.program = program
        self.arguments = arguments
        self.trial = trial
        self.variables = variables or {}
        self.inputs = inputs or {}
        self.expected_output = None
        if group == SMALL:
            self.repetitions = SMALL_REPETITIONS

    def missing(self):
        return None if find_program(self.program) else self.program

    def prepare(self, launcher, scale):
        for name, generator in self.inputs.items():
            with open(os.path.join(launcher.folder, name), "w", encoding="utf-8") as file:
                file.write(generator(scale))

    def library(self, prober, allocator):
        command = [find_program(self.program), *self.trial]
        return prober.library_for(self.name, command, allocator, self.variables)

    def run(self, launcher, library, scale):
        result = launcher.run([find_program(self.program), *self.arguments(scale)], library, self.variables,
                              exact=self.group == SMALL)
        if self.expected_output is None:
            self.expected_output = result.output
        if result.output != self.expected_output:
            raise RunFailed("printed something else than the first run did")
        return result


class Redis(Workload):
    """redis-server under redis-benchmark, over a Unix socket. The server alone is preloaded and measured for memory;
    the time is that of a fixed number of requests at the throughput that redis-benchmark reports."""

    TESTS = "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100"
    REQUESTS = 60000  # per test
    KEYS = 50000
    VALUE_BYTES = 200

    def __init__(self):
        super().__init__("redis", REAL, "redis-server under redis-benchmark, 13 kinds of requests")

    def missing(self):
        return next((name for name in ("redis-server", "redis-benchmark") if not find_program(name)), None)

    def library(self, prober, allocator):
        return prober.library_for(self.name, [find_program("redis-server"), "--version"], allocator, {})

    @staticmethod
    def ask(path, request):
        """Sends one inline command; returns what the server answers, empty when it closes the connection."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(path)
            connection.sendall(request.encode() + b"\r\n")
            return connection.recv(100).decode(errors="replace")

    def wait_until_ready(self, server, path):
        for _ in range(500):
            try:
                if self.ask(path, "PING").startswith("+PONG"):
                    return
            except OSError:
                pass
            if server.poll() is not None:
                raise RunFailed("the server ended at once")
            time.sleep(0.02)
        raise RunFailed("the server did not answer")

    def run(self, launcher, library, scale):
        path = os.path.join(launcher.folder, "redis.sock")
        server = launcher.start([find_program("redis-server"), "--port", "0", "--unixsocket", path, "--save", "",
                                 "--appendonly", "no", "--dir", launcher.folder, "--loglevel", "warning"], library,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        try:
            self.wait_until_ready(server, path)
            client = subprocess.run([find_program("redis-benchmark"), "-s", path, "-t", self.TESTS, "--csv", "-c", "20",
                                     "-P", "16", "-n", str(max(100, int(self.REQUESTS * scale))), "-r", str(self.KEYS),
                                     "-d", str(self.VALUE_BYTES)], capture_output=True, text=True,
                                    timeout=launcher.time_limit, check=False)
            if server.poll() is not None:
                return launcher.finish(server)
            try:
                self.ask(path, "SHUTDOWN NOSAVE")
            except ConnectionError:
                pass
            rss_kib = launcher.finish(server).rss_kib
        except subprocess.TimeoutExpired:
            raise RunFailed(f"redis-benchmark was still running after {launcher.time_limit} s") from None
        except OSError as error:
            raise RunFailed(f"redis-benchmark: {error}") from None
        finally:
            if server.poll() is None:
                launcher.end(server)
        return Result(self.seconds(client, scale), rss_kib, "")

    def seconds(self, client, scale):
        rates = [line.split('","')[1].strip('"') for line in client.stdout.splitlines()[1:] if '","' in line]
        # lrange needs a list to read from, so one more test is run than named.
        if client.returncode != 0 or len(rates) < self.TESTS.count(",") + 1:
            raise RunFailed(f"redis-benchmark: exit status {client.returncode}: {client.stderr.strip()[-200:]}")
        return sum(max(100, int(self.REQUESTS * scale)) / float(rate) for rate in rates)


def script(name, count):
    """The arguments of an interpreter that runs inputs/NAME with a count that follows the scale."""
    return lambda scale: [str(SOURCES / "inputs" / name), str(max(10, int(count * scale)))]


def real_workloads():
    """One of each kind: server, database, solver, renderer, compiler and the usual interpreters."""
    hash_seeds = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    return [
        Redis(),
        Program("sqlite3", "an in-memory database: joins, indexes, grouping, updates", "sqlite3",
                lambda scale: [":memory:", ".read tables.sql"], ["-version"], inputs={"tables.sql": generate.sql}),
        Program("z3", "clauses over integers, functions and bit vectors", "z3",
                lambda scale: ["problems.smt2"], ["--version"], inputs={"problems.smt2": generate.smt}),
        Program("ghostscript", "pages of text, curves and gradients, rendered in colour", "gs",
                lambda scale: ["-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=ppmraw", "-r72", "-sOutputFile=/dev/null",
                               f"-dPageCount={max(1, int(45 * scale))}", str(SOURCES / "inputs" / "pages.ps")],
                ["--version"]),
        Program("python3", "objects, dictionaries and JSON on Python's own small-block pools", "python3",
                script("records.py", 40000), ["-c", "pass"], variables=hash_seeds),
        Program("python3-malloc", "the same with every object from malloc", "python3",
                script("records.py", 40000), ["-c", "pass"], variables={**hash_seeds, "PYTHONMALLOC": "malloc"}),
        Program("perl", "hashes, lists and regular expressions", "perl",
                script("records.pl", 20000), ["-e", "0"], variables={"PERL_HASH_SEED": "0"}),
        Program("lua", "tables, closures and strings", "lua5.4", script("records.lua", 20000), ["-e", "local a = 1"]),
        Program("g++", "a source with many containers, compiled with -O1", "g++",
                lambda scale: ["-O1", "-c", "source.cc", "-o", "source.o"],
                ["-fsyntax-only", "-x", "c++", "/dev/null"], inputs={"source.cc": generate.cplusplus}),
        Program("ruby", "objects, hashes and strings", "ruby", script("records.rb", 20000), ["-e", "0"]),
        Program("node", "buffers, compression and JSON", "node", script("records.js", 8000), ["-e", "0"]),
    ]


def small_workloads():
    return [
        Program("small-true", "true: peak RSS", "true", lambda scale: [], [], group=SMALL),
        Program("small-ls", "ls: peak RSS", "ls", lambda scale: [], [], group=SMALL),
        Program("small-python3", "python3 -c pass: peak RSS", "python3", lambda scale: ["-c", "pass"], ["-c", "pass"],
                variables={"PYTHONDONTWRITEBYTECODE": "1"}, group=SMALL),
    ]


def synthetic_workloads(programs):
    """Named by the program itself, so that there is one list only; the C++ one takes its place beside the minimiser."""
    command = [programs.path("bench-workloads"), "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    workloads = []
    for line in listing.stdout.splitlines():
        name, summary = line.split("\t")
        workloads.append(Synthetic(name, summary, "bench-workloads", [name]))
        if name == "logic":
            summary = "documents parsed, rewritten and written in C++"
            workloads.append(Synthetic("documents", summary, "bench-documents", []))
    return workloads


def all_workloads(programs):
    return synthetic_workloads(programs) + real_workloads() + small_workloads()
