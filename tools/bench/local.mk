# Benchmarks: built and run on demand only, by "make bench" and "make bench-instructions". See README.md in this folder.

bench_programs = \
	tools/bench/bench-workloads \
	tools/bench/bench-documents \
	tools/bench/bench-spawn \
	tools/bench/bench-pairs

EXTRA_PROGRAMS += $(bench_programs)

tools_bench_bench_workloads_SOURCES = \
	tools/bench/workloads/churn.c \
	tools/bench/workloads/cold.c \
	tools/bench/workloads/growth.c \
	tools/bench/workloads/hot.c \
	tools/bench/workloads/large.c \
	tools/bench/workloads/logic.c \
	tools/bench/workloads/main.c \
	tools/bench/workloads/numbers.c \
	tools/bench/workloads/queue.c \
	tools/bench/workloads/server.c \
	tools/bench/workloads/sharing.c \
	tools/bench/workloads/stress.c \
	tools/bench/workloads/structures.c \
	tools/bench/workloads/workload.h

tools_bench_bench_documents_SOURCES = tools/bench/documents.cc

# Static: the peak RSS of what it starts cannot be told below its own; see spawn.c.
tools_bench_bench_spawn_SOURCES = tools/bench/spawn.c
tools_bench_bench_spawn_LDFLAGS = -all-static

# What sending costs, by way and size; needs root for the path without copies. Not one of bench_programs: it measures the kernel.
EXTRA_PROGRAMS += tools/bench/bench-sends
tools_bench_bench_sends_SOURCES = tools/bench/sends.c
tools_bench_bench_sends_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE=1
tools_bench_bench_sends_LDADD    = libquarry.la
if HAVE_LIBURING
tools_bench_bench_sends_CPPFLAGS += -DHAVE_LIBURING=1
tools_bench_bench_sends_LDADD    += libquarry-uring.la
endif

# -fno-plt: a call of malloc is then one instruction, with no stub that would have to be told apart from it.
tools_bench_bench_pairs_SOURCES = tools/bench/pairs.c
tools_bench_bench_pairs_CFLAGS  = $(AM_CFLAGS) -fno-plt

# Object pools, by themselves: "make bench-pool" prints a table of nanoseconds. Linked statically beside libc's malloc.
EXTRA_PROGRAMS += tools/bench/pool
tools_bench_pool_SOURCES = tools/bench/pool.c
tools_bench_pool_LDADD   = libquarry.a

# Settings given to make (WORKLOADS=…, ALLOCATORS=…, REPS=…, SCALE=…) reach the scripts through the environment. The
# compilers are named for the case that a program has to be built anew.
bench_environment = QUARRY_LIB='$(abs_top_builddir)/.libs/libquarry.so' CC='$(CC)' CXX='$(CXX)'

if WITH_LIBRARY
bench: libquarry.la $(bench_programs)
	$(bench_environment) '$(abs_top_srcdir)/tools/bench/bench.py' --build-dir '$(abs_top_builddir)' $(BENCH_OPTIONS)

bench-smoke: libquarry.la $(bench_programs)
	$(bench_environment) '$(abs_top_srcdir)/tools/bench/bench.py' --build-dir '$(abs_top_builddir)' --smoke

bench-sends: tools/bench/bench-sends
	tools/bench/bench-sends $(REPS) >bench-sends.tsv
	@cat bench-sends.tsv

bench-instructions: libquarry.la tools/bench/bench-pairs
	$(bench_environment) '$(abs_top_srcdir)/tools/bench/instructions.py' --build-dir '$(abs_top_builddir)'

bench-diagnostics: libquarry.la tools/bench/bench-workloads
	$(bench_environment) '$(abs_top_srcdir)/tools/bench/diagnostics.py' --build-dir '$(abs_top_builddir)'

bench-pool: tools/bench/pool
	tools/bench/pool
else
bench bench-smoke bench-instructions bench-diagnostics bench-pool bench-sends:
	@echo '$@: a sanitizer build makes no library to measure'; exit 1
endif

.PHONY: bench bench-smoke bench-instructions bench-diagnostics bench-pool bench-sends

CLEANFILES += $(bench_programs) tools/bench/pool tools/bench/bench-sends bench-sends.tsv bench.tsv bench.txt bench.svg

EXTRA_DIST += \
	tools/bench/README.md \
	tools/bench/allocators.py \
	tools/bench/bench.py \
	tools/bench/diagnostics.py \
	tools/bench/generate.py \
	tools/bench/inputs/pages.ps \
	tools/bench/inputs/records.js \
	tools/bench/inputs/records.lua \
	tools/bench/inputs/records.pl \
	tools/bench/inputs/records.py \
	tools/bench/inputs/records.rb \
	tools/bench/instructions.py \
	tools/bench/measure.py \
	tools/bench/plot.py \
	tools/bench/report.py \
	tools/bench/workloads.py

# Reference-counted buffers beside the libraries that C programs use for them.
include tools/bench/buffers/local.mk
