#!/bin/sh
# quarry says in one line what cannot be done, and why: each way of not finding Quarry's numbers, once.
# shellcheck source-path=SCRIPTDIR source=command.sh disable=SC1091,SC2154 # variables are set there
set -eu
. "$(dirname "$0")/command.sh"

# --- The command line -------------------------------------------------------------------------------------------------------------

refused 2 'there is no command "state"' state
refused 2 'stat takes one process or core file' stat
refused 2 'map takes one process or core file' map 1 2
refused 2 '--color takes auto, always or never' map --color=blue 1
refused 2 'top takes one process' top --batch
refused 2 'not a terminal: use --batch' top 1
refused 2 '--delay takes seconds' top -b -d x 1
refused 2 '--sort takes' top -b -s colour 1
refused 2 'trim takes one process' trim
refused 2 'run takes a program' run
refused 2 '--stats takes text, json or prom' run --stats=xml true
refused 2 '--option takes NAME:VALUE' run -o '' true
refused 1 'top needs the number of a process' top -b no-number
for name in run stat top map trim; do
    ask "$name" --help
    grep -q "^usage: quarry $name" "$folder/out" || fail "$name --help"
done
ask --version
ask --help

# --- Processes ------------------------------------------------------------------------------------------------------------------------

sh -c 'exit 0' &
gone=$!
wait "$gone"
refused 1 "there is no process $gone" stat "$gone"
refused 1 "there is no process $gone" map "$gone"
refused 1 "there is no process $gone" top -b "$gone"
refused 1 "there is no process $gone" trim "$gone"

sleep 300 &
plain=$!
started="$started $plain"
for name in stat map 'top -b'; do
    # shellcheck disable=SC2086 # words
    refused 1 "process $plain \((sleep|sh|command_errors)[^)]*\) runs without Quarry" $name "$plain"
done
refused 1 'has not opted in' trim "$plain"

# A socket whose path the kernel does not tell, which is not one with a port.
cat >"$folder/pathless.c" <<'SOURCE'
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && prctl(PR_SET_NAME, "quarry-http") == 0 ? (int)sleep(300) : 1;
}
SOURCE
$CC -o "$folder/pathless" "$folder/pathless.c" || fail "cannot compile"
"$folder/pathless" &
pathless=$!
started="$started $pathless"
within 10 grep -q quarry-http "/proc/$pathless/comm"
refused 1 'the path of its socket cannot be found: say quarry trim unix:PATH' trim "$pathless"

# A thread of the kernel, where one can be seen.
if [ -e /proc/2/comm ] && [ ! -s /proc/2/cmdline ] && [ "$(id -u)" -eq 0 ] && [ ! -e /proc/2/exe ]; then
    refused 1 "it is the kernel's" stat 2
fi

"$quarry" run -- sleep 300 &
sleeper=$!
started="$started $sleeper"
within 10 grep -q libquarry "/proc/$sleeper/maps"
within 10 "$quarry" stat "$sleeper"
ask stat "$sleeper"

# A process of another user's: seen from a user that may do nothing.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    cp "$quarry" "$folder/quarry"
    chmod 755 "$folder" "$folder/quarry"
    status=0
    setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$folder/quarry" stat "$sleeper" >"$folder/out" 2>"$folder/err" || status=$?
    [ "$status" -eq 1 ] && grep -qE 'cannot be read: it runs as another user: be that user, or root' "$folder/err" || fail "no permission: status $status"
elif [ "$(id -u)" -ne 0 ]; then
    refused 1 'it runs as another user' stat 1
fi

# One that ends while it is looked at: the line comes after what could be shown.
"$quarry" top --batch -d 0.05 "$sleeper" >"$folder/out" 2>"$folder/err" &
top=$!
within 10 grep -q 'quarry top' "$folder/out"
kill -KILL "$sleeper"
status=0
wait "$top" || status=$?
[ "$status" -eq 1 ] && [ "$(wc -l <"$folder/err")" -eq 1 ] && grep -qE "process $sleeper \(sleep\) has ended" "$folder/err" ||
    fail "a process that vanishes: status $status"

# --- Other versions -----------------------------------------------------------------------------------------------------------------------

# stranger NAME VERSION LIBRARY_VERSION ROOT_BYTES: a library that has a root, and nothing else. $stranger runs with it.
stranger()
{
    mkdir -p "$folder/$1"
    cat >"$folder/$1/root.c" <<SOURCE
struct { char magic[8]; unsigned version, root_bytes, library_version, part_count; unsigned char rest[4096]; }
    qy_root = {"QUARRY\\0", $2, $4, $3, 12, {1}};
SOURCE
    $CC -shared -fPIC -o "$folder/$1/libquarry.so.1" "$folder/$1/root.c" || fail "cannot compile"
    LD_PRELOAD=$folder/$1/libquarry.so.1 sleep 300 &
    stranger=$!
    started="$started $stranger"
    within 10 grep -q "$folder/$1/libquarry" "/proc/$stranger/maps"
}

ours=$("$quarry" --version | sed 's/quarry //')
stranger newer 1 90807 256
refused 1 "uses Quarry 9\.8\.7 .*can read $ours .*use the command of that version" stat "$stranger"
stranger tables 999 "$(echo "$ours" | awk -F. '{ print $1 * 10000 + $2 * 100 + $3 }')" 256
refused 1 "tables 999.*can read $ours" stat "$stranger"
version=$(sed -n 's/.*QYI_ROOT_VERSION = \([0-9]*\).*/\1/p' "$top_srcdir/src/root.h")
stranger layout "$version" "$(echo "$ours" | awk -F. '{ print $1 * 10000 + $2 * 100 + $3 }')" 12
# Without libelf, what does not look like ours in every respect is not recognised.
refused 1 'was built otherwise|no qy_root can be found in it: another version' stat "$stranger"
mkdir "$folder/rootless"
echo 'int nothing;' >"$folder/rootless/root.c"
$CC -shared -fPIC -o "$folder/rootless/libquarry.so.1" "$folder/rootless/root.c"
LD_PRELOAD=$folder/rootless/libquarry.so.1 sleep 300 &
rootless=$!
started="$started $rootless"
within 10 grep -q rootless "/proc/$rootless/maps"
refused 1 'no qy_root can be found in it: another version' stat "$rootless"

# --- Files that are no cores ----------------------------------------------------------------------------------------------------------------

refused 1 'there is no process and no file|built without libelf' stat "$folder/absent"
if "$quarry" stat "$folder/err" 2>&1 | grep -q 'built without libelf'; then
    echo "skipped: cores, without libelf (Debian: apt-get install libelf-dev)"
    exit 77
fi
echo text >"$folder/text"
: >"$folder/empty"
refused 1 'not a core file: nor any other ELF file' stat "$folder/text"
refused 1 'not a core file: it is empty' stat "$folder/empty"
refused 1 'not a core file: it is a program or library' stat "$quarry"
refused 1 'not a core file: it is no regular file' stat "$folder"

needs gcore gdb
needs python3 python3
"$quarry" run -- sleep 300 &
sleeper=$!
started="$started $sleeper"
within 10 "$quarry" stat "$sleeper"
gcore -o "$folder/core" "$sleeper" >"$folder/gcore" 2>&1 || fail "gcore fails: $(tail -n 3 "$folder/gcore")"
core=$folder/core.$sleeper
ask stat "$core"
head -c "$(($(stat -c %s "$core") * 2 / 3))" "$core" >"$folder/cut"
refused 1 'is truncated: [0-9]+ of its [0-9]+ bytes are there' stat "$folder/cut"
head -c 100 "$core" >"$folder/stump"
refused 1 'is truncated|not a core file' stat "$folder/stump"

# edit KIND: a copy of the core in which segments of a kind are not there: `anonymous` memory of Quarry's, the `notes`, or everything.
edit()
{
    python3 - "$core" "$folder/$1" "$1" <<'PYTHON'
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
phoff, = struct.unpack_from("<Q", data, 32)
size, count = struct.unpack_from("<HH", data, 54)
loads = [struct.unpack_from("<IIQQQQQQ", data, phoff + i * size) for i in range(count)]
for i, (kind, flags, offset, address, _, filesz, memsz, align) in enumerate(loads):
    at = phoff + i * size
    if sys.argv[3] == "notes" and kind == 4:
        struct.pack_into("<I", data, at, 0)
    elif sys.argv[3] == "memory" and kind == 1:
        struct.pack_into("<Q", data, at + 32, 0)
    elif sys.argv[3] == "anonymous" and kind == 1 and address < 0x7fff00000000 and memsz > (1 << 16) and flags & 2:
        struct.pack_into("<Q", data, at + 32, 0)
open(sys.argv[2], "wb").write(data)
PYTHON
}
edit notes
refused 1 'no NT_FILE note' stat "$folder/notes"
edit memory
refused 1 'has no memory in it' stat "$folder/memory"
edit anonymous
refused 1 'lacks the memory that holds' stat "$folder/anonymous"

kill -KILL "$plain"
gcore -o "$folder/plain" "$stranger" >/dev/null 2>&1
refused 1 'was built otherwise|uses Quarry' stat "$folder/plain.$stranger"
