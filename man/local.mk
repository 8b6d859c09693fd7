# Manual pages.
dist_man_MANS += \
	man/libquarry.3 \
	man/qy_pool.3 \
	man/qy_retain.3 \
	man/qy_slice.3 \
	man/quarry.7
