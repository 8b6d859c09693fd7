# The library: three products of one set of sources.
#
#   libquarry-core.la   everything but the malloc family; never installed. The shared library and the unit tests link it.
#   libquarry.la        the shared library, for LD_PRELOAD and -lquarry alike (two copies would be two heaps).
#   libquarry.a         the static archive: qy_* names only, so that a program can use Quarry beside its libc's malloc.

# In the order in which they are linked: first what every process runs, by layer, so that a small program touches few pages
# of it; last zeros.c, which nobody writes. src/layers.txt says which file is in which layer, and tests/check_layers.sh holds them to it.
quarry_core_sources = \
	src/base.h \
	src/fatal.c src/fatal.h \
	src/os.c src/os.h \
	src/lock.c src/lock.h \
	src/sizeclass.c src/sizeclass.h \
	src/options.c src/options.h \
	src/text.c src/text.h \
	src/span.c src/span.h \
	src/meta.c src/meta.h \
	src/region.c src/region.h \
	src/frame.c src/frame.h \
	src/count.c src/count.h \
	src/slab.c src/slab.h \
	src/magazine.c src/magazine.h \
	src/heap.c src/heap.h \
	src/heaps.c src/heaps.h \
	src/remote.c src/remote.h \
	src/thread.c src/thread.h \
	src/reclaim.c src/reclaim.h \
	src/fork.c src/fork.h \
	src/large.c src/large.h \
	src/pooled.c src/pooled.h \
	src/alloc.c src/alloc.h \
	src/family.c src/family.h \
	src/report.c src/report.h \
	src/verdict.c src/verdict.h \
	src/look.c src/look.h \
	src/stats.c src/stats.h \
	src/dump.c src/dump.h \
	src/leaks.c src/leaks.h \
	src/start.c src/start.h \
	src/api.c \
	src/site.c src/site.h \
	src/meter.c src/meter.h \
	src/unwind.c src/unwind.h \
	src/sample.c src/sample.h \
	src/track.c src/track.h \
	src/foreign.c src/foreign.h \
	src/ref.c src/ref.h \
	src/slice.c \
	src/slices.c src/slices.h \
	src/chain.c \
	src/pool.c src/pool.h \
	src/pool_buffer.c \
	src/pool_cache.c \
	src/pool_depot.c \
	src/arena.c \
	src/segment.c src/segment.h \
	src/sending.c src/sending.h \
	src/io.c \
	src/pass.c \
	src/zerocopy.c src/zerocopy.h \
	src/builder.c \
	src/cursor.c \
	src/listen.c src/listen.h \
	src/http_answer.c src/http_answer.h \
	src/http.c src/http.h \
	src/output.c src/output.h \
	src/json.c src/json.h \
	src/prom.c src/prom.h \
	src/cgroup.c src/cgroup.h \
	src/watch.c src/watch.h \
	src/history.c src/history.h \
	src/map.c src/map.h \
	src/page.c src/page.h \
	src/root.c src/root.h \
	src/modules.c src/modules.h \
	src/pprof.c src/pprof.h \
	src/profile.c src/profile.h \
	src/zeros.c

# Hidden by default: what the library exports is marked in the sources, and calls inside it need no PLT.
# initial-exec TLS: see configure.ac. -fexceptions: operator new throws through these frames.
quarry_cflags = \
	$(AM_CFLAGS) \
	-fvisibility=hidden \
	-ftls-model=initial-exec \
	-fno-semantic-interposition \
	-fexceptions

# mremap, secure_getenv and the like.
quarry_cppflags = $(AM_CPPFLAGS) -D_GNU_SOURCE=1

noinst_LTLIBRARIES += libquarry-core.la
libquarry_core_la_SOURCES  = $(quarry_core_sources)
libquarry_core_la_CPPFLAGS = $(quarry_cppflags)
libquarry_core_la_CFLAGS   = $(quarry_cflags)

# The sanitizers bring a malloc of their own: with them, only the core is built, for its unit tests.
if WITH_LIBRARY
lib_LTLIBRARIES += libquarry.la
libquarry_la_SOURCES  = src/interpose.c
libquarry_la_CPPFLAGS = $(quarry_cppflags)
libquarry_la_CFLAGS   = $(quarry_cflags)
# The unwinder for the heap profile: a copy of its own, which must not take the place of the program's.
libquarry_la_LIBADD   = libquarry-core.la $(UNWIND_LIBS)
# -version-info 1:0:0 makes the soname libquarry.so.1; -shared: not even --enable-static makes a second libquarry.a;
# -no-undefined: a symbol that libc lacks is an error at link time, not in somebody's program. -fini: every process calls it at its end, and the
# usual one stands behind all code, in a neighbourhood that a small program would map for its sake alone.
libquarry_la_LDFLAGS = \
	-shared \
	-version-info 1:0:0 \
	-no-undefined \
	-Wl,-z,defs \
	-Wl,-z,nodelete \
	-Wl,--as-needed \
	-Wl,--exclude-libs,libgcc_eh.a \
	-Wl,-fini=qyi_start_anchor \
	$(PAGES_LDFLAGS) \
	$(RELR_LDFLAGS) \
	-Wl,--version-script=$(top_srcdir)/quarry.map
EXTRA_libquarry_la_DEPENDENCIES = $(top_srcdir)/quarry.map $(top_srcdir)/src/pages.ld

# Compiled a second time, without libtool (which would put the interposing file into its archive). -fPIC rather than -fPIE,
# so that it can also be linked into a plugin; inside a program the linker relaxes the difference away.
lib_LIBRARIES += libquarry.a
libquarry_a_SOURCES  = $(quarry_core_sources)
libquarry_a_CPPFLAGS = $(quarry_cppflags)
libquarry_a_CFLAGS   = $(quarry_cflags) -fPIC
endif

quarryincludedir = $(includedir)/quarry
quarryinclude_HEADERS = \
	include/quarry/arena.h \
	include/quarry/builder.h \
	include/quarry/chain.h \
	include/quarry/cursor.h \
	include/quarry/io.h \
	include/quarry/order.h \
	include/quarry/pool.h \
	include/quarry/quarry.h \
	include/quarry/quarry.hpp \
	include/quarry/ref.h \
	include/quarry/slice.h \
	include/quarry/zerocopy.h

EXTRA_DIST += src/README.md src/layers.txt src/pages.ld
