# Manual pages.
dist_man_MANS += \
	man/libquarry.3 \
	man/quarry.7 \
	man/quarry.hpp.3 \
	man/qy_builder.3 \
	man/qy_chain.3 \
	man/qy_cursor.3 \
	man/qy_pool.3 \
	man/qy_retain.3 \
	man/qy_slice.3
