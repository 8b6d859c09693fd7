# Manual pages.
dist_man_MANS += \
	man/libquarry.3 \
	man/qy_arena.3 \
	man/qy_io.3 \
	man/qy_pool.3 \
	man/qy_retain.3 \
	man/qy_slice.3 \
	man/qy_zerocopy.3 \
	man/quarry.7

if HAVE_LIBURING
dist_man_MANS += man/qy_uring.3
else
EXTRA_DIST += man/qy_uring.3
endif
