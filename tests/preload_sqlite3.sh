#!/usr/bin/env bash
# sqlite3: tables of 60,000 rows, indexes, joins, sorting with temporary files, JSON, full-text search, vacuum and backup.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require SQLITE sqlite3

cat >work.sql <<'SQL'
.bail on
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -1000;
PRAGMA temp_store = FILE;
PRAGMA threads = 2;
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, grp INTEGER, price REAL, data BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
    INSERT INTO item SELECT i, printf('item-%d-%s', i * 7919 % 60013, substr('abcdefghijklmnopqrstuvwxyz', 1 + i % 20, i % 7)),
        i % 101, i * 1.25, zeroblob(i % 200) FROM n;
CREATE INDEX item_name ON item (name);
CREATE INDEX item_group ON item (grp, price DESC);
SELECT count(*), sum(price), min(name), max(name), sum(length(data)) FROM item;
SELECT grp, count(*), round(avg(price), 3), group_concat(substr(name, 6, 3), '/') FROM item WHERE id % 50 = 0
    GROUP BY grp ORDER BY 3 DESC;
SELECT a.name, b.name FROM item a JOIN item b ON b.id = a.id % 777 WHERE a.grp = 7 ORDER BY a.name, b.name LIMIT 100;
SELECT name FROM item ORDER BY substr(name, -3), name LIMIT 50 OFFSET 30000;
SELECT id, price, rank() OVER w, lag(price, 2) OVER w FROM item WHERE id < 300
    WINDOW w AS (PARTITION BY grp % 5 ORDER BY price DESC);
CREATE TABLE doc (j TEXT);
INSERT INTO doc SELECT json_group_array(json_object('id', id, 'name', name, 'tags', json_array(grp, grp + 1))) FROM item
    WHERE id % 10 = 3;
SELECT length(j), json_extract(j, '$[77].name'), (SELECT sum(value ->> '$.tags[1]') FROM json_each(j)) FROM doc;
BEGIN;
UPDATE item SET name = name || '-' || id WHERE grp BETWEEN 20 AND 40;
DELETE FROM item WHERE id % 3 = 0;
SAVEPOINT s;
DELETE FROM item;
ROLLBACK TO s;
COMMIT;
CREATE VIRTUAL TABLE text USING fts5(body);
INSERT INTO text SELECT 'row ' || id || ' of group ' || grp || ' called ' || replace(name, '-', ' ') FROM item WHERE id < 8000;
SELECT count(*), sum(rowid) FROM text WHERE text MATCH 'group AND (abc OR bcd*)';
SELECT snippet(text, 0, '[', ']', '..', 5) FROM text WHERE text MATCH 'called' ORDER BY rank, rowid LIMIT 5;
WITH RECURSIVE q(x, s) AS (SELECT 1, 'a' UNION ALL SELECT x + 1, s || s FROM q WHERE x < 18) SELECT max(length(s)) FROM q;
PRAGMA integrity_check;
VACUUM;
.backup copy.db
SELECT count(*), total(id) FROM item;
.dump doc
SQL
mkdir one two
run_both_ok memory "$SQLITE" :memory: '.read work.sql'
(cd one && "$SQLITE" test.db <../work.sql) >plain.out
(cd two && preloaded "$SQLITE" test.db <../work.sql) >preloaded.out
assert_same plain.out preloaded.out
grep -qx ok preloaded.out
assert_same one/copy.db two/copy.db

# Two writers and a reader on one database, all preloaded.
"$SQLITE" shared.db 'PRAGMA journal_mode = WAL; CREATE TABLE t (writer, i);' >/dev/null
for writer in 1 2; do
    for i in $(seq 150); do
        echo "INSERT INTO t VALUES ($writer, $i);"
    done | preloaded "$SQLITE" -cmd '.timeout 20000' shared.db &
    track_pid $!
    writers="${writers-} $!"
done
for _ in 1 2 3 4 5; do
    preloaded "$SQLITE" -cmd '.timeout 20000' shared.db 'SELECT count(*) >= 0 FROM t' >/dev/null
done
for pid in $writers; do
    wait "$pid"
done
assert_equal '300|22650' "$(preloaded "$SQLITE" shared.db 'SELECT count(*), sum(i) FROM t')" "rows of two writers"
