#!/bin/sh
# The functions that a page of section 3 describes: those of its header that it names. One per line.
# usage: functions.sh SOURCE-FOLDER PAGE
set -eu
page=$1/man/$2
header=$(sed -n 's/.*#include <\(quarry\/[a-z]*\.h\)>.*/\1/p' "$page" | head -n 1)
[ -n "$header" ] || exit 0
sed -n 's/^\(QY_API\|static inline\) .*[ *]\(qy_[a-z0-9_]*\)(.*/\2/p' "$1/include/$header" | sort -u | while read -r name; do
    ! grep -qw "$name" "$page" || echo "$name"
done
