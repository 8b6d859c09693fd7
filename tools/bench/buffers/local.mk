# The buffer benchmark: a program per library, built and run by "make bench-buffers". A library that configure did not find
# is left out.

buffer_rows = tools/bench/buffers/rows.c tools/bench/buffers/rows.h

buffer_programs = \
	tools/bench/buffers/bench-buffers-hand \
	tools/bench/buffers/bench-buffers-quarry

tools_bench_buffers_bench_buffers_hand_SOURCES   = tools/bench/buffers/hand.c $(buffer_rows)
tools_bench_buffers_bench_buffers_hand_LDADD     = tools/bench/buffers/libpair.la
tools_bench_buffers_bench_buffers_quarry_SOURCES = tools/bench/buffers/quarry.c $(buffer_rows)
tools_bench_buffers_bench_buffers_quarry_LDADD   = libquarry.la

# -rpath: see module_ldflags of the tests.
EXTRA_LTLIBRARIES += tools/bench/buffers/libpair.la
tools_bench_buffers_libpair_la_SOURCES = tools/bench/buffers/pair.c tools/bench/buffers/pair.h
tools_bench_buffers_libpair_la_LDFLAGS = -avoid-version -shared -rpath /nowhere

if HAVE_GLIB
buffer_programs += tools/bench/buffers/bench-buffers-glib
endif
tools_bench_buffers_bench_buffers_glib_SOURCES = tools/bench/buffers/glib.c $(buffer_rows)
tools_bench_buffers_bench_buffers_glib_CFLAGS  = $(AM_CFLAGS) $(GLIB_CFLAGS)
tools_bench_buffers_bench_buffers_glib_LDADD   = $(GLIB_LIBS)

if HAVE_AVUTIL
buffer_programs += tools/bench/buffers/bench-buffers-avutil
endif
tools_bench_buffers_bench_buffers_avutil_SOURCES = tools/bench/buffers/avutil.c $(buffer_rows)
tools_bench_buffers_bench_buffers_avutil_CFLAGS  = $(AM_CFLAGS) $(AVUTIL_CFLAGS)
tools_bench_buffers_bench_buffers_avutil_LDADD   = $(AVUTIL_LIBS)

if HAVE_EVENT
buffer_programs += tools/bench/buffers/bench-buffers-event
endif
tools_bench_buffers_bench_buffers_event_SOURCES = tools/bench/buffers/event.c $(buffer_rows)
tools_bench_buffers_bench_buffers_event_CFLAGS  = $(AM_CFLAGS) $(EVENT_CFLAGS)
tools_bench_buffers_bench_buffers_event_LDADD   = $(EVENT_LIBS)

if HAVE_APR
buffer_programs += tools/bench/buffers/bench-buffers-apr
endif
tools_bench_buffers_bench_buffers_apr_SOURCES = tools/bench/buffers/apr.c $(buffer_rows)
tools_bench_buffers_bench_buffers_apr_CFLAGS  = $(AM_CFLAGS) $(APR_CFLAGS)
tools_bench_buffers_bench_buffers_apr_LDADD   = $(APR_LIBS)

# Its headers are its users' to compile, inline functions and all, and not free of warnings: -isystem.
if HAVE_DPDK
buffer_programs += tools/bench/buffers/bench-buffers-dpdk
endif
tools_bench_buffers_bench_buffers_dpdk_SOURCES = tools/bench/buffers/dpdk.c $(buffer_rows)
tools_bench_buffers_bench_buffers_dpdk_CFLAGS  = $(AM_CFLAGS) $(patsubst -I%,-isystem %,$(DPDK_CFLAGS))
tools_bench_buffers_bench_buffers_dpdk_LDADD   = $(DPDK_LIBS)

EXTRA_PROGRAMS += \
	tools/bench/buffers/bench-buffers-hand \
	tools/bench/buffers/bench-buffers-quarry \
	tools/bench/buffers/bench-buffers-glib \
	tools/bench/buffers/bench-buffers-avutil \
	tools/bench/buffers/bench-buffers-event \
	tools/bench/buffers/bench-buffers-apr \
	tools/bench/buffers/bench-buffers-dpdk

if WITH_LIBRARY
bench-buffers: libquarry.la $(buffer_programs)
	'$(abs_top_srcdir)/tools/bench/buffers/buffers.py' --build-dir '$(abs_top_builddir)' $(BENCH_OPTIONS) $(buffer_programs)
else
bench-buffers:
	@echo '$@: a sanitizer build makes no library to measure'; exit 1
endif

.PHONY: bench-buffers

CLEANFILES += $(buffer_programs) tools/bench/buffers/libpair.la bench-buffers.tsv bench-buffers.txt

EXTRA_DIST += tools/bench/buffers/buffers.py
