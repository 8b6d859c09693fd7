# The examples: each with a twin that copies. Built and run by make check and make bench-relay; not installed.
# See README.md in this folder.

if WITH_LIBRARY

example_programs = \
	tools/examples/httpd \
	tools/examples/httpd-copy \
	tools/examples/logpipe \
	tools/examples/logpipe-copy \
	tools/examples/memory-burst \
	tools/examples/memory-fragment \
	tools/examples/memory-leak \
	tools/examples/memory-reference \
	tools/examples/relay \
	tools/examples/relay-copy \
	tools/examples/relay-load \
	tools/examples/relay-wire

check_PROGRAMS += $(example_programs)

logpipe_shared = \
	tools/examples/logpipe-main.c tools/examples/logpipe-main.h \
	tools/examples/program.c tools/examples/program.h \
	tools/examples/tally.c tools/examples/tally.h

relay_shared = \
	tools/examples/program.c tools/examples/program.h \
	tools/examples/relay-server.c tools/examples/relay-server.h

httpd_shared = \
	tools/examples/http-request.c tools/examples/http-request.h \
	tools/examples/httpd-server.c tools/examples/httpd-server.h \
	tools/examples/program.c tools/examples/program.h

# The twins are plain programs with libc's malloc; they can be preloaded like any other.
tools_examples_logpipe_SOURCES      = tools/examples/logpipe.c $(logpipe_shared)
tools_examples_logpipe_LDADD        = libquarry.la
tools_examples_logpipe_copy_SOURCES = tools/examples/logpipe-copy.c $(logpipe_shared)

tools_examples_httpd_SOURCES        = tools/examples/httpd.c $(httpd_shared)
tools_examples_httpd_LDADD          = libquarry.la
tools_examples_httpd_copy_SOURCES   = tools/examples/httpd-copy.c $(httpd_shared)

tools_examples_relay_SOURCES        = tools/examples/relay.c tools/examples/relay-output.c \
	tools/examples/relay-ring.h $(relay_shared)
tools_examples_relay_LDADD          = libquarry.la
if HAVE_LIBURING
tools_examples_relay_SOURCES       += tools/examples/relay-ring.c
tools_examples_relay_LDADD         += libquarry-uring.la
tools_examples_relay_CFLAGS         = $(AM_CFLAGS) $(LIBURING_CFLAGS)
EXTRA_DIST                         += tools/examples/relay-no-ring.c
else
tools_examples_relay_SOURCES       += tools/examples/relay-no-ring.c
EXTRA_DIST                         += tools/examples/relay-ring.c
endif
tools_examples_relay_copy_SOURCES   = tools/examples/relay-copy.c $(relay_shared)
tools_examples_relay_load_SOURCES   = tools/examples/relay-load.c tools/examples/program.c tools/examples/program.h
tools_examples_relay_wire_SOURCES   = tools/examples/relay-wire.c tools/examples/program.c tools/examples/program.h

# doc/finding-memory.md looks into these; memory-reference alone knows of Quarry.
tools_examples_memory_reference_LDADD = libquarry.la

example_tests = \
	tests/examples_memory.sh \
	tests/examples_httpd.sh \
	tests/examples_logpipe.sh \
	tests/examples_relay.sh

TESTS      += $(example_tests)
EXTRA_DIST += $(example_tests)

bench-relay: libquarry.la $(example_programs)
	'$(abs_top_srcdir)/tools/examples/bench_relay.py' --build-dir '$(abs_top_builddir)' $(BENCH_OPTIONS)
else !WITH_LIBRARY
bench-relay:
	@echo '$@: a sanitizer build makes no library to measure'; exit 1
endif !WITH_LIBRARY

.PHONY: bench-relay

CLEANFILES += bench-relay.tsv

EXTRA_DIST += \
	doc/finding-memory.md \
	tests/transcripts.py \
	tools/examples/README.md \
	tools/examples/bench_relay.py
