#!/usr/bin/env python3
"""Makes profiles (profile.proto) and statistics for the tests of quarry prof and quarry report."""
import json, random, sys

def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while True:
        out.append((n & 0x7f) | (0x80 if n > 0x7f else 0))
        n >>= 7
        if not n:
            return bytes(out)

def number(field, n):
    return varint(field << 3) + varint(n)

def block(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content

TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"),
         ("pinned_space", "bytes"), ("peak_space", "bytes")]

class Profile:
    def __init__(self, types=TYPES, time_ns=1_700_000_000_000_000_000):
        self.strings, self.types, self.time_ns = [""], types, time_ns
        self.functions, self.locations, self.samples, self.comments, self.mappings = {}, {}, [], [], []

    def text(self, s):
        if s not in self.strings:
            self.strings.append(s)
        return self.strings.index(s)

    def mapping(self, start, limit, offset, path, build_id=""):
        self.mappings.append((start, limit, offset, self.text(path), self.text(build_id)))
        return len(self.mappings)

    def named(self, name, path="main.c", mapping=0):
        """The number of a location of a function."""
        if name not in self.locations:
            self.functions[name] = (len(self.functions) + 1, self.text(name), self.text(path))
            self.locations[name] = (len(self.locations) + 1, mapping, 0x1000 + 16 * len(self.locations), self.functions[name][0])
        return self.locations[name][0]

    def address(self, address, mapping=0):
        """The number of a location without a function."""
        if address not in self.locations:
            self.locations[address] = (len(self.locations) + 1, mapping, address, 0)
        return self.locations[address][0]

    def sample(self, stack, values):
        """stack: locations, the innermost first."""
        self.samples.append((stack, values))

    def bytes(self):
        out = b""
        for kind, unit in self.types:
            out += block(1, number(1, self.text(kind)) + number(2, self.text(unit)))
        for stack, values in self.samples:
            out += block(2, block(1, b"".join(varint(n) for n in stack)) + block(2, b"".join(varint(n) for n in values)))
        for i, (start, limit, offset, path, build_id) in enumerate(self.mappings):
            out += block(3, number(1, i + 1) + number(2, start) + number(3, limit) + number(4, offset) + number(5, path) + number(6, build_id))
        for n, mapping, address, function in self.locations.values():
            line = block(4, number(1, function) + number(2, 42)) if function else b""
            out += block(4, number(1, n) + number(2, mapping) + number(3, address) + line)
        for n, name, path in self.functions.values():
            out += block(5, number(1, n) + number(2, name) + number(3, name) + number(4, path))
        out += number(9, self.time_ns) + block(11, number(1, self.text("space")) + number(2, self.text("bytes"))) + number(12, 524288)
        out += b"".join(number(13, self.text(comment)) for comment in self.comments)
        out += number(14, self.text("inuse_space"))
        # texts last, as other writers do
        return out + b"".join(block(6, s.encode("utf-8", "surrogateescape")) for s in self.strings)


def put(path, content):
    with open(path, "wb" if isinstance(content, bytes) else "w") as out:
        out.write(content if isinstance(content, bytes) else json.dumps(content))


# ---- a program with something in every section ----

STACKS = [
    # stack from the outside, live KiB, share of peak, of pinned, allocations per live block, block size
    ("main;serve;handle_request;parse_headers;header_table_grow;qy_malloc", 5200, 1.6, .05, 40, 512),
    ("main;serve;handle_request;parse_headers;string_copy", 1300, 1.4, .30, 800, 64),
    ("main;serve;handle_request;route;session_find;session_create", 7800, 1.05, .02, 1.1, 384),
    ("main;serve;handle_request;route;session_find;session_create;string_copy", 2100, 1.1, .55, 1.4, 48),
    ("main;serve;handle_request;respond;template_render;buffer_grow", 900, 6.0, .01, 3000, 16384),
    ("main;serve;handle_request;respond;template_render;escape_html;buffer_grow", 350, 4.0, .02, 2500, 4096),
    ("main;serve;handle_request;respond;compress;deflateInit2_", 1600, 2.2, .00, 90, 65536),
    ("main;serve;accept_connection;connection_create", 2600, 1.8, .12, 12, 768),
    ("main;serve;accept_connection;connection_create;tls_start;SSL_new", 3900, 1.7, .08, 12, 1024),
    ("main;serve;accept_connection;connection_create;tls_start;SSL_new;CRYPTO_zalloc", 2900, 1.7, .15, 15, 256),
    ("main;load_configuration;json_parse;json_object_set", 640, 1.0, .01, 1.2, 96),
    ("main;load_configuration;json_parse;string_copy", 310, 1.0, .02, 1.3, 32),
    ("start_thread;worker;cache_refresh;cache_insert;entry_create", 11800, 1.0, .9, 3, 160),
    ("start_thread;worker;cache_refresh;cache_insert;hash_resize", 4200, 1.9, .00, 2, 524288),
    ("start_thread;worker;cache_refresh;fetch;read_all;buffer_grow", 120, 30, .00, 900, 32768),
    ("start_thread;worker;log_flush;format_line;string_copy", 40, 3, .10, 20000, 128),
    ("start_thread;worker;metrics_tick;std::vector<std::pair<std::string, double>>::_M_realloc_insert", 520, 1.2, .2, 60, 1024),
]
MODULES = {"SSL_new": "libssl.so.3", "CRYPTO_zalloc": "libcrypto.so.3", "deflateInit2_": "libz.so.1", "start_thread": "libc.so.6"}


def demo_profile(scale=1.0, grown=(), time_ns=1_700_000_000_000_000_000):
    profile = Profile(time_ns=time_ns)
    modules = {}
    for i, path in enumerate(["/usr/bin/demo-server", "/usr/lib/libssl.so.3", "/usr/lib/libcrypto.so.3", "/usr/lib/libz.so.1", "/usr/lib/libc.so.6"]):
        modules[path.rsplit("/", 1)[1]] = profile.mapping(0x400000 * (i + 1), 0x400000 * (i + 2), 0, path, "%040x" % (i + 1))
    for stack, kib, peak, pinned, churn, size in STACKS:
        if "session_create" in stack and grown:
            kib *= 2.5
        elif "cache" in stack and grown:
            kib *= .8
        elif grown and "template" not in stack:
            pass
        live = int(kib * 1024 * scale) // size * size
        frames = [profile.named(f, mapping=modules[MODULES.get(f, "demo-server")]) for f in stack.split(";")]
        profile.sample(frames[::-1], [int(live / size * churn), int(live * churn), live // size, live, int(live * pinned * .4), int(live * peak)])
    profile.comments += ["program demo-server", "pid 4711", "rate 524288"]
    for bucket, count in enumerate([0, 3, 40, 310, 1250, 4100, 6900, 5200, 2400, 900, 420, 260, 300, 480, 760, 810, 520, 240, 110, 70, 44, 31, 22, 15, 12, 9, 4, 2]):
        if count:
            profile.comments.append(f"lifetime {bucket} {count}")
    return profile


def demo_stats(seconds=5400, history=True):
    rnd = random.Random(7)
    classes, live_small, slab_all, free_all, freed_all = [], 0, 0, 0, 0
    sizes = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1536, 2048, 4096, 8192, 16384]
    for size in sizes:
        slabs = max(1, int(rnd.random() ** 2 * 90))
        per = 32768 // size
        share = rnd.choice([.97, .9, .8, .65, .4, .18]) if size not in (48, 64) else .31
        live = int(slabs * per * share)
        cached = int(min(slabs * per - live, 40) * rnd.random())
        free = slabs * per - live - cached
        classes.append({"bytes": size, "calls": int(live * rnd.choice([1.2, 8, 90, 2500])) + 1, "live": live, "cached": cached,
                        "free": free, "freed": free * 2 // 3, "slabs": slabs, "slab_bytes": slabs * 32768})
        live_small += live * size
        slab_all += slabs * 32768
        free_all += slabs * 32768 - (live + cached) * size
        freed_all += free * 2 // 3 * size
    cached_all = sum(c["cached"] * c["bytes"] for c in classes)
    large = 9_437_184
    memory = {"live": live_small + large, "free_in_slabs": free_all, "cached": cached_all, "dirty": 4_128_768,
              "clean": 6_684_672, "metadata": 1_310_720, "freed_in_slabs": freed_all}
    memory["mapped"] = sum(memory[k] for k in ("live", "free_in_slabs", "cached", "dirty", "clean", "metadata"))
    ours = memory["mapped"] - memory["clean"] - free_all // 3
    memory.update({"resident": ours + 7_340_032, "resident_ours": ours, "resident_not_ours": 7_340_032, "resident_peak": int(ours * 1.7)})
    points, n = [], 120
    for i in range(n if history else 0):
        t = i / (n - 1)
        wave = 1 + .35 * max(0, 1 - abs(t - .42) * 9) + .04 * rnd.random()
        live = int(memory["live"] * (.25 + .75 * min(1, t * 1.6)) * (1 if t < .9 else 1) * wave)
        points.append({"time_ms": int(t * seconds * 1000 * .997), "mapped": int(memory["mapped"] * min(1.0, .4 + t * 1.5) * max(1, wave)),
                       "live": live, "dirty": int(4_000_000 * (.3 + rnd.random() * .7) + (12_000_000 if .45 < t < .5 else 0)),
                       "resident": int(live * 1.22 + 7_340_032 + 3_000_000 * rnd.random()), "calls": int(38_000_000 * (t + .12 * t * t))})
    frames = []
    for i in range(26):
        cells = []
        while len(cells) < 64:
            kind = rnd.choices("sL~.P", [70, 6, 5, 9, 4 if i % 7 == 3 else 0])[0] if i < 20 else rnd.choices("sL~.", [12, 3, 6, 60])[0]
            run = rnd.randint(1, 9) if kind != "L" else rnd.randint(4, 24)
            cells += [rnd.choice("9998876543") if kind == "s" else kind for _ in range(run)] if kind == "s" else [kind] * run
        frames.append("".join(cells[:64]))
    frames += ["." * 64] * 9 + ["9" * 20 + "." * 20 + " " * 24]
    threads = [{"heap": i, "tid": 4711 + i if i < 6 else 0, "state": "running" if i < 6 else "idle", "calls": int(rnd.random() * 9e6),
                "live": int(rnd.random() * 40000), "cached_bytes": int(rnd.random() * 90000), "slabs": rnd.randint(4, 120),
                "slab_bytes": rnd.randint(4, 120) * 32768} for i in range(8)]
    calls = sum(c["calls"] for c in classes) + 8123
    return {"schema": "quarry.stats", "schema_version": 1, "quarry_version": "0.1.0", "program": "demo-server", "pid": 4711,
            "time_unix_ms": 1_700_000_000_000, "uptime_ms": seconds * 1000, "reason": "exit", "memory": memory,
            "verdict": "fragmentation: 24%% of slab memory (%.1f MiB) is free blocks in slabs that other blocks keep in place, most in blocks of 48 bytes" % (freed_all / 2**20),
            "work": {"calls": calls, "large_calls": 8123, "refills": 912_331, "flushes": 870_110, "remote_frees": 1_204_777, "heaps": 9, "purged_bytes": 734_003_200},
            "references": {"counted_slabs": 37, "shared_blocks": 412, "extra_references": 1290, "pinned_bytes": 6_590_464},
            "pools": {"pools": 3, "objects": 640, "in_use": 188, "high_water": 512, "misses": 655},
            "classes": classes, "large": {"calls": 8123, "live": 24, "live_bytes": large}, "threads": threads, "history": points,
            "map": {"granule_bytes": 32768, "frames": frames}}


def demo(folder):
    put(f"{folder}/stats.json", demo_stats())
    put(f"{folder}/first.pb", demo_profile(.9, (), 1_699_999_000_000_000_000).bytes())
    put(f"{folder}/second.pb", demo_profile(1.0, ("session",)).bytes())


# ---- names that want to be HTML, or script, or another path ----

EVIL = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"


def hostile(folder):
    profile = Profile()
    mapping = profile.mapping(0x1000, 0x900000, 0, "/tmp/" + EVIL, EVIL)
    names = [EVIL, "'\"><svg onload=document.title='broken'>", "a;b;c", "line\nbreak\ttab", "\u202egnp.exe\u2028", "]]><!--<script>",
             "${document.title='broken'}", "</title></style>", "__proto__", "constructor", "bad \udcff\udc80 bytes", "x" * 3000, "&lt;b&gt;"]
    for i, name in enumerate(names):
        profile.sample([profile.named(name, EVIL, mapping), profile.named("</main>" + EVIL, EVIL, mapping)], [i + 1, 1000 * (i + 1)] * 3)
    profile.comments += ["program " + EVIL, "pid " + EVIL]
    put(f"{folder}/hostile.pb", profile.bytes())
    stats = demo_stats(60)
    stats["program"] = stats["verdict"] = stats["reason"] = EVIL
    stats["threads"][0]["state"] = EVIL
    stats["work"][EVIL] = 7
    stats["map"]["frames"] = [EVIL, "<" * 64, 5, None, "9" * 900]
    put(f"{folder}/hostile.json", stats)


# ---- what must be refused: name, content, what the error must say ----

def broken(folder):
    whole = demo_profile().bytes()
    stats = demo_stats()
    def changed(**values):
        return json.dumps({**stats, **values}).encode()
    cases = {
        "empty": (b"", "empty"),
        "gzip": (b"\x1f\x8b\x08\x00rest", "gunzip"),
        "cut-number": (b"\x0a\xff\xff", "offset 1: .*ends inside a number"),
        "cut-message": (b"\x0a\x7f\x01", "offset 0: 127 bytes are announced and 1 are left"),
        "huge-length": (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "offset 0: 18446744073709551615 bytes"),
        "long-number": (block(1, b"") + b"\x50" + b"\xff" * 12, "more than 64 bits"),
        "wire-type": (b"\x0f\x01", "wire type 7"),
        "field-zero": (b"\x02\x00", "field with number 0"),
        "cut-profile": (whole[:len(whole) // 2], "offset [0-9]+: "),
        "no-types": (number(9, 5), "no sample types"),
        "no-text": (block(1, number(1, 99)), "text 99 of 0"),
        "no-location": (block(1, b"") + block(2, block(1, b"\x07") + block(2, b"\x01")) + block(6, b""), "no location 7"),
        "no-function": (block(1, b"") + block(4, number(1, 1) + block(4, number(1, 3))), "no function 3"),
        "no-mapping": (block(1, b"") + block(4, number(1, 1) + number(2, 3)), "no mapping 3"),
        "twice": (block(1, b"") + block(4, number(1, 1)) * 2, "location id 1 appears twice"),
        "id-zero": (block(1, b"") + block(5, b""), "function id 0 is not an id"),
        "values": (block(1, b"") + block(2, block(2, b"\x01\x02")), "2 values, and there are 1 types"),
        "wrong-wire": (number(2, 5), "field 2 has wire type 0 instead of 2"),
        "zero-byte": (block(1, b"") + block(6, b"a\0b"), "zero byte"),
        "text": (b"hello world\n", "line 1: neither"),
        "folded": (b"a;b 5\na;;b 7\n", "line 2: neither"),
        "legacy": (b"heap profile: 1: 2 [3: 4] @ heapprofile\nrubbish\n", "line 2: not "),
        "legacy-kind": (b"heap profile: 1: 2 [3: 4] @ heap_v2/524288\n", "line 1: .*samples"),
        "json-cut": (changed()[:400], "line 1, column"),
        "json-other": (b'{"a": 1}', "schema is not"),
        "json-version": (changed(schema_version=2), "schema_version 2, and this quarry reads version 1"),
        "json-memory": (changed(memory=5), "memory is missing"),
        "json-number": (changed(memory={**stats["memory"], "live": "much"}), "memory.live is not a number"),
        "json-negative": (changed(memory={**stats["memory"], "dirty": -5}), "memory.dirty is not a number, or less than 0"),
        "json-classes": (changed(classes=[7]), "classes has an element"),
        "json-threads": (changed(threads={}), "threads is not a list"),
        "json-twice": (b'{"schema":"quarry.stats","schema":"quarry.stats"}', "duplicate"),
    }
    for name, (content, message) in cases.items():
        put(f"{folder}/{name}", content)
        print(f"{name}\t{message}")


if __name__ == "__main__":
    {"demo": demo, "hostile": hostile, "broken": broken}[sys.argv[1]](sys.argv[2])
