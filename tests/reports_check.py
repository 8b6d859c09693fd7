#!/usr/bin/env python3
"""Checks files of QUARRY_STATS=json: reports_check.py SCHEMA [KEY=VALUE...] FILE...

Each file must be one line that the schema accepts, with no field that the schema does not know, and add up. KEY=VALUE: the file must
have that value, too; a dot goes into an object. Prints the number of files.
"""
import json
import sys

import jsonschema


def unknown(schema, value, path, root):
    """Fields of the value that the schema does not have."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in schema.get("properties", {}):
                yield path + "." + key
            else:
                yield from unknown(schema["properties"][key], inner, path + "." + key, root)
    elif isinstance(value, list) and "items" in schema:
        for inner in value:
            yield from unknown(schema["items"], inner, path + "[]", root)


def sums(stats):
    """What does not add up."""
    memory = stats["memory"]
    parts = ("live", "free_in_slabs", "cached", "dirty", "clean", "metadata")
    if sum(memory[part] for part in parts) != memory["mapped"]:
        yield "the states do not sum to mapped"
    if memory["resident_ours"] + memory["resident_not_ours"] != memory["resident"]:
        yield "ours and not ours do not sum to resident"
    if memory["freed_in_slabs"] > memory["free_in_slabs"]:
        yield "more freed than free in slabs"
    if memory["resident_peak"] < memory["resident"]:
        yield "more resident than at the peak"
    calls = sum(row["calls"] for row in stats["classes"]) + stats["large"]["calls"]
    if calls != stats["work"]["calls"] or stats["large"]["calls"] != stats["work"]["large_calls"]:
        yield "the calls of the classes do not sum to calls"
    live = sum(row["live"] * row["bytes"] for row in stats["classes"]) + stats["large"]["live_bytes"]
    if memory["live"] > live:
        yield "more live than in the classes"
    for row in stats["classes"]:
        if row["freed"] > row["free"]:
            yield "class %d: more freed than free" % row["bytes"]
        if (row["live"] + row["cached"] + row["free"]) * row["bytes"] > row["slab_bytes"]:
            yield "class %d: more blocks than slabs hold" % row["bytes"]
    if "threads" in stats and len(stats["threads"]) < stats["work"]["heaps"]:
        yield "heaps are missing"
    times = [point["time_ms"] for point in stats.get("history", [])]
    if times != sorted(times):
        yield "the history is out of order"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    wanted = [word.split("=", 1) for word in sys.argv[2:] if "=" in word]
    names = [word for word in sys.argv[2:] if "=" not in word]
    bad = []
    for name in names:
        with open(name, "rb") as file:
            text = file.read()
        if text.count(b"\n") != 1 or not text.endswith(b"\n"):
            bad.append((name, "not one line"))
        stats = json.loads(text.decode("utf-8"))
        bad += [(name, "%s: %s" % (error.json_path, error.message)) for error in validator.iter_errors(stats)]
        bad += [(name, "not in the schema: " + path) for path in unknown(schema, stats, "$", schema)]
        if not bad:
            bad += [(name, problem) for problem in sums(stats)]
        for key, value in wanted:
            found = stats
            for part in key.split("."):
                found = found[part]
            if str(found) != value:
                bad.append((name, "%s is %r, not %r" % (key, found, value)))
    for name, problem in bad:
        print("%s: %s" % (name, problem), file=sys.stderr)
    print(len(names))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
