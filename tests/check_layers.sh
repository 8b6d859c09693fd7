#!/bin/sh
# Holds the sources to the layers of src/layers.txt (the rules stand there): first what they include, then, in the
# compiled core, what they call. The core may not call anything that allocates either, nor stdio: it is what they call.
#
# top_srcdir     the source tree (default: the parent of this folder)
# top_builddir   the build tree; the calls are checked if it holds the core
set -eu

src=${top_srcdir:-$(dirname "$0")/..}/src
build=${top_builddir:-.}
table=$src/layers.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- Includes -----------------------------------------------------------------------------------------------------------

(cd "$src" && find . -name '*.[ch]' | sed 's|^\./||' | LC_ALL=C sort) >"$work/files"
if ! [ -s "$work/files" ]; then
    echo "check_layers: no sources in $src" >&2
    exit 99
fi

# grep needs a second file name to print names at all, and exits 1 when no file includes anything.
(cd "$src" && xargs grep -nE '^[[:space:]]*#[[:space:]]*include' /dev/null <"$work/files") >"$work/includes" || true

awk -v table="$table" -v files="$work/files" '
    function complain(text) { print "check_layers: " text; bad = 1 }
    function stem(name)     { sub(/\.[ch]$/, "", name); return name }
    function folder(name)   { return name ~ /\// ? substr(name, 1, match(name, /\/[^\/]*$/)) : "" }

    BEGIN {
        while ((getline line < table) > 0) {
            if (line ~ /^[ \t]*(#|$)/)
                continue
            if (line !~ /^L[0-9]+[ \t]+[^ \t]+[ \t]*$/) {
                complain("layers.txt: not \"L<number> <file>\": " line)
                continue
            }
            split(line, word)
            number = substr(word[1], 2) + 0
            if (number < last)
                complain("layers.txt: " word[2] " (" word[1] ") stands below a file of L" last)
            if (word[2] in layer)
                complain("layers.txt: " word[2] " stands there twice")
            last = number
            layer[word[2]] = number
            rank[word[2]] = ++count
        }
        while ((getline name < files) > 0) {
            exists[name] = 1
            if (!(name in layer))
                complain("src/" name " is not in layers.txt")
        }
        for (name in layer)
            if (!(name in exists))
                complain("layers.txt: there is no src/" name)
    }

    # FILE:LINE:#include …
    {
        split($0, part, ":")
        file = part[1]
        where = "src/" file ":" part[2]
        if (match($0, /[<"][^>"]*[>"]/) == 0) {
            complain(where ": an include that this check cannot read")
            next
        }
        quoted = substr($0, RSTART, 1) == "\""
        name = substr($0, RSTART + 1, RLENGTH - 2)

        if (name == "sys/mman.h" && stem(file) != "os")
            complain(where ": only os.c and os.h include <sys/mman.h>")
        # The public headers declare and include nothing of ours.
        if (!quoted || name ~ /^quarry\//)
            next

        if (!(name in exists) && ((folder(file) name) in exists))
            name = folder(file) name
        if (!(name in exists)) {
            complain(where ": no such file in src/: " name)
            next
        }
        if (!(name in layer) || !(file in layer) || stem(name) == stem(file))
            next
        if (layer[name] > layer[file])
            complain(where ": " file " (L" layer[file] ") includes " name " (L" layer[name] "), a higher layer")
        else if (layer[name] == layer[file] && rank[name] > rank[file])
            complain(where ": " file " includes " name ", which stands below it in the same layer")
    }

    END { exit bad }
' "$work/includes" || exit 1
echo "check_layers: $(wc -l <"$work/files") files include downward only"

# --- Calls --------------------------------------------------------------------------------------------------------------

core=$build/.libs/libquarry-core.a
if ! [ -f "$core" ]; then
    echo "check_layers: no compiled core in $build: calls not checked"
    exit 0
fi

# "archive:member.o:value type name"; undefined symbols have no value. A member is libquarry_core_la-NAME.o.
LC_ALL=C ${NM:-nm} -A "$core" >"$work/symbols"

awk -v table="$table" '
    function complain(text) { print "check_layers: " text; bad = 1 }

    BEGIN {
        while ((getline line < table) > 0)
            if (split(line, word) == 2 && word[1] ~ /^L[0-9]+$/ && word[2] ~ /\.c$/) {
                name = word[2]
                sub(/^.*\//, "", name)
                layer[name] = substr(word[1], 2) + 0
            }
        # What allocates, or writes through stdio, which does. Not complete: what a slip would most likely call.
        banned = "malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign strdup strndup asprintf " \
                 "qsort getline fopen fclose fflush fwrite fputs puts putchar printf fprintf vfprintf dprintf vdprintf " \
                 "sprintf snprintf vsnprintf perror strerror opendir scandir realpath dlopen dlsym dlvsym dladdr getenv " \
                 "setenv putenv syslog localtime tzset backtrace_symbols get_nprocs get_nprocs_conf"
        n = split(banned, word, " ")
        for (i = 1; i <= n; i++)
            never[word[i]] = 1
        # For the caller, as what it is documented to be; no lock is held, and nothing of the core is called back.
        allowed["builder.c", "vsnprintf"] = 1
    }

    {
        count = split($0, part, ":")
        object = part[count - 1]
        source = object
        sub(/^.*libquarry_core_la-/, "", source)
        sub(/\.o$/, ".c", source)
        n = split(part[count], word, " ")
        name = word[n]
        type = word[n - 1]
        if (!(source in layer)) {
            if (!(source in told))
                complain(object ": its source is not in layers.txt")
            told[source] = 1
            next
        }
        objects[source] = 1
        if (type ~ /^[A-TV-Z]$/)
            defined_in[name] = source
        else if (type == "U")
            uses[source, name] = 1
    }

    END {
        for (pair in uses) {
            split(pair, part, SUBSEP)
            user = part[1]
            name = part[2]
            plain = name
            sub(/^__isoc99_/, "", plain)
            if (sub(/^__/, "", plain))
                sub(/_chk$/, "", plain)
            if (name in defined_in) {
                if (layer[defined_in[name]] > layer[user])
                    complain(user " (L" layer[user] ") uses " name " of " defined_in[name] \
                             " (L" layer[defined_in[name]] "), a higher layer")
            } else if (plain in never && !((user, plain) in allowed))
                complain(user " calls " name ", which the core must not: it allocates, or is not safe before main")
        }
        for (source in objects)
            total++
        if (total < 2) {
            print "check_layers: only " total + 0 " objects in the core"
            exit 99
        }
        if (!bad)
            print "check_layers: " total " objects call downward only"
        exit bad
    }
' "$work/symbols"
