#!/usr/bin/env bash
# python3: threads, subprocesses, multiprocessing (fork and spawn), ctypes and the C modules, once with Python's own pools
# on top of malloc and once with every object straight from malloc (PYTHONMALLOC=malloc).
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require PYTHON python3

cat >work.py <<'SCRIPT'
import array, bisect, concurrent.futures, ctypes, gc, hashlib, io, json, multiprocessing, os, queue, re, subprocess, sys
import threading, weakref, zlib


def digest(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def churn(seed, rounds):
    """Objects of many sizes, kept and dropped in a fixed order."""
    live, state, total = {}, seed, 0
    for i in range(rounds):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        slot = state % 997
        old = live.pop(slot, None)
        if old is not None:
            total = (total * 31 + len(old) + old[0]) & 0xFFFFFFFF
        live[slot] = bytearray([state & 255]) * (1 + (state >> 8) % (1 << (4 + state % 11)))
    for slot in sorted(live):
        total = (total * 31 + zlib.crc32(live[slot])) & 0xFFFFFFFF
    return total


def in_child(n):
    return n, churn(n, 2000), multiprocessing.parent_process() is not None


def main():
    # Threads that allocate, pass objects on, and end.
    passed_on, answers = queue.Queue(50), []

    def producer(seed):
        for i in range(400):
            passed_on.put([seed, i, "x" * (i * 3), {"k%d" % j: [j] * j for j in range(i % 17)}])

    def consumer():
        while (item := passed_on.get()) is not None:
            answers.append((item[0], item[1], len(item[2]), len(item[3])))

    for _ in range(3):
        producers = [threading.Thread(target=producer, args=(s,)) for s in range(4)]
        consumers = [threading.Thread(target=consumer) for _ in range(2)]
        for t in producers + consumers:
            t.start()
        for t in producers:
            t.join()
        for _ in consumers:
            passed_on.put(None)
        for t in consumers:
            t.join()
    print("threads", len(answers), digest(sorted(answers)))
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        print("pool", digest(list(pool.map(lambda s: churn(s, 3000), range(12)))))
    for _ in range(200):
        t = threading.Thread(target=lambda: [bytes(n) for n in range(0, 4000, 97)])
        t.start()
        t.join()

    # fork from a process with threads, children that use the parent's objects, and pipes between them.
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            churn(5, 200)

    workers = [threading.Thread(target=busy, daemon=True) for _ in range(2)]
    for t in workers:
        t.start()
    keep = [{"n": i, "s": str(i) * 20} for i in range(20000)]
    for i in range(15):
        pid = os.fork()
        if pid == 0:
            del keep[::2]
            os._exit(0 if len(keep) == 10000 and churn(i, 300) else 1)
        assert os.waitpid(pid, 0)[1] == 0, "a forked child failed"
    stop.set()
    for t in workers:
        t.join()
    for method in "fork", "spawn":
        with multiprocessing.get_context(method).Pool(2) as pool:
            rows = pool.map(in_child, range(8))
        print(method, digest([r[:2] for r in rows]), all(r[2] for r in rows))

    for i in range(5):
        text = "line %d\n" % i * 5000
        done = subprocess.run([sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read()[::-1])"],
                              input=text, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout == text[::-1] and not done.stderr, done.stderr
    print("subprocess", len(text))

    # The C side: libc's own strdup through ctypes, callbacks, compression, JSON, regular expressions, databases.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.strdup.restype = libc.malloc.restype = libc.realloc.restype = libc.calloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.realloc.argtypes = libc.calloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    copies = [libc.strdup(b"copy %d" % i) for i in range(1000)]
    copies = [libc.realloc(p, 4096) for p in copies]
    print("ctypes", digest([ctypes.string_at(p) for p in copies]), any(ctypes.string_at(libc.calloc(50, 80), 4000)))
    for p in copies:
        libc.free(p)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 2000)(*[(i * 7919) % 2003 for i in range(2000)])
    libc.qsort(numbers, 2000, 4, compare(lambda a, b: a[0] - b[0]))
    print("qsort", list(numbers) == sorted(numbers))
    tree = {"a%d" % i: [{"b": j, "c": "é" * j, "d": [None, True, 1.5e300]} for j in range(i % 40)] for i in range(800)}
    text = json.dumps(tree)
    print("json", json.loads(text) == tree, digest(text))
    packed = zlib.compress(text.encode(), 6)
    print("zlib", zlib.decompress(packed).decode() == text)
    print("re", digest(re.findall(r'"b": (\d+), "c": "((?:\\u00e9)*)"', text)[::50]),
          len(re.sub(r"(\d)(\d)", lambda m: m[2] + m[1], text)))
    big = array.array("q", range(300000))
    big.extend(big)
    for i in range(100):
        bisect.insort(big, i * 3001, 0, 300000)
    print("array", len(big), hashlib.md5(big).hexdigest())
    print("int", digest(hex(3 ** 40000 // 7 ** 9000)), digest(str(2 ** 9000)))
    out = io.BytesIO()
    for i in range(20000):
        out.write(b"%d," % i)
    print("io", zlib.crc32(out.getvalue()))

    # Cycles for the collector and weak references that see the objects go.
    class Node:
        pass

    seen = []
    nodes = [Node() for _ in range(5000)]
    for a, b in zip(nodes, nodes[1:] + nodes[:1]):
        a.next, a.data = b, bytes(100)
    refs = [weakref.ref(n, seen.append) for n in nodes]
    del nodes, a, b
    gc.collect()
    print("gc", len(seen), sum(r() is None for r in refs))


if __name__ == "__main__":
    main()
SCRIPT

# In Python the library is seen in the process, in a thread, and in a child made by the subprocess module.
cat >mapped.py <<'SCRIPT'
import subprocess, sys
library = sys.argv[1]
assert library in open("/proc/self/maps").read()
assert library in subprocess.run(["cat", "/proc/self/maps"], capture_output=True, text=True, check=True).stdout
SCRIPT
preloaded "$PYTHON" mapped.py "$QUARRY_LIB"

export PYTHONHASHSEED=0
run_both_ok own-pools "$PYTHON" -I work.py
PYTHONMALLOC=malloc run_both_ok malloc-only "$PYTHON" work.py
assert_same own-pools.preloaded.out malloc-only.preloaded.out
assert_equal 14 "$(wc -l <own-pools.preloaded.out)" "lines of results"
