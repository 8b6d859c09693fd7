"""Builds the benchmark's own programs where make has not, and measures one run of a command."""
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent

# As in local.mk: without -fno-builtin-* the compiler removes the very calls that are measured.
CFLAGS = ["-std=gnu17", "-O2", "-g", "-pthread", "-Wall", "-Wextra", "-fno-builtin-malloc",
          "-fno-builtin-calloc", "-fno-builtin-realloc", "-fno-builtin-free"]
CXXFLAGS = ["-std=c++17", *CFLAGS[1:]]

# Settings of allocators and interpreters in the caller's environment would favour or hinder single ones.
# QUARRY_OPTIONS stays, so that options can be tried.
DROPPED_VARIABLES = ("LD_PRELOAD", "LD_LIBRARY_PATH", "GLIBC_TUNABLES", "QUARRY_STATS", "QUARRY_ONLY", "MAKEFLAGS",
                     "MFLAGS")
DROPPED_PREFIXES = ("MALLOC_", "JEMALLOC_", "MIMALLOC_", "TCMALLOC_", "TBB_", "PYTHON", "PERL", "RUBY", "NODE_", "LUA_")


class RunFailed(Exception):
    """A command did not do what it was started for; the message says why."""


class Result:
    """One run: elapsed seconds, peak resident KiB, and what it printed."""

    def __init__(self, seconds, rss_kib, output):
        self.seconds = seconds
        self.rss_kib = rss_kib
        self.output = output


def clean_environment():
    """The environment of every measured program."""
    kept = {name: value for name, value in os.environ.items()
            if name not in DROPPED_VARIABLES and not name.startswith(DROPPED_PREFIXES)}
    return {**kept, "LC_ALL": "C"}


def find_program(name):
    """The path of an ELF program, or None. The system's own comes first, so that results of two machines compare.
    Wrapper scripts of the same name are passed over: nothing but the program itself may be preloaded."""
    for folder in ["/usr/bin", "/bin", "/usr/sbin", *os.environ.get("PATH", "").split(os.pathsep)]:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            with open(path, "rb") as file:
                if file.read(4) == b"\x7fELF":
                    return path
    return None


class Programs:
    """The benchmark's own programs in one folder. Each is compiled when it is missing or older than its sources."""

    RECIPES = {
        "bench-workloads": (["workloads/*.c", "workloads/*.h"], "CC", CFLAGS, []),
        "bench-documents": (["documents.cc"], "CXX", CXXFLAGS, []),
        # Static, so that it stays smaller than the programs that it starts; see spawn.c.
        "bench-spawn": (["spawn.c"], "CC", CFLAGS, ["-static"]),
        # -fno-plt: a call of malloc is then one instruction, with no stub that would have to be told apart from it.
        "bench-pairs": (["pairs.c"], "CC", [*CFLAGS, "-fno-plt"], []),
    }

    def __init__(self, folder):
        self.folder = Path(folder)

    def path(self, name):
        patterns, variable, flags, link_flags = self.RECIPES[name]
        sources = sorted(source for pattern in patterns for source in SOURCES.glob(pattern))
        program = self.folder / name
        if not program.exists() or any(program.stat().st_mtime < source.stat().st_mtime for source in sources):
            self.folder.mkdir(parents=True, exist_ok=True)
            compiler = os.environ.get(variable) or {"CC": "cc", "CXX": "c++"}[variable]
            command = [*compiler.split(), *flags, *(str(source) for source in sources if source.suffix != ".h"),
                       *link_flags, "-o", str(program)]
            subprocess.run(command, check=True)
        return str(program)


class Launcher:
    """Runs commands under an allocator, through bench-spawn, in a temporary folder of its own."""

    def __init__(self, programs, time_limit):
        self.programs = programs
        self.time_limit = time_limit
        self.folder = tempfile.mkdtemp(prefix="quarry-bench.")
        self.report = os.path.join(self.folder, "report")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command, library=None, variables=None, exact=False, **options):
        """Starts the command; the caller finishes it with finish(). It leads a process group, so that what it starts
        can be ended with it. spawn.c says what `exact` changes."""
        if os.path.exists(self.report):
            os.unlink(self.report)
        settings = [f"{name}={value}" for name, value in (variables or {}).items()]
        if library:
            settings.append(f"LD_PRELOAD={library}")
        spawn = [self.programs.path("bench-spawn"), *(["--exact"] if exact else [])]
        return subprocess.Popen([*spawn, self.report, *settings, "--", *command],
                                cwd=self.folder, env=clean_environment(), stdin=subprocess.DEVNULL,
                                start_new_session=True, **options)

    def finish(self, process):
        """Waits for a started command; returns its Result."""
        try:
            output, errors = process.communicate(timeout=self.time_limit)
        except subprocess.TimeoutExpired:
            self.end(process)
            raise RunFailed(f"still running after {self.time_limit} s") from None
        try:
            with open(self.report, encoding="ascii") as file:
                seconds, rss_kib, status = file.read().split()
        except OSError:
            raise RunFailed(f"could not be started: {(errors or '').strip()[-300:]}") from None
        status = int(status)
        said = f": {errors.strip()[-300:]}" if errors and errors.strip() else ""
        if os.WIFSIGNALED(status):
            raise RunFailed(f"ended by signal {signal.Signals(os.WTERMSIG(status)).name}{said}")
        if status != 0:
            raise RunFailed(f"exit status {os.WEXITSTATUS(status)}{said}")
        return Result(float(seconds), int(rss_kib), output or "")

    @staticmethod
    def end(process):
        """Ends a started command with all that it started."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def run(self, command, library=None, variables=None, exact=False):
        """Runs the command to its end; returns its Result or raises RunFailed."""
        process = self.start(command, library, variables, exact, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, errors="replace")
        try:
            return self.finish(process)
        except KeyboardInterrupt:
            self.end(process)
            raise
