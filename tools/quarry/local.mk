# The `quarry` command: see main.c. It is made from the library's own sources, so that its numbers are the same, but never uses its
# malloc.

if WITH_LIBRARY

bin_PROGRAMS += tools/quarry/quarry

tools_quarry_quarry_SOURCES = \
	tools/quarry/main.c tools/quarry/command.h \
	tools/quarry/core.c \
	tools/quarry/image.c tools/quarry/image.h \
	tools/quarry/map.c \
	tools/quarry/module.c \
	tools/quarry/numbers.c tools/quarry/numbers.h \
	tools/quarry/process.c \
	tools/quarry/run.c \
	tools/quarry/stat.c \
	tools/quarry/target.c tools/quarry/target.h \
	tools/quarry/top.c tools/quarry/top.h \
	tools/quarry/top_screen.c \
	tools/quarry/trim.c

tools_quarry_quarry_CPPFLAGS = $(quarry_cppflags) -DQUARRY_LIBDIR='"$(libdir)"'
tools_quarry_quarry_CFLAGS   = $(AM_CFLAGS)
tools_quarry_quarry_LDFLAGS  =
tools_quarry_quarry_LDADD    = libquarry-core.la

if HAVE_LIBELF
tools_quarry_quarry_CPPFLAGS += -DHAVE_LIBELF=1
tools_quarry_quarry_CFLAGS   += $(LIBELF_CFLAGS)
tools_quarry_quarry_LDADD    += $(LIBELF_LIBS)
endif

if HAVE_NCURSES
tools_quarry_quarry_CPPFLAGS += -DHAVE_NCURSES=1
tools_quarry_quarry_CFLAGS   += $(NCURSES_CFLAGS)
tools_quarry_quarry_LDADD    += $(NCURSES_LIBS)
endif

endif
