# The preload tests: real, unmodified programs under LD_PRELOAD, one script each (included by tests/local.mk). They need
# QUARRY_LIB in the environment and skip themselves when the program is not installed.
preload_tests = \
	tests/preload_bash.sh \
	tests/preload_clang.sh \
	tests/preload_cmake.sh \
	tests/preload_compressors.sh \
	tests/preload_coreutils.sh \
	tests/preload_deepbind.sh \
	tests/preload_exit_stats.sh \
	tests/preload_gcc.sh \
	tests/preload_gdb.sh \
	tests/preload_ghostscript.sh \
	tests/preload_git.sh \
	tests/preload_groff.sh \
	tests/preload_gxx.sh \
	tests/preload_java.sh \
	tests/preload_lua.sh \
	tests/preload_memcached.sh \
	tests/preload_nginx.sh \
	tests/preload_node.sh \
	tests/preload_openssl.sh \
	tests/preload_perl.sh \
	tests/preload_php.sh \
	tests/preload_python3.sh \
	tests/preload_qemu.sh \
	tests/preload_redis.sh \
	tests/preload_ruby.sh \
	tests/preload_rustc.sh \
	tests/preload_sqlite3.sh \
	tests/preload_tar_xz.sh \
	tests/preload_text.sh \
	tests/preload_valgrind.sh \
	tests/preload_vim.sh \
	tests/preload_z3.sh

if WITH_LIBRARY
TESTS += $(preload_tests)
endif

EXTRA_DIST += $(preload_tests) tests/preload-lib.sh
