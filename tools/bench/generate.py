"""Inputs of the real programs that are too long to be written by hand: SQL, SMT-LIB and C++, from fixed seeds."""
import random


def sql(scale):
    """A script for sqlite3: tables filled by recursive queries, indexed, joined, grouped, updated and deleted."""
    count = max(1, int(150000 * scale))
    return f"""
PRAGMA temp_store = memory;
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER, part TEXT, price INTEGER, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count // 10 + 1})
    INSERT INTO customer SELECT i, printf('customer %d', i), printf('city %d', i * 7919 % 211) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
    INSERT INTO purchase SELECT i, i * 48271 % ({count // 10 + 1}) + 1, printf('part-%d', i * 16807 % 5003),
        i * 69621 % 1000, substr('a note of some length that differs from row to row', 1, i * 31 % 50) FROM n;
CREATE INDEX purchase_customer ON purchase (customer);
CREATE INDEX purchase_part ON purchase (part, price);
SELECT sum(length(parts)) FROM
    (SELECT city, group_concat(DISTINCT part) AS parts FROM customer JOIN purchase ON customer = customer.id
     GROUP BY city);
SELECT count(*), sum(total) FROM
    (SELECT part, sum(price) AS total FROM purchase GROUP BY part HAVING count(*) > 3 ORDER BY total DESC);
UPDATE purchase SET note = upper(note) || ' ' || part WHERE price % 3 = 0;
SELECT count(*), sum(length(note)) FROM purchase WHERE note LIKE '%NOTE%';
SELECT sum(json_array_length(list)) FROM (SELECT json_group_array(note) AS list FROM purchase GROUP BY customer);
SELECT sum(rank) FROM (SELECT row_number() OVER (PARTITION BY part ORDER BY price DESC, id) AS rank FROM purchase);
DELETE FROM purchase WHERE id % 2 = 0;
SELECT count(*), sum(length(note)) FROM purchase ORDER BY note;
"""


def functions_problem(seed, name_count, clause_count):
    """Clauses over integers and two unknown functions: z3 builds many terms and backtracks often."""
    draw = random.Random(seed)

    def name():
        return f"x{draw.randrange(name_count)}"

    lines = ["(set-logic QF_UFLIA)", "(declare-fun f (Int) Int)", "(declare-fun g (Int Int) Int)"]
    lines += [f"(declare-fun x{i} () Int)" for i in range(name_count)]
    for _ in range(clause_count):
        lines.append(f"(assert (or (> (f (+ {name()} {draw.randint(1, 9)})) (g {name()} {name()}))"
                     f" (= (f {name()}) (+ {name()} {draw.randint(-5, 5)}))"
                     f" (< (+ {name()} (f {name()})) (f (g {name()} {name()})))))")
        lines.append(f"(assert (or (< {name()} {name()}) (not (= (g {name()} {name()}) (f {name()})))))")
    return lines


def bits_problem(seed, name_count):
    """Products and sums of 32-bit words: z3 turns them into a large propositional formula."""
    draw = random.Random(seed)
    lines = ["(set-logic QF_BV)"] + [f"(declare-fun a{i} () (_ BitVec 32))" for i in range(name_count)]
    for i in range(name_count - 1):
        word = f"#x{draw.getrandbits(32):08x}"
        if i % 2 == 0:
            lines.append(f"(assert (= (bvmul a{i} a{i + 1}) {word}))")
        else:
            lines.append(f"(assert (bvult (bvadd a{i} a{i + 1}) (bvxor a{i} {word})))")
    return lines


def smt(scale):
    """Problems for z3, one after another, each forgotten before the next. How long one takes cannot be scaled, so a
    quick run gets a shorter list."""
    problems = [functions_problem(1, 30, 110)]
    if scale >= 0.5:
        problems += [functions_problem(1, 20, 80), bits_problem(1, 12), functions_problem(3, 25, 100)]
    return "\n".join("\n".join(lines + ["(check-sat)", "(reset)"]) for lines in problems) + "\n"


def cplusplus(scale):
    """A source for g++ that instantiates many containers and algorithms over types of its own."""
    count = max(1, int(4 * scale))
    headers = ("algorithm", "functional", "map", "memory", "numeric", "set", "string", "unordered_map", "vector")
    parts = [f"#include <{header}>" for header in headers]
    for i in range(count):
        parts.append(f"""
struct Key{i} {{
    int first;
    std::string second;
    bool operator<(const Key{i} &other) const {{ return first < other.first; }}
    bool operator==(const Key{i} &other) const {{ return first == other.first && second == other.second; }}
}};
struct Hash{i} {{
    std::size_t operator()(const Key{i} &key) const {{ return std::hash<std::string>()(key.second) * {2 * i + 1}u; }}
}};
int work{i}(const std::vector<std::string> &names)
{{
    std::map<Key{i}, std::vector<std::string>> groups;
    std::unordered_map<Key{i}, std::shared_ptr<Key{i}>, Hash{i}> owners;
    std::set<Key{i}> seen;
    for (const auto &name : names) {{
        Key{i} key{{static_cast<int>(name.size()) % {i + 2}, name}};
        groups[key].push_back(name + "{i}");
        owners.emplace(key, std::make_shared<Key{i}>(key));
        seen.insert(key);
    }}
    std::vector<Key{i}> keys(seen.begin(), seen.end());
    std::stable_sort(keys.begin(), keys.end(), [](const Key{i} &a, const Key{i} &b) {{ return b < a; }});
    std::function<int(int)> twice = [&](int n) {{ return n * 2 + static_cast<int>(owners.size()); }};
    auto add = [&](int sum, const Key{i} &key) {{ return sum + twice(key.first); }};
    return std::accumulate(keys.begin(), keys.end(), 0, add);
}}""")
    calls = " + ".join(f"work{i}({{argv, argv + argc}})" for i in range(count))
    parts.append(f"\nint main(int argc, char **argv)\n{{\n    return {calls};\n}}\n")
    return "\n".join(parts)
