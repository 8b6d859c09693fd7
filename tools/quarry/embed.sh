#!/bin/sh
# embed.sh HTML CSS JS: the parts of quarry report's page as C, on standard output.
#
# The page allows the one script that it brings, by its hash, and no other. Where the tools to compute that are missing
# (GNU coreutils has them), it allows scripts inside the page.
set -eu

# Bytes instead of string literals: these have a limited length, and escapes of their own.
array()
{
    echo "static const char $1[] = {"
    od -A n -v -t x1 "$2" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
    echo '0};'
}

hash=$(sha256sum <"$3" 2>/dev/null | cut -c 1-64 | tr abcdef ABCDEF | basenc --base16 -d 2>/dev/null | base64 -w 0 2>/dev/null) || hash=
echo '/* Made by embed.sh. */'
if [ "${#hash}" -eq 44 ]; then
    echo "#define REPORT_SCRIPT_POLICY \"'sha256-$hash'\""
else
    echo "#define REPORT_SCRIPT_POLICY \"'unsafe-inline'\""
fi
array report_html "$1"
array report_css "$2"
array report_js "$3"
