#!/bin/sh
# With systemtap's header at build time, the library has probes for tracers, with the arguments of the agreed form.
set -eu
if ! grep -q '^DEFS = .*HAVE_SYS_SDT_H=1' "${top_builddir:?set by make check}/Makefile"; then
    echo "built without probes: there was no <sys/sdt.h> (package systemtap-sdt-dev)" >&2
    exit 77
fi
notes=$("${READELF:-readelf}" -n "$QUARRY_LIB")
for probe in alloc:3 free:1; do
    arguments=$(echo "$notes" | grep -A3 'Provider: otel_memory' | grep -A2 "Name: ${probe%:*}\$" | sed -n 's/.*Arguments: //p' | head -n 1)
    [ "$(echo "$arguments" | wc -w)" -eq "${probe#*:}" ] || {
        echo "probe ${probe%:*}: arguments '$arguments'" >&2
        exit 1
    }
done
