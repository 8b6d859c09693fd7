# Black-box tests: ordinary programs that know nothing of Quarry run with it preloaded; misuse programs must end in a
# deliberate abort; shell tests do what needs preparation. The helpers for real programs and the unit tests have fragments of
# their own, included at the end.
#
# run_test.sh decides by a program's name how it is run (abort_*, test_*, all others); the shell tests run by themselves.
AM_LOG_FLAGS = $(top_srcdir)/tests/run_test.sh

blackbox_scripts = \
	tests/command_errors.sh \
	tests/command_page.sh \
	tests/command_redis.sh \
	tests/command_run.sh \
	tests/http_hostile.sh \
	tests/http_life.sh \
	tests/http_serve.sh \
	tests/memory_background.sh \
	tests/memory_background_fork.sh \
	tests/memory_small.sh \
	tests/options_help.sh \
	tests/options_live.sh \
	tests/options_only.sh \
	tests/options_silent.sh \
	tests/options_stats.sh \
	tests/options_unknown.sh \
	tests/options_value.sh \
	tests/profile_formats.sh \
	tests/profile_probes.sh \
	tests/profile_process.sh \
	tests/prof_broken.sh \
	tests/prof_convert.sh \
	tests/prof_diff.sh \
	tests/prof_symbols.sh \
	tests/readme_example.sh \
	tests/report_page.sh \
	tests/report_picture.sh \
	tests/reports_files.sh \
	tests/reports_json.sh \
	tests/reports_prom.sh \
	tests/reports_survive.sh \
	tests/reports_watch.sh \
	tests/sandbox_chroot.sh \
	tests/sandbox_rlimit_as.sh \
	tests/sandbox_rlimit_threads.sh \
	tests/sandbox_secure.sh \
	tests/start_dlclose.sh \
	tests/start_ifunc_library.sh \
	tests/start_runpath.sh \
	tests/track_clean.sh \
	tests/track_fork.sh \
	tests/track_leak.sh \
	tests/track_misuse.sh \
	tests/track_stats.sh

if WITH_LIBRARY

# The malloc family: what it returns, refuses and keeps.
family_programs = \
	tests/family_alignment_basic \
	tests/family_alignment_huge \
	tests/family_alignment_natural \
	tests/family_alignment_requested \
	tests/family_calloc_trimmed \
	tests/family_calloc_zero \
	tests/family_cfree \
	tests/family_einval \
	tests/family_enomem \
	tests/family_enomem_alignment \
	tests/family_free_errno \
	tests/family_free_sized \
	tests/family_getline \
	tests/family_libc_twins \
	tests/family_libc_users \
	tests/family_mallinfo \
	tests/family_malloc_info \
	tests/family_malloc_stats \
	tests/family_malloc_trim \
	tests/family_mallopt \
	tests/family_memalign_rounding \
	tests/family_page_aligned \
	tests/family_realloc_contents \
	tests/family_realloc_creeping \
	tests/family_realloc_failed \
	tests/family_realloc_large \
	tests/family_realloc_null \
	tests/family_realloc_random \
	tests/family_realloc_steps \
	tests/family_realloc_zero \
	tests/family_reallocarray \
	tests/family_symbols \
	tests/family_usable_size \
	tests/family_zero_size

# Random operations against a model; many threads.
stress_programs = \
	tests/stress_model \
	tests/stress_pipeline \
	tests/stress_refs \
	tests/stress_pool \
	tests/stress_relay

tests_stress_pool_LDADD = libquarry.la

# Birth, life and end of threads.
thread_programs = \
	tests/thread_cancelled \
	tests/thread_churn \
	tests/thread_crowd \
	tests/thread_destructor_leak \
	tests/thread_exit_live \
	tests/thread_exited_owner \
	tests/thread_key_destructors \
	tests/thread_main_leaves \
	tests/thread_refs \
	tests/thread_refs_twice \
	tests/thread_remote_bounded \
	tests/thread_sleeping_owner \
	tests/thread_small_stack

# fork in all its forms.
fork_programs = \
	tests/fork_atfork \
	tests/fork_atfork_early \
	tests/fork_atfork_threads \
	tests/fork_child_threads \
	tests/fork_clone \
	tests/fork_executes \
	tests/fork_handler \
	tests/fork_handler_continues \
	tests/fork_isolated \
	tests/fork_memory \
	tests/fork_misuse \
	tests/fork_refs \
	tests/fork_spawn \
	tests/fork_stdio \
	tests/fork_storm \
	tests/fork_vfork

# Before main: constructors, the loader, dlopen. And the end of the process.
start_programs = \
	tests/start_deepbind \
	tests/start_dlopen \
	tests/start_first_call \
	tests/start_ifunc \
	tests/start_loader_lock \
	tests/start_preinit \
	tests/start_root
end_programs = \
	tests/end_handlers \
	tests/end_signal \
	tests/end_threads

# Signals' handlers that allocate.
signal_programs = \
	tests/signal_pairs \
	tests/signal_steps

# Limits, refusals, little rights. Those that a script runs are listed further down.
sandbox_programs = \
	tests/sandbox_rlimit_data \
	tests/sandbox_rlimit_realloc \
	tests/sandbox_rlimit_set \
	tests/sandbox_seccomp \
	tests/sandbox_seccomp_idle \
	tests/sandbox_seccomp_madvise \
	tests/sandbox_seccomp_refused \
	tests/sandbox_seccomp_threads

# Memory goes back; the number of mappings is bounded.
memory_programs = \
	tests/memory_delayed \
	tests/memory_delayed_frees \
	tests/memory_returned_large \
	tests/memory_returned_small \
	tests/memory_returned_threads \
	tests/memory_vmas

# Misuse: one program each, which must end in a deliberate abort.
abort_programs = \
	tests/abort_double_free \
	tests/abort_double_free_aligned \
	tests/abort_double_free_at_exit \
	tests/abort_double_free_large \
	tests/abort_double_free_large_later \
	tests/abort_double_free_later \
	tests/abort_double_free_many \
	tests/abort_double_free_orphan \
	tests/abort_double_free_other_class \
	tests/abort_double_free_realloc \
	tests/abort_double_free_remote \
	tests/abort_double_free_remote_idle \
	tests/abort_double_free_remote_trimmed \
	tests/abort_double_free_room \
	tests/abort_double_free_trimmed \
	tests/abort_double_free_two_threads \
	tests/abort_double_free_zero \
	tests/abort_foreign_mmap \
	tests/abort_foreign_noncanonical \
	tests/abort_foreign_stack \
	tests/abort_foreign_static \
	tests/abort_foreign_text \
	tests/abort_foreign_thread \
	tests/abort_foreign_usable_size \
	tests/abort_foreign_wild \
	tests/abort_interior \
	tests/abort_interior_aligned \
	tests/abort_interior_eight \
	tests/abort_interior_large \
	tests/abort_interior_large_far \
	tests/abort_interior_large_one \
	tests/abort_interior_one \
	tests/abort_interior_page \
	tests/abort_interior_remote \
	tests/abort_interior_sixteen \
	tests/abort_interior_thread \
	tests/abort_never_handed_out \
	tests/abort_never_handed_out_at_exit \
	tests/abort_past_end \
	tests/abort_realloc_foreign \
	tests/abort_realloc_freed \
	tests/abort_realloc_freed_large \
	tests/abort_realloc_interior \
	tests/abort_realloc_stack \
	tests/abort_drop_large_twice \
	tests/abort_release_many \
	tests/abort_release_twice \
	tests/abort_retain_overflow

# These a script runs, with arguments, limits or files of its own.
scripted_programs = \
	tests/http_target \
	tests/live_target \
	tests/memory_idle \
	tests/options_target \
	tests/profile_target \
	tests/reports_target \
	tests/sandbox_rlimit_as \
	tests/sandbox_rlimit_threads \
	tests/sandbox_secure \
	tests/sandbox_workout \
	tests/start_dlclose \
	tests/start_ifunc_library \
	tests/start_runpath \
	tests/track_target

blackbox_programs = \
	$(family_programs) \
	$(stress_programs) \
	$(thread_programs) \
	$(fork_programs) \
	$(start_programs) \
	$(end_programs) \
	$(signal_programs) \
	$(sandbox_programs) \
	$(memory_programs) \
	$(abort_programs) \
	tests/start_order

check_PROGRAMS += $(blackbox_programs) $(scripted_programs)
TESTS          += $(blackbox_programs)

TESTS += $(blackbox_scripts)

# C++: the operators, containers, and libstdc++ that comes in late.
if HAVE_CXX
cxx_programs = \
	tests/cxx_bad_alloc \
	tests/cxx_containers \
	tests/cxx_forms \
	tests/cxx_handler_frees \
	tests/cxx_handler_throws \
	tests/cxx_nothrow \
	tests/cxx_objects \
	tests/cxx_thread_local \
	tests/abort_delete_foreign \
	tests/abort_delete_twice

check_PROGRAMS    += $(cxx_programs) tests/cxx_plugin
check_LTLIBRARIES += tests/cxx_plugin_module.la
TESTS             += $(cxx_programs) tests/cxx_plugin

tests_cxx_plugin_module_la_SOURCES = tests/cxx_plugin_module.cc
tests_cxx_plugin_module_la_LDFLAGS = $(module_ldflags)
tests_abort_delete_foreign_SOURCES = tests/abort_delete_foreign.cc
tests_abort_delete_twice_SOURCES = tests/abort_delete_twice.cc
tests_cxx_bad_alloc_SOURCES = tests/cxx_bad_alloc.cc
tests_cxx_containers_SOURCES = tests/cxx_containers.cc
tests_cxx_forms_SOURCES = tests/cxx_forms.cc
# clang knows the sized forms of delete only when told so.
tests_cxx_forms_CXXFLAGS = $(AM_CXXFLAGS) -fsized-deallocation
tests_cxx_handler_frees_SOURCES = tests/cxx_handler_frees.cc
tests_cxx_handler_throws_SOURCES = tests/cxx_handler_throws.cc
tests_cxx_nothrow_SOURCES = tests/cxx_nothrow.cc
tests_cxx_objects_SOURCES = tests/cxx_objects.cc
tests_cxx_thread_local_SOURCES = tests/cxx_thread_local.cc
endif HAVE_CXX

# Libraries that tests open. -rpath: without one libtool makes an archive instead of a library; nothing is installed there.
module_ldflags = -module -avoid-version -shared -rpath /nowhere

check_LTLIBRARIES += \
	tests/end_handlers_module.la \
	tests/fork_atfork_module.la \
	tests/start_deepbind_module.la \
	tests/start_dlopen_module.la \
	tests/start_loader_lock_module.la \
	tests/start_runpath_caller.la \
	tests/start_runpath_target.la

tests_end_handlers_module_la_SOURCES = tests/end_handlers_module.c
tests_end_handlers_module_la_LDFLAGS = $(module_ldflags)

tests_fork_atfork_module_la_SOURCES = tests/fork_atfork_module.c
tests_fork_atfork_module_la_LDFLAGS = $(module_ldflags)

tests_start_deepbind_module_la_SOURCES = tests/start_deepbind_module.c
tests_start_deepbind_module_la_LDFLAGS = $(module_ldflags)

tests_start_dlopen_module_la_SOURCES = tests/start_dlopen_module.c
tests_start_dlopen_module_la_LDFLAGS = $(module_ldflags)

tests_start_loader_lock_module_la_SOURCES = tests/start_loader_lock_module.c
tests_start_loader_lock_module_la_LDFLAGS = $(module_ldflags)

tests_start_runpath_caller_la_SOURCES = tests/start_runpath_caller.c
tests_start_runpath_caller_la_LDFLAGS = $(module_ldflags) -Wl,--enable-new-dtags '-Wl,-rpath,$$ORIGIN/beside'

tests_start_runpath_target_la_SOURCES = tests/start_runpath_target.c
tests_start_runpath_target_la_LDFLAGS = $(module_ldflags)

# Libraries that tests are linked with.
check_LTLIBRARIES += tests/libstart_order.la tests/libstart_ifunc.la

tests_libstart_order_la_SOURCES = tests/start_order_library.c
tests_libstart_order_la_LDFLAGS = -avoid-version -shared -rpath /nowhere -Wl,-z,initfirst
tests_start_order_LDADD         = tests/libstart_order.la

tests_libstart_ifunc_la_SOURCES = tests/start_ifunc_library_library.c
tests_libstart_ifunc_la_LDFLAGS = -avoid-version -shared -rpath /nowhere
tests_start_ifunc_library_LDADD = tests/libstart_ifunc.la

tests_start_runpath_LDFLAGS = $(AM_LDFLAGS) -Wl,--enable-new-dtags '-Wl,-rpath,$$ORIGIN/deps'
# A privileged program cannot be preloaded.
tests_sandbox_secure_LDADD  = libquarry.la

# References have names that a program must be linked for.
tests_abort_drop_large_twice_LDADD = libquarry.la
tests_abort_release_many_LDADD    = libquarry.la
tests_abort_release_twice_LDADD   = libquarry.la
tests_abort_retain_overflow_LDADD = libquarry.la
tests_family_getline_LDADD        = libquarry.la
tests_fork_refs_LDADD             = libquarry.la
tests_stress_refs_LDADD           = libquarry.la
tests_thread_refs_LDADD           = libquarry.la
tests_thread_refs_twice_LDADD     = libquarry.la
tests_track_target_LDADD          = libquarry.la
# The consumers of profiles look for symbols in it.
tests_profile_target_LDFLAGS      = $(AM_LDFLAGS) -no-install
# Read with nm: no script of libtool's.
tests_track_target_LDFLAGS        = $(AM_LDFLAGS) -no-install

# --- make check-soak: the long runs -------------------------------------------------------------------------------------

# Sixty seconds of forks from eight threads while eight others allocate, the model at length with three seeds, and processes that
# end in signals' handlers.
soak_environment = \
	$(AM_TESTS_ENVIRONMENT) TEST_TIMEOUT=600; export TEST_TIMEOUT;

check-soak: all tests/fork_storm$(EXEEXT) tests/stress_model$(EXEEXT) tests/end_signal$(EXEEXT)
	@$(soak_environment) FORK_SECONDS=$${FORK_SECONDS-60} FORK_THREADS=8 \
	    '$(top_srcdir)/tests/run_preloaded.sh' tests/fork_storm$(EXEEXT)
	@$(soak_environment) for seed in 1 2 3; do \
	    STRESS_SEED=$$seed STRESS_OPS=300000 STRESS_THREADS=8 \
	    '$(top_srcdir)/tests/run_preloaded.sh' tests/stress_model$(EXEEXT) || exit 1; \
	done
	@$(soak_environment) END_RUNS=2000 '$(top_srcdir)/tests/run_preloaded.sh' tests/end_signal$(EXEEXT)
	@CC='$(CC)' MODEL_SOAK=1 '$(top_srcdir)/tests/run_models.sh'
endif WITH_LIBRARY

# The statistics of every process of the tests with real programs.
check-states: all
	@$(AM_TESTS_ENVIRONMENT) '$(top_srcdir)/tests/check_states.sh'

.PHONY: check-soak check-states

# The C++ header, with the core: a unit test by its name.
if HAVE_CXX
check_PROGRAMS += tests/test_cxx_buffers
TESTS          += tests/test_cxx_buffers tests/cxx_header.sh

tests_test_cxx_buffers_SOURCES = tests/cxx_buffers.cc
tests_test_cxx_buffers_LDADD   = libquarry-core.la
endif HAVE_CXX

EXTRA_DIST += tests/cxx_header.sh

# Outside the condition, so that the package is complete however it was configured.
EXTRA_DIST += \
	$(blackbox_scripts) \
	tests/run_abort.sh \
	tests/run_preloaded.sh \
	tests/run_test.sh \
	tests/abort.h \
	tests/abort_threads.h \
	tests/atfork_early.h \
	tests/blackbox.h \
	tests/children.h \
	tests/command.sh \
	tests/http-lib.sh \
	tests/memory_returned.h \
	tests/options.sh \
	tests/profile.sh \
	tests/references.h \
	tests/report.sh \
	tests/report_check.py \
	tests/report_fixture.py \
	tests/reports-lib.sh \
	tests/reports_check.py \
	tests/check_states.sh \
	tests/sandbox.h \
	tests/sandbox_rlimit.h \
	tests/thread_churn.h \
	tests/thread_owner.h \
	tests/track.sh

# The tests with real programs, and the unit tests.
include tests/preload.mk
include tests/unit.mk
