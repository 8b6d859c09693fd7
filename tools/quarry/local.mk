# The `quarry` command: see main.c. It is made from the library's own sources, so that its numbers are the same, but never uses its
# malloc.

# The page that quarry report makes comes out of the program itself.
report_template = tools/quarry/report.html tools/quarry/report.css tools/quarry/report.js

if WITH_LIBRARY

bin_PROGRAMS += tools/quarry/quarry

tools_quarry_quarry_SOURCES = \
	tools/quarry/main.c tools/quarry/command.h \
	tools/quarry/core.c \
	tools/quarry/image.c tools/quarry/image.h \
	tools/quarry/live.c tools/quarry/live.h \
	tools/quarry/map.c \
	tools/quarry/module.c \
	tools/quarry/numbers.c tools/quarry/numbers.h \
	tools/quarry/process.c \
	tools/quarry/prof.c \
	tools/quarry/profile_data.c tools/quarry/profile_data.h \
	tools/quarry/profile_read.c \
	tools/quarry/profile_text.c \
	tools/quarry/profile_write.c \
	tools/quarry/run.c \
	tools/quarry/stat.c \
	tools/quarry/store.c tools/quarry/store.h \
	tools/quarry/symbols.c tools/quarry/symbols.h \
	tools/quarry/target.c tools/quarry/target.h \
	tools/quarry/top.c tools/quarry/top.h \
	tools/quarry/top_screen.c \
	tools/quarry/tree.c tools/quarry/tree.h \
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

if HAVE_LIBDW
tools_quarry_quarry_CPPFLAGS += -DHAVE_LIBDW=1
tools_quarry_quarry_CFLAGS   += $(LIBDW_CFLAGS)
tools_quarry_quarry_LDADD    += $(LIBDW_LIBS)
endif

report_sources = \
	tools/quarry/html.c tools/quarry/html.h \
	tools/quarry/report.c tools/quarry/report_parts.h \
	tools/quarry/report_profile.c \
	tools/quarry/report_stats.c \
	tools/quarry/report_time.c

if HAVE_JANSSON
tools_quarry_quarry_SOURCES        += $(report_sources)
nodist_tools_quarry_quarry_SOURCES  = tools/quarry/report_embedded.h
tools_quarry_quarry_CPPFLAGS       += -I$(top_builddir)/tools/quarry
tools_quarry_quarry_CFLAGS         += $(JANSSON_CFLAGS)
tools_quarry_quarry_LDADD          += $(JANSSON_LIBS)
EXTRA_DIST                         += tools/quarry/report_missing.c

tools/quarry/tools_quarry_quarry-report.$(OBJEXT) tools/quarry/quarry-report.$(OBJEXT): tools/quarry/report_embedded.h
tools/quarry/report_embedded.h: $(report_template) tools/quarry/embed.sh
	$(AM_V_GEN)$(MKDIR_P) tools/quarry && $(SHELL) $(top_srcdir)/tools/quarry/embed.sh \
	    $(report_template:%=$(top_srcdir)/%) >$@-new && mv -f $@-new $@
CLEANFILES += tools/quarry/report_embedded.h
else
tools_quarry_quarry_SOURCES += tools/quarry/report_missing.c
EXTRA_DIST                  += $(report_sources)
endif

endif

EXTRA_DIST += $(report_template) tools/quarry/embed.sh
