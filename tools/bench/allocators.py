"""The allocators that are compared, and the proof that a program really runs on the one that was preloaded."""
import glob
import os
import re

from measure import RunFailed

LIBRARY_FOLDERS = ["/usr/local/lib", "/usr/lib/*-linux-gnu", "/lib/*-linux-gnu", "/usr/lib64", "/usr/lib"]

# What people would otherwise pick, as Debian packages it: name, file names in order of preference, package.
PEERS = [
    ("jemalloc", ["libjemalloc.so.2"], "libjemalloc2"),
    ("mimalloc", ["libmimalloc.so.2.0", "libmimalloc.so.2"], "libmimalloc2.0"),
    ("tcmalloc", ["libtcmalloc_minimal.so.4"], "libtcmalloc-minimal4"),
    # The proxy replaces malloc; libtbbmalloc.so.2 alone only offers other names.
    ("tbbmalloc", ["libtbbmalloc_proxy.so.2"], "libtbbmalloc2"),
]
PEER_NAMES = [name for name, _, _ in PEERS]


class Allocator:
    """A name and the library to preload; None is the C library's own malloc."""

    def __init__(self, name, library):
        self.name = name
        self.library = library


def find_library(file_names):
    for file_name in file_names:
        for folder in LIBRARY_FOLDERS:
            found = sorted(glob.glob(os.path.join(folder, file_name)))
            if found:
                return found[0]
    return None


def find_allocators(quarry_library, extra):
    """Quarry, glibc and every peer on this machine; `extra` is "name=/path.so name=/path.so". Returns the allocators
    and a line for each one that is missing."""
    allocators, missing = [], []
    if quarry_library and os.path.exists(quarry_library):
        allocators.append(Allocator("quarry", os.path.abspath(quarry_library)))
    else:
        missing.append(f"quarry is not there: {quarry_library or 'set QUARRY_LIB to libquarry.so'}")
    allocators.append(Allocator("glibc", None))
    for name, file_names, package in PEERS:
        library = find_library(file_names)
        if library:
            allocators.append(Allocator(name, library))
        else:
            missing.append(f"{name} is not installed (Debian: apt-get install {package})")
    for pair in extra.split():
        name, separator, library = pair.partition("=")
        if not separator or not os.path.exists(library):
            raise SystemExit(f"QUARRY_BENCH_PEERS: there is no library '{pair}' (NAME=/path/lib.so)")
        allocators.append(Allocator(name, os.path.abspath(library)))
    return allocators, missing


def same_file(path, other):
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)


class Prober:
    """Asks the dynamic linker who provides malloc."""

    def __init__(self, launcher):
        self.launcher = launcher
        self.libc = self.functions(None)["malloc"]
        self.needs_libc = {}

    def functions(self, library):
        """Function name -> file that provides it, in a C program started with this library."""
        command = [self.launcher.programs.path("bench-workloads"), "probe"]
        lines = self.launcher.run(command, library).output.splitlines()
        return dict(line.split("\t") for line in lines)

    def check(self, allocator):
        """Raises RunFailed unless the whole family comes from the allocator's library."""
        expected = allocator.library or self.libc
        for function, provider in self.functions(allocator.library).items():
            if not same_file(provider, expected):
                raise RunFailed(f"the preload has no effect: {function} comes from {provider}, not {expected}")

    def providers(self, command, library, variables):
        """The files that malloc is bound to in any process of the command, from the dynamic linker's own log."""
        log = os.path.join(self.launcher.folder, "bindings")
        linker = {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": log, "LD_BIND_NOW": "1"}
        self.launcher.run(command, library, {**variables, **linker})
        bindings = {}
        for path in glob.glob(log + ".*"):
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    # "PID: binding file USER [0] to PROVIDER [0]: normal symbol `malloc' [VERSION]"
                    match = re.search(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: \w+ symbol `malloc'", line)
                    if match:
                        bindings.setdefault(match[1], set()).add(match[2])
            os.unlink(path)
        # In a program at a fixed address (node) the libraries are bound to its stub, and the stub to the provider.
        stubs = {user for user, found in bindings.items() if ".so" not in os.path.basename(user) and found - {user}}
        return {provider for found in bindings.values() for provider in found} - stubs

    def library_for(self, name, command, allocator, variables):
        """What to preload so that this program runs on this allocator, proven by its bindings. For glibc that is
        nothing, except for a program linked with another allocator (Debian's redis-server with jemalloc): for that
        one it is the C library itself."""
        library = allocator.library
        if not library:
            if name not in self.needs_libc:
                found = self.providers(command, None, variables)
                self.needs_libc[name] = any(not same_file(provider, self.libc) for provider in found)
            library = self.libc if self.needs_libc[name] else None
        expected = library or self.libc
        found = self.providers(command, library, variables)
        if not found or any(not same_file(provider, expected) for provider in found):
            raise RunFailed(f"the preload has no effect: malloc comes from {', '.join(sorted(found)) or 'nowhere'}")
        return library
