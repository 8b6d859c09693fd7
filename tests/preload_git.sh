#!/usr/bin/env bash
# git: the same history built with and without the library has the same commit; repack with threads, gc, fsck, clone,
# merge, blame and log work on it.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require GIT git

export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0 GIT_PAGER=cat GIT_EDITOR=true
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
# Every command of both histories at the same moment, so that the commits can be compared.
export GIT_AUTHOR_DATE='1600000000 +0000' GIT_COMMITTER_DATE='1600000000 +0000'
# Nothing may look for a repository above the scratch directory.
export GIT_CEILING_DIRECTORIES=$WORK
for variable in GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_EXEC_PATH; do unset "$variable"; done

# build_history DIRECTORY RUNNER…
build_history()
{
    local directory=$1 n
    shift
    "$@" "$GIT" init -q -b trunk "$directory"
    cd "$directory" || exit
    mkdir -p src doc
    for n in 1 2 3 4 5 6 7 8; do
        awk -v n="$n" -v file="src/file-$n" -v text=doc/text 'BEGIN {
            for (i = 0; i < 1500; i++) {
                print "line", i, (i * n * 7919) % 1009, i % n ? "x" : "changed" >file
                print (i % 97 == n ? "edited " n : "kept"), i >text
            }
        }'
        echo "$n" >number
        "$@" "$GIT" add -A
        "$@" "$GIT" commit -q -m "commit $n"
    done
    "$@" "$GIT" checkout -q -b side HEAD~3
    sed 's/kept 1499/side/' doc/text >doc/other
    "$@" "$GIT" add -A
    "$@" "$GIT" commit -q -m side
    "$@" "$GIT" checkout -q trunk
    "$@" "$GIT" merge -q --no-edit side
    "$@" "$GIT" mv number counter
    "$@" "$GIT" commit -q -m renamed
    "$@" "$GIT" tag -a -m tagged v1
    cd "$WORK" || exit
}
build_history plain env
build_history preloaded preloaded
head=$("$GIT" -C preloaded rev-parse HEAD)
assert_equal "$("$GIT" -C plain rev-parse HEAD)" "$head" "commit"
assert_equal "$("$GIT" -C plain rev-parse v1)" "$("$GIT" -C preloaded rev-parse v1)" "tag"

run_both_ok log "$GIT" -C preloaded log --stat -p -M --graph --date=iso
run_both_ok blame "$GIT" -C preloaded blame doc/text
run_both_ok grep "$GIT" -C preloaded grep -n --threads=2 changed HEAD~2
run_both_ok diff "$GIT" -C preloaded diff --word-diff --stat -p HEAD~5 HEAD
run_both_ok shortlog "$GIT" -C preloaded shortlog -s -n HEAD
run_both_ok archive "$GIT" -C preloaded archive --format=tar.gz HEAD
run_both merge-conflict "$GIT" -C preloaded merge-tree --write-tree HEAD~1 HEAD~6

preloaded "$GIT" -C preloaded -c pack.threads=2 -c pack.windowMemory=8m repack -adfq --depth=20 --window=40
preloaded "$GIT" -C preloaded -c pack.threads=2 gc -q --aggressive --prune=now
preloaded "$GIT" -C preloaded fsck --full --strict >fsck.log 2>&1
[ "$(find preloaded/.git/objects/pack -name '*.pack' | wc -l)" = 1 ] || fail "not one pack after gc"
preloaded "$GIT" clone -q "file://$WORK/preloaded" cloned
assert_equal "$head" "$(preloaded "$GIT" -C cloned rev-parse HEAD)" "commit of the clone"
diff -r --exclude=.git plain cloned
preloaded "$GIT" -C cloned checkout -q -b again HEAD~4
echo more >>cloned/doc/text
preloaded "$GIT" -C cloned commit -qam more
preloaded "$GIT" -C cloned rebase -q trunk
preloaded "$GIT" -C cloned push -q origin again
assert_equal "$("$GIT" -C cloned rev-parse HEAD)" "$("$GIT" -C preloaded rev-parse again)" "pushed commit"
assert_equal "$(preloaded "$GIT" -C preloaded rev-list --objects --all | wc -l)" \
    "$("$GIT" -C preloaded rev-list --objects --all | wc -l)" "number of objects"
