#!/usr/bin/env python3
"""Looks at a page of quarry report, as the browser's DOM was after its scripts ran, or at pictures of it."""
import html.parser, json, re, struct, sys, zlib

VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(html.parser.HTMLParser):
    """Elements as dictionaries with tag, attributes, text (of it and all within) and path (ids and tags around it)."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "path": [e for e in self.open], **{k: v or "" for k, v in attributes}}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append({"tag": tag, "text": "", "path": [e for e in self.open], **{k: v or "" for k, v in attributes}})

    def handle_endtag(self, tag):
        while self.open and tag in [e["tag"] for e in self.open] and self.open.pop()["tag"] != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def find(self, tag=None, inside=None, **attributes):
        return [e for e in self.elements
                if (tag is None or e["tag"] == tag)
                and (inside is None or any(p.get("id") == inside for p in e["path"]))
                and all(value in e.get(name.rstrip("_"), "").split() for name, value in attributes.items())]

    def one(self, identity):
        found = self.find(id=identity)
        check(len(found) == 1, f"{len(found)} elements #{identity}")
        return found[0]


def check(holds, message):
    if not holds:
        sys.exit("report_check: " + message)


def number(text):
    return int(re.sub(r"[^0-9-]", "", text))


def rows(page, table):
    return [e for e in page.find("tr", inside=table) if any(p["tag"] == "tbody" for p in e["path"])]


def cells(page, row):
    return [e for e in page.elements if e["tag"] in ("td", "th") and any(p is row for p in e["path"])]


def check_plain(page):
    """What holds of every page: nothing is loaded, no script but its own, no handlers."""
    for element in page.elements:
        check(element["tag"] not in ("img", "iframe", "object", "embed", "link", "base", "audio", "video", "use", "foreignobject"),
              f"an element <{element['tag']}>")
        for name, value in element.items():
            if name == "path":
                continue  # not an attribute, and endless as text
            check(not name.startswith("on"), f"a handler {name}")
            check(name not in ("src", "xlink:href", "srcset", "action"), f"an attribute {name}={value}")
            check(name != "href" or value.startswith("#"), f"a link to {value}")
    scripts = page.find("script")
    check(len(scripts) == 2, f"{len(scripts)} scripts")
    title = page.find("title")[0]["text"]
    check(title.endswith("quarry report"), f"the title is {title}")
    check("broken" != title, "a script of the data's ran")
    policy = [e for e in page.find("meta") if e.get("http-equiv") == "Content-Security-Policy"][0]["content"]
    check("default-src 'none'" in policy, "the policy is " + policy)


def check_stats(page, stats):
    memory = stats["memory"]
    check(page.one("verdict")["text"] == stats["verdict"], "another verdict")
    segments = page.find("span", inside="statebar")
    states = [k for k in ("live", "free_in_slabs", "cached", "dirty", "clean", "metadata") if memory[k]]
    check([s["class"] for s in segments] == states, f"the bar has {[s['class'] for s in segments]}")
    widths = [float(re.search(r"width: ?([0-9.e+-]+)%", s["style"]).group(1)) for s in segments]
    whole = max(memory["mapped"], memory["resident"])
    check(abs(sum(widths) - 100 * memory["mapped"] / whole) < .1, f"the bar is {sum(widths)}% wide")
    shown = [number(cells(page, row)[2]["text"]) for row in rows(page, "states")]
    check(sum(shown[:6]) == shown[6] == memory["mapped"], f"the states do not sum: {shown}")
    check(shown[7] == memory["resident"], "resident is " + str(shown[7]))
    marker = page.find("div", class_="marker")[0]["style"]
    check(abs(float(re.search(r"left: ?([0-9.]+)", marker).group(1)) - 100 * memory["resident"] / whole) < .01, marker)
    used = [c for c in stats["classes"] if c["calls"] or c["slabs"]]
    check(len(rows(page, "classtable")) == len(used), "rows of classes")
    first = [c["text"] for c in cells(page, rows(page, "classtable")[0])]
    check(number(first[0]) == used[0]["bytes"] and number(first[1]) == used[0]["calls"], f"first class: {first}")
    check(first[8] == f"{100 * used[0]['live'] * used[0]['bytes'] / used[0]['slab_bytes']:.1f}%", f"utilisation {first[8]}")
    check(len(rows(page, "threadtable")) == len(stats["threads"]), "rows of threads")
    check(len(page.find("svg", inside="heapmap")) >= 20, "tiles of the map")
    check("\u00d79" in page.one("heapmap")["text"], "frames that are alike")
    cellcount = 0
    for path in page.find("path", inside="heapmap"):
        cellcount += sum(int(n) for n in re.findall(r"h(\d+)v1", path["d"]))
    drawn = sum(len(f.replace(" ", "")) for f in stats["map"]["frames"]) - 8 * 64
    check(cellcount == drawn, f"{cellcount} cells instead of {drawn}")
    paths = page.find("path", inside="chart")
    for name in ("s-mapped", "s-resident", "s-live", "s-dirty"):
        line = [p for p in paths if p["class"] == name][0]["d"]
        check(len(re.findall(r"[0-9.e+-]+ [0-9.e+-]+", line)) == len(stats["history"]) + 1, "points of " + name)
    for word in ("1,204,777", "Remote frees"):
        check(word in page.one("work")["text"], "work lacks " + word)
    for word in ("1,290", "Extra references", "640", "High water"):
        check(word in page.one("buffers")["text"], "buffers lack " + word)


def check_flame(page):
    flame = [e for e in page.find("div", inside="flame") if "data-node" in e]
    check(len(flame) > 30, f"{len(flame)} frames")
    check(flame[0]["title"] == "all" and "width: 100%" in flame[0]["style"], "the root " + str(flame[0].get("style")))
    tabs = [e["text"] for e in page.find("button", inside="flame") if "data-metric" in e]
    check(tabs == ["Live", "Peak", "Pinned", "Allocated", "Live blocks", "Calls", "Difference"], f"tabs {tabs}")
    check(not page.one("flame").get("hidden"), "the flame graph is hidden")
    names = [cells(page, row)[0]["text"] for row in rows(page, "functiontable")]
    check(names[0] == "session_create", "the first function is " + names[0])
    first = rows(page, "differencetable")[0]
    check([c["text"] for c in cells(page, first)][0] == "session_create", "the largest difference")
    check(cells(page, first)[4]["text"].startswith("+"), "it grew")
    leak = cells(page, rows(page, "leaktable")[0])[0]["text"]
    check(leak.startswith("session_create") and "main" in leak, "the first leak " + leak)
    check(len(page.find("div", inside="histogram")) == 27, "rows of lifetimes")


def check_demo(dom, folder):
    page = Page(dom)
    check_plain(page)
    check_stats(page, json.load(open(folder + "/stats.json")))
    check_flame(page)
    sections = {e["id"] for e in page.find("section")}
    check(sections == {"memory", "timeline", "profile", "leaks", "classes", "threads", "map", "lifetimes", "buffers", "work", "files"},
          f"sections {sections}")
    check(len(page.find("a", inside="contents")) == len(sections), "the list of contents")


def check_some(dom, want):
    page = Page(dom)
    check_plain(page)
    sections = ",".join(e["id"] for e in page.find("section"))
    check(sections == want, "sections " + sections)


def check_hostile(dom, folder):
    page = Page(dom)
    check_plain(page)
    check(len([e for e in page.find("div", inside="flame") if "data-node" in e]) >= 14, "frames")
    evil = json.load(open(folder + "/hostile.json"))["verdict"]
    check(page.one("verdict")["text"] == evil, "the verdict is not shown as it is")
    check(page.find("h1")[0]["text"] == evil, "the name is not shown as it is")
    names = {cells(page, row)[0]["text"] for row in rows(page, "functiontable")}
    for name in (evil, "__proto__", "constructor", "&lt;b&gt;", "</title></style>", "x" * 3000):
        check(name.replace(";", ":") in names, f"no function {name[:60]}")
    check(not any(c in page.one("profile")["text"] for c in "\u202e\u2028\x07"), "a character that controls something")
    check(len([e for e in page.elements if e["tag"] == "main"]) == 1, "the page has been taken apart")


def check_picture(path, width):
    """A PNG with many colours, none of which is nearly everything."""
    data = open(path, "rb").read()
    check(data[:8] == b"\x89PNG\r\n\x1a\n", "not a picture")
    w, h, depth, kind = struct.unpack(">IIBB", data[16:26])
    check(w == int(width) and depth == 8, f"{w} wide, depth {depth}")
    at, compressed = 8, b""
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at:at + 8])
        if name == b"IDAT":
            compressed += data[at + 8:at + 8 + length]
        at += 12 + length
    stride = w * {2: 3, 6: 4}[kind] + 1
    raw = zlib.decompress(compressed)
    lines = {bytes(raw[y * stride + 1:(y + 1) * stride]) for y in range(h)}
    check(len(lines) > h / 5, f"only {len(lines)} of {h} lines differ: blank")


if __name__ == "__main__":
    what, argument = sys.argv[1:3]
    if what == "picture":
        check_picture(argument, sys.argv[3])
    else:
        {"demo": check_demo, "hostile": check_hostile, "some": check_some}[what](sys.stdin.read(), argument)
