# The unit tests: one program per module, with libcheck, linked with the core alone, so that a broken allocator cannot
# break its own harness; and the models of protocols, for spin.

if HAVE_CHECK

unit_programs = \
	tests/test_alloc \
	tests/test_arena \
	tests/test_builder \
	tests/test_chain \
	tests/test_cursor \
	tests/test_dump \
	tests/test_fault \
	tests/test_foreign \
	tests/test_fork \
	tests/test_frame \
	tests/test_heap \
	tests/test_http \
	tests/test_io \
	tests/test_lock \
	tests/test_numbers \
	tests/test_options \
	tests/test_output \
	tests/test_page \
	tests/test_page_size \
	tests/test_pass \
	tests/test_pool \
	tests/test_pool_buffer \
	tests/test_pool_fork \
	tests/test_pool_threads \
	tests/test_ref \
	tests/test_region \
	tests/test_remote \
	tests/test_report \
	tests/test_sample \
	tests/test_sizeclass \
	tests/test_slab \
	tests/test_slice \
	tests/test_slice_random \
	tests/test_slices \
	tests/test_stats \
	tests/test_thread \
	tests/test_track \
	tests/test_verdict \
	tests/test_watch \
	tests/test_zerocopy

check_PROGRAMS += $(unit_programs)
TESTS          += $(unit_programs)

unit_cppflags = $(AM_CPPFLAGS) -D_GNU_SOURCE=1
unit_cflags   = $(AM_CFLAGS) $(CHECK_CFLAGS)
unit_ldadd    = libquarry-core.la $(CHECK_LIBS)

tests_test_alloc_CPPFLAGS = $(unit_cppflags)
tests_test_alloc_CFLAGS   = $(unit_cflags)
tests_test_alloc_LDADD    = $(unit_ldadd)

tests_test_arena_CPPFLAGS = $(unit_cppflags)
tests_test_arena_CFLAGS   = $(unit_cflags)
tests_test_arena_LDADD    = $(unit_ldadd)
tests_test_builder_CPPFLAGS = $(unit_cppflags)
tests_test_builder_CFLAGS   = $(unit_cflags)
tests_test_builder_LDADD    = $(unit_ldadd)

tests_test_chain_CPPFLAGS = $(unit_cppflags)
tests_test_chain_CFLAGS   = $(unit_cflags)
tests_test_chain_LDADD    = $(unit_ldadd)

tests_test_cursor_CPPFLAGS = $(unit_cppflags)
tests_test_cursor_CFLAGS   = $(unit_cflags)
tests_test_cursor_LDADD    = $(unit_ldadd)

tests_test_dump_CPPFLAGS = $(unit_cppflags)
tests_test_dump_CFLAGS   = $(unit_cflags)
tests_test_dump_LDADD    = $(unit_ldadd)

tests_test_fault_CPPFLAGS = $(unit_cppflags)
tests_test_fault_CFLAGS   = $(unit_cflags)
tests_test_fault_LDADD    = $(unit_ldadd)

tests_test_foreign_CPPFLAGS = $(unit_cppflags)
tests_test_foreign_CFLAGS   = $(unit_cflags)
tests_test_foreign_LDADD    = $(unit_ldadd)

tests_test_fork_CPPFLAGS = $(unit_cppflags)
tests_test_fork_CFLAGS   = $(unit_cflags)
tests_test_fork_LDADD    = $(unit_ldadd)

tests_test_frame_CPPFLAGS = $(unit_cppflags)
tests_test_frame_CFLAGS   = $(unit_cflags)
tests_test_frame_LDADD    = $(unit_ldadd)

tests_test_heap_CPPFLAGS = $(unit_cppflags)
tests_test_heap_CFLAGS   = $(unit_cflags)
tests_test_heap_LDADD    = $(unit_ldadd)

tests_test_http_CPPFLAGS = $(unit_cppflags)
tests_test_http_CFLAGS   = $(unit_cflags)
tests_test_http_LDADD    = $(unit_ldadd)

tests_test_io_CPPFLAGS = $(unit_cppflags)
tests_test_io_CFLAGS   = $(unit_cflags)
tests_test_io_LDADD    = $(unit_ldadd)

tests_test_lock_CPPFLAGS = $(unit_cppflags)
tests_test_lock_CFLAGS   = $(unit_cflags)
tests_test_lock_LDADD    = $(unit_ldadd)

tests_test_numbers_CPPFLAGS = $(unit_cppflags)
tests_test_numbers_CFLAGS   = $(unit_cflags)
tests_test_numbers_LDADD    = $(unit_ldadd)

tests_test_options_CPPFLAGS = $(unit_cppflags)
tests_test_options_CFLAGS   = $(unit_cflags)
tests_test_options_LDADD    = $(unit_ldadd)

tests_test_output_CPPFLAGS = $(unit_cppflags)
tests_test_output_CFLAGS   = $(unit_cflags)
tests_test_output_LDADD    = $(unit_ldadd)

tests_test_page_CPPFLAGS = $(unit_cppflags)
tests_test_page_CFLAGS   = $(unit_cflags)
tests_test_page_LDADD    = $(unit_ldadd)

tests_test_page_size_CPPFLAGS = $(unit_cppflags)
tests_test_page_size_CFLAGS   = $(unit_cflags)
tests_test_page_size_LDADD    = $(unit_ldadd)

tests_test_pass_CPPFLAGS = $(unit_cppflags)
tests_test_pass_CFLAGS   = $(unit_cflags)
tests_test_pass_LDADD    = $(unit_ldadd)

tests_test_pool_CPPFLAGS = $(unit_cppflags)
tests_test_pool_CFLAGS   = $(unit_cflags)
tests_test_pool_LDADD    = $(unit_ldadd)
EXTRA_DIST              += tests/models/pool.pml

tests_test_pool_buffer_CPPFLAGS = $(unit_cppflags)
tests_test_pool_buffer_CFLAGS   = $(unit_cflags)
tests_test_pool_buffer_LDADD    = $(unit_ldadd)

tests_test_pool_fork_CPPFLAGS = $(unit_cppflags)
tests_test_pool_fork_CFLAGS   = $(unit_cflags)
tests_test_pool_fork_LDADD    = $(unit_ldadd)

tests_test_pool_threads_CPPFLAGS = $(unit_cppflags)
tests_test_pool_threads_CFLAGS   = $(unit_cflags)
tests_test_pool_threads_LDADD    = $(unit_ldadd)

tests_test_ref_CPPFLAGS = $(unit_cppflags)
tests_test_ref_CFLAGS   = $(unit_cflags)
tests_test_ref_LDADD    = $(unit_ldadd)

tests_test_region_CPPFLAGS = $(unit_cppflags)
tests_test_region_CFLAGS   = $(unit_cflags)
tests_test_region_LDADD    = $(unit_ldadd)

tests_test_remote_CPPFLAGS = $(unit_cppflags)
tests_test_remote_CFLAGS   = $(unit_cflags)
tests_test_remote_LDADD    = $(unit_ldadd)

tests_test_report_CPPFLAGS = $(unit_cppflags)
tests_test_report_CFLAGS   = $(unit_cflags)
tests_test_report_LDADD    = $(unit_ldadd)

tests_test_sample_CPPFLAGS = $(unit_cppflags)
tests_test_sample_CFLAGS   = $(unit_cflags)
tests_test_sample_LDADD    = $(unit_ldadd)

tests_test_sizeclass_CPPFLAGS = $(unit_cppflags)
tests_test_sizeclass_CFLAGS   = $(unit_cflags)
tests_test_sizeclass_LDADD    = $(unit_ldadd)

tests_test_slab_CPPFLAGS = $(unit_cppflags)
tests_test_slab_CFLAGS   = $(unit_cflags)
tests_test_slab_LDADD    = $(unit_ldadd)

tests_test_slice_CPPFLAGS = $(unit_cppflags)
tests_test_slice_CFLAGS   = $(unit_cflags)
tests_test_slice_LDADD    = $(unit_ldadd)

tests_test_slice_random_CPPFLAGS = $(unit_cppflags)
tests_test_slice_random_CFLAGS   = $(unit_cflags)
tests_test_slice_random_LDADD    = $(unit_ldadd)

tests_test_slices_CPPFLAGS = $(unit_cppflags)
tests_test_slices_CFLAGS   = $(unit_cflags)
tests_test_slices_LDADD    = $(unit_ldadd)

tests_test_stats_CPPFLAGS = $(unit_cppflags)
tests_test_stats_CFLAGS   = $(unit_cflags)
tests_test_stats_LDADD    = $(unit_ldadd)

tests_test_thread_CPPFLAGS = $(unit_cppflags)
tests_test_thread_CFLAGS   = $(unit_cflags)
tests_test_thread_LDADD    = $(unit_ldadd)

tests_test_track_CPPFLAGS = $(unit_cppflags)
tests_test_track_CFLAGS   = $(unit_cflags)
tests_test_track_LDADD    = $(unit_ldadd)

tests_test_verdict_CPPFLAGS = $(unit_cppflags)
tests_test_verdict_CFLAGS   = $(unit_cflags)
tests_test_verdict_LDADD    = $(unit_ldadd)

tests_test_watch_CPPFLAGS = $(unit_cppflags)
tests_test_watch_CFLAGS   = $(unit_cflags)
tests_test_watch_LDADD    = $(unit_ldadd)

tests_test_zerocopy_CPPFLAGS = $(unit_cppflags)
tests_test_zerocopy_CFLAGS   = $(unit_cflags)
tests_test_zerocopy_LDADD    = $(unit_ldadd)

endif HAVE_CHECK

dist_check_SCRIPTS += tests/run_models.sh
TESTS              += tests/run_models.sh

EXTRA_DIST += \
	tests/models/cells.pml \
	tests/models/count.pml \
	tests/models/remote.pml \
	tests/starve.h \
	tests/unit.h \
	tests/unit_pool.h \
	tests/unit_report.h \
	tests/unit_slices.h
