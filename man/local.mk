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
