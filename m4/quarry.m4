# Small checks for configure.ac.

# QY_CHECK_CFLAG(FLAG, [IF-YES], [IF-NO]): does the C compiler take FLAG without so much as a warning?
AC_DEFUN([QY_CHECK_CFLAG],
[AC_MSG_CHECKING([whether $CC accepts $1])
qy_save_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror $1"
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[int quarry_probe;]])], [qy_flag_ok=yes], [qy_flag_ok=no])
CFLAGS=$qy_save_CFLAGS
AC_MSG_RESULT([$qy_flag_ok])
AS_IF([test "$qy_flag_ok" = yes], [m4_default([$2], [:])], [m4_default([$3], [:])])])

# QY_CHECK_LDFLAG(FLAGS, [IF-YES], [IF-NO]): do compiler and linker make a program with FLAGS?
AC_DEFUN([QY_CHECK_LDFLAG],
[AC_MSG_CHECKING([whether $CC links with $1])
qy_save_LDFLAGS=$LDFLAGS
LDFLAGS="$LDFLAGS $1"
AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [qy_flag_ok=yes], [qy_flag_ok=no])
LDFLAGS=$qy_save_LDFLAGS
AC_MSG_RESULT([$qy_flag_ok])
AS_IF([test "$qy_flag_ok" = yes], [m4_default([$2], [:])], [m4_default([$3], [:])])])

# QY_BENCH_PEER(VARIABLE, MODULE, DEBIAN-PACKAGE): one that is missing is left out of make bench-buffers.
AC_DEFUN([QY_BENCH_PEER],
[PKG_CHECK_MODULES([$1], [$2], [qy_have_$1=yes],
    [qy_have_$1=no
     AC_MSG_NOTICE([$2 not found (Debian: apt-get install $3): make bench-buffers will leave it out])])
AM_CONDITIONAL([HAVE_$1], [test "x$qy_have_$1" = xyes])])
