#!/usr/bin/env bash
# groff and man: a page with tables and equations formatted by a pipeline of preloaded programs; man adds its sandbox.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require GROFF groff
for part in troff grotty tbl eqn; do
    path=$(find_elf "$part") || skip "no program $part here"
    assert_preloadable "$path"
done

{
    printf "'\\\\\" te\n.TH SAMPLE 1 2020-02-02 quarry tests\n.SH NAME\nsample \\- a page\n"
    for i in $(seq 1 120); do
        printf '.SH SECTION %d\n.PP\nSome \\fBbold\\fP and \\fIslanted\\fP words that are hyphenated and filled.\n' "$i"
        printf '.TP\n.B \\-\\-option%d\nDescription of the option.\n.IP \\(bu 4\nA bullet.\n' "$i"
        printf '.EQ\nx sup %d over { sqrt { y + %d } }\n.EN\n' "$i" "$i"
        printf '.TS\nbox, tab(:);\nl r c.\nname:value:%d\n_\n' "$i"
        printf 'T{\na long cell that is filled by the table program\nT}:%d:x\n.TE\n' "$i"
    done
} >sample.1
for device in utf8 ascii ps html; do
    case $device in html) macros=-mandoc ;; *) macros=-man ;; esac
    [ "$device" != html ] || find_elf pre-grohtml >/dev/null || continue
    "$GROFF" -te "$macros" "-T$device" sample.1 2>plain.err | sed '/Date/d; /date/d; s/grohtml-[0-9]*/grohtml/g' >plain.out
    preloaded "$GROFF" -te "$macros" "-T$device" sample.1 2>preloaded.err | sed '/Date/d; /date/d; s/grohtml-[0-9]*/grohtml/g' >preloaded.out
    assert_same plain.out preloaded.out
    assert_same plain.err preloaded.err
    [ -s plain.out ] || fail "no $device output"
done

if MAN=$(find_elf man); then
    assert_preloadable "$MAN"
    export MANPATH=$WORK/man MANWIDTH=90 MANPAGER=cat
    mkdir -p man/man1
    gzip -n <sample.1 >man/man1/sample.1.gz
    run_both man-local "$MAN" -l sample.1
    if [ "$RUN_STATUS" = 0 ]; then
        grep -q 'SECTION 120' man-local.preloaded.out
        run_both_ok man-path "$MAN" 1 sample
        # The sandbox that man puts its helpers into stays usable, and is used, with the library in it.
        MAN_DISABLE_SECCOMP='' run_both_ok man-again "$MAN" -K -w 'bullet'
    fi
fi
