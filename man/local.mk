# Manual pages.
dist_man_MANS += \
	man/libquarry.3 \
	man/quarry.1 \
	man/quarry.7 \
	man/quarry.hpp.3 \
	man/qy_arena.3 \
	man/qy_builder.3 \
	man/qy_chain.3 \
	man/qy_cursor.3 \
	man/qy_io.3 \
	man/qy_pool.3 \
	man/qy_retain.3 \
	man/qy_slice.3 \
	man/qy_zerocopy.3

if HAVE_LIBURING
dist_man_MANS += man/qy_uring.3
else
EXTRA_DIST += man/qy_uring.3
endif

# Every function has a page by its own name, which leads to the one that describes it.
EXTRA_DIST += man/functions.sh

install-data-hook:
	@cd '$(DESTDIR)$(man3dir)' && for page in libquarry.3 qy_*.3; do \
	  [ ! -L "$$page" ] || continue; \
	  for name in `$(SHELL) '$(abs_top_srcdir)/man/functions.sh' '$(abs_top_srcdir)' "$$page"`; do \
	    [ "$$name.3" = "$$page" ] || ln -sf "$$page" "$$name.3"; \
	  done; \
	done

uninstall-hook:
	@for page in $(notdir $(dist_man_MANS)); do \
	  case $$page in *.3) ;; *) continue ;; esac; \
	  for name in `$(SHELL) '$(abs_top_srcdir)/man/functions.sh' '$(abs_top_srcdir)' "$$page"`; do \
	    rm -f '$(DESTDIR)$(man3dir)'/"$$name.3"; \
	  done; \
	done
