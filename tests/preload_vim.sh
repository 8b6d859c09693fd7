#!/usr/bin/env bash
# vim: edits a file of 20,000 lines by script: substitution, sorting, macros, registers, undo and redo, folding, splits and
# its own script language; the saved file and the answers are the same.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

VIM=$(readlink -f "$(find_elf vim)") || skip "no program vim here"
assert_preloadable "$VIM"

awk 'BEGIN {
    x = 1
    for (i = 0; i < 20000; i++) { x = x * 16807 % 2147483647; printf "line %d word%d äöü %d\n", i, x % 997, x }
}' >text
cat >script.vim <<'VIMSCRIPT'
set nocompatible nomore encoding=utf-8 undolevels=1000 viminfo= noswapfile
edit text
%s/word\(\d\)\(\d*\)/\2-\1/g
g/line \d*7 /normal! dwA end
let &undolevels = &undolevels
sort n /- /
undo
redo
let &undolevels = &undolevels
%s/\v<(\l+)>/\u\1/g
undo
normal! gg
let @q = "yyp:s/^/copy /\<CR>j"
normal! 300@q
silent! 500,900fold
let &undolevels = &undolevels " what follows is a step of its own to undo
1,300join
undo
for i in range(60)
    let &undolevels = &undolevels
    execute 'normal! ' . (i * 97 + 1) . 'GddGp'
endfor
for i in range(30) | undo | endfor
let words = {}
for line in getline(1, '$')
    let word = matchstr(line, '\d\+-\d')
    let words[word] = get(words, word, 0) + 1
endfor
let lines = map(sort(keys(words)), 'v:val . "=" . words[v:val]')
let steps = undotree().seq_last
split result
call setline(1, lines)
call append('$', [line('$') . ' words', steps])
write
wincmd w
write! changed
qall!
VIMSCRIPT
# edit DIRECTORY COMMAND…: a vim that draws its screen to a file.
edit()
{
    mkdir "$1"
    cp text script.vim "$1"
    "${@:2}" -T dumb --not-a-term -u NONE -i NONE -n -S script.vim </dev/null >"$1.log" 2>&1
}
edit plain env -C plain "$VIM" || fail "vim without the library"
edit loaded env -C loaded LD_PRELOAD="$QUARRY_LIB" "$VIM" || fail "vim with the library"
for file in changed result; do
    [ -s "plain/$file" ] || fail "the script does not run"
    [ -s "loaded/$file" ] || fail "vim with the library does not finish"
done
assert_same plain/changed loaded/changed
assert_same plain/result loaded/result
grep -q '^copy ' loaded/changed
