"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);

  /* Everything that comes from the data becomes text nodes: nothing here is ever parsed as HTML. */
  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    Object.assign(element, properties || {});
    element.append(...children);
    return element;
  }

  function bytes(number) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = 0, size = Math.abs(number);
    for (; size >= 1023.95 && unit + 1 < units.length; unit++) size /= 1024;
    return (number < 0 ? "\u2212" : "") + size.toFixed(unit === 0 ? 0 : 1) + "\u00a0" + units[unit];
  }

  function count(number) {
    return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
  }

  function duration(ms) {
    const s = ms / 1000;
    if (s < 1) return ms + "\u00a0ms";
    if (s < 120) return s.toFixed(1) + "\u00a0s";
    if (s < 7200) return Math.floor(s / 60) + "\u00a0min " + Math.floor(s % 60) + "\u00a0s";
    return Math.floor(s / 3600) + "\u00a0h " + Math.floor(s / 60 % 60) + "\u00a0min";
  }

  /* ---- contents ---- */

  function contents() {
    const nav = document.getElementById("contents"), links = new Map();
    for (const section of document.querySelectorAll("main > section")) {
      const link = make("a", { href: "#" + section.id }, section.id[0].toUpperCase() + section.id.slice(1));
      links.set(section, link);
      nav.append(link);
    }
    nav.hidden = links.size < 3;
    if (!("IntersectionObserver" in window)) return;
    const seen = new Set();
    const observer = new IntersectionObserver(entries => {
      for (const entry of entries) entry.isIntersecting ? seen.add(entry.target) : seen.delete(entry.target);
      let first = true;
      for (const [section, link] of links) {
        const here = first && seen.has(section);
        link.classList.toggle("here", here);
        if (here) first = false;
      }
    }, { rootMargin: "-60px 0px -60% 0px" });
    for (const section of links.keys()) observer.observe(section);
  }

  /* ---- tables that can be sorted ---- */

  function keyOf(row, column) {
    const cell = row.cells[column];
    return cell.dataset.v !== undefined ? Number(cell.dataset.v) : cell.textContent.toLowerCase();
  }

  function sortBy(table, column, header) {
    const rows = Array.from(table.tBodies[0].rows);
    const text = rows.length > 0 && typeof keyOf(rows[0], column) === "string";
    const before = header.getAttribute("aria-sort");
    const ascending = before ? before === "descending" : text;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    rows.sort((a, b) => {
      const x = keyOf(a, column), y = keyOf(b, column);
      return (x < y ? -1 : x > y ? 1 : 0) * (ascending ? 1 : -1);
    });
    table.tBodies[0].append(...rows);
  }

  function sortable() {
    for (const table of document.querySelectorAll("table.sortable"))
      Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
        header.tabIndex = 0;
        header.addEventListener("click", () => sortBy(table, column, header));
        header.addEventListener("keydown", event => {
          if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            sortBy(table, column, header);
          }
        });
      });
  }

  /* ---- the time line's reading ---- */

  function timeline() {
    const chart = document.getElementById("chart"), reading = document.getElementById("reading");
    const points = data.timeline;
    if (!chart || points.length < 2) return;
    const usual = reading.textContent, first = points[0][0], last = points[points.length - 1][0];
    const cursor = make("div", { className: "cursor", hidden: true });
    chart.firstChild.append(cursor);
    chart.addEventListener("pointermove", event => {
      const box = chart.getBoundingClientRect();
      const time = first + (event.clientX - box.left) / box.width * (last - first);
      let nearest = points[0];
      for (const point of points) if (Math.abs(point[0] - time) < Math.abs(nearest[0] - time)) nearest = point;
      cursor.hidden = false;
      cursor.style.left = 100 * (nearest[0] - first) / (last - first) + "%";
      reading.textContent = duration(nearest[0]) + ": resident " + bytes(nearest[2]) + ", live " + bytes(nearest[3]) +
        ", dirty " + bytes(nearest[4]) + ", mapped " + bytes(nearest[1]) + ", " + count(nearest[5]) + " calls";
    });
    chart.addEventListener("pointerleave", () => {
      cursor.hidden = true;
      reading.textContent = usual;
    });
  }

  /* ---- the flame graph ---- */

  const ROW = 20;

  function flameGraph() {
    const flame = data.flame, home = document.getElementById("flame");
    if (!flame || !home) return;
    const size = flame.name.length;
    /* parent, and the node behind the last descendant */
    const parent = new Int32Array(size), end = new Int32Array(size).fill(size), open = [];
    for (let i = 0; i < size; i++) {
      while (open.length > flame.depth[i]) end[open.pop()] = i;
      parent[i] = open.length > 0 ? open[open.length - 1] : -1;
      open.push(i);
    }
    let metric = flame.metrics[0], zoomed = 0, wanted = "";
    const frames = make("div", { className: "frames" });
    frames.setAttribute("role", "img");
    const reading = make("p", { className: "reading" });
    const tabs = make("div", { className: "tabs" });
    const search = make("input", { type: "search", placeholder: "Find a function" });
    search.setAttribute("aria-label", "Find a function");
    const reset = make("button", { className: "reset", type: "button", hidden: true }, "Show all");
    home.append(make("div", { className: "tools" }, tabs, search, reset), frames, reading);
    home.hidden = false;

    const amount = (value) => metric.bytes ? bytes(value) : count(value);

    /* Muted, by module, the one with most frames first; a little lighter or darker by name, so that neighbours differ. */
    const hues = [203, 36, 158, 268, 12, 92, 232, 330];
    const uses = new Array(flame.modules.length).fill(0), rank = new Array(flame.modules.length);
    flame.name.forEach(name => uses[flame.module[name]]++);
    Array.from(uses.keys()).sort((a, b) => uses[b] - uses[a]).forEach((module, i) => { rank[module] = i; });
    function colour(node) {
      const name = flame.names[flame.name[node]];
      let mix = 0;
      for (let i = 0; i < name.length; i++) mix = (mix * 31 + name.charCodeAt(i)) >>> 0;
      if (node === 0) return "hsl(40 6% 78%)";
      if (metric.change) {
        const part = metric.values[node] === 0 ? 0 : metric.change[node] / metric.values[node];
        return `hsl(${part < 0 ? 204 : 14} ${20 + 45 * Math.abs(part)}% ${86 - 18 * Math.abs(part)}%)`;
      }
      return `hsl(${hues[rank[flame.module[flame.name[node]]] % hues.length]} ${36 + mix % 9}% ${73 + (mix >> 4) % 9}%)`;
    }

    function say(node) {
      const value = metric.values[node], all = metric.values[0];
      const share = whole => whole === 0 ? "" : (100 * value / whole).toFixed(1) + "%";
      const where = flame.modules[flame.module[flame.name[node]]];
      reading.replaceChildren(make("b", {}, flame.names[flame.name[node]]), where ? " in " + where : "", make("br"));
      if (metric.change)
        reading.append((metric.change[node] > 0 ? "+" : "") + bytes(metric.change[node]) + ", of " + bytes(value) + " that changed");
      else
        reading.append(amount(value) + ", " + share(all) + " of all" +
          (zoomed !== 0 && node >= zoomed ? ", " + share(metric.values[zoomed]) + " of what is shown" : ""));
    }

    function idle() {
      if (wanted === "") {
        reading.textContent = metric.title + ": " + metric.meaning + ". " +
          (metric.change ? (metric.change[0] > 0 ? "+" : "") + bytes(metric.change[0]) : amount(metric.values[0])) + " in all.";
        return;
      }
      /* a hit below a hit is in it */
      let found = 0;
      for (let i = zoomed; i < end[zoomed]; )
        if (matches(i)) { found += metric.values[i]; i = end[i]; } else i++;
      const whole = metric.values[zoomed];
      reading.textContent = "Found: " + amount(found) + (whole ? ", " + (100 * found / whole).toFixed(1) + "% of what is shown" : "");
    }

    function matches(node) {
      return wanted !== "" && flame.names[flame.name[node]].toLowerCase().includes(wanted);
    }

    function place(node, left, width, row, up) {
      const name = flame.names[flame.name[node]];
      const frame = make("div", { title: name }, width > .012 ? name : "");
      frame.dataset.node = node;
      frame.className = (width > .012 ? "" : "narrow ") + (up ? "up " : "") + (matches(node) ? "hit" : "");
      frame.style.cssText = `left:${100 * left}%;width:${100 * width}%;top:${row * ROW}px;background:${colour(node)}`;
      frames.append(frame);
    }

    function draw() {
      frames.replaceChildren();
      frames.classList.toggle("searching", wanted !== "");
      reset.hidden = zoomed === 0 && wanted === "";
      const values = metric.values, whole = values[zoomed];
      let rows = 0;
      const path = [];
      for (let node = parent[zoomed]; node >= 0; node = parent[node]) path.unshift(node);
      path.forEach((node, row) => place(node, 0, 1, row, true));
      if (whole > 0) {
        /* children of a node, the widest first; explicit stack, since stacks can be deep */
        const todo = [[zoomed, 0]];
        while (todo.length > 0) {
          const [node, left] = todo.pop();
          const row = flame.depth[node];
          place(node, left, values[node] / whole, row, false);
          rows = Math.max(rows, row + 1);
          const children = [];
          for (let child = node + 1; child < end[node]; child = end[child])
            if (values[child] / whole > .0006) children.push(child);
          children.sort((a, b) => values[b] - values[a] || a - b);
          let at = left;
          for (const child of children) {
            todo.push([child, at]);
            at += values[child] / whole;
          }
        }
      } else {
        frames.append(make("p", { className: "soft" }, metric.change ? "No difference." : "Nothing."));
        rows = 1;
      }
      frames.style.height = rows * ROW + 4 + "px";
      frames.setAttribute("aria-label", "Flame graph: " + metric.title);
      idle();
    }

    for (const one of flame.metrics) {
      const tab = make("button", { type: "button", title: one.meaning }, one.title);
      tab.setAttribute("aria-pressed", String(one === metric));
      tab.dataset.metric = one.id;
      tab.addEventListener("click", () => {
        for (const other of tabs.children) other.setAttribute("aria-pressed", String(other === tab));
        metric = one;
        if (metric.values[zoomed] === 0) zoomed = 0;
        draw();
      });
      tabs.append(tab);
    }
    frames.addEventListener("click", event => {
      if (event.target.dataset.node === undefined) return;
      zoomed = Number(event.target.dataset.node);
      draw();
    });
    frames.addEventListener("pointerover", event => {
      if (event.target.dataset.node !== undefined) say(Number(event.target.dataset.node));
    });
    frames.addEventListener("pointerleave", idle);
    search.addEventListener("input", () => {
      wanted = search.value.trim().toLowerCase();
      draw();
    });
    function all() {
      zoomed = 0;
      wanted = search.value = "";
      draw();
    }
    reset.addEventListener("click", all);
    home.addEventListener("keydown", event => { if (event.key === "Escape") all(); });
    draw();
  }

  contents();
  sortable();
  timeline();
  flameGraph();
})();
