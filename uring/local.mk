# libquarry-uring: slices and io_uring, a library of its own, since libquarry depends on libc alone. Only with liburing.

uring_sources = \
	uring/provided.c \
	uring/uring.c \
	uring/uring.h

if HAVE_LIBURING

if WITH_LIBRARY
lib_LTLIBRARIES += libquarry-uring.la
libquarry_uring_la_SOURCES  = $(uring_sources)
libquarry_uring_la_CPPFLAGS = $(quarry_cppflags)
libquarry_uring_la_CFLAGS   = $(AM_CFLAGS) $(LIBURING_CFLAGS) -fvisibility=hidden
libquarry_uring_la_LIBADD   = libquarry.la $(LIBURING_LIBS)
libquarry_uring_la_LDFLAGS  = \
	-shared \
	-version-info 1:0:0 \
	-no-undefined \
	-Wl,-z,defs \
	-Wl,--as-needed \
	-Wl,--version-script=$(top_srcdir)/quarry.map
EXTRA_libquarry_uring_la_DEPENDENCIES = $(top_srcdir)/quarry.map

pkgconfig_DATA += quarry-uring.pc
quarryinclude_HEADERS += include/quarry/uring.h
endif

# The unit test has the sources beside the core, as all unit tests do.
if HAVE_CHECK
check_PROGRAMS += tests/test_uring
TESTS          += tests/test_uring
tests_test_uring_SOURCES  = tests/test_uring.c $(uring_sources)
tests_test_uring_CPPFLAGS = $(unit_cppflags) -iquote $(top_srcdir)/uring
tests_test_uring_CFLAGS   = $(unit_cflags) $(LIBURING_CFLAGS)
tests_test_uring_LDADD    = $(unit_ldadd) $(LIBURING_LIBS)
endif

else
EXTRA_DIST += $(uring_sources) include/quarry/uring.h tests/test_uring.c
endif

EXTRA_DIST += quarry-uring.pc.in
