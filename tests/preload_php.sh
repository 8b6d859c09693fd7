#!/usr/bin/env bash
# php: its extensions are opened with RTLD_DEEPBIND, which sends their calls of malloc past a preloaded library: memory
# then comes from one allocator and goes to another. Loads every extension that is installed and uses several.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require PHP php

cat >work.php <<'PHP'
<?php
function digest($value) { return substr(hash('sha256', serialize($value)), 0, 16); }

$live = []; $state = 42; $total = 0;
for ($i = 0; $i < 60000; $i++) {
    $state = ($state * 1103515245 + 12345) & 0x7fffffff;
    $slot = $state % 499;
    if (isset($live[$slot])) $total = ($total * 31 + strlen($live[$slot])) & 0xffffffff;
    $live[$slot] = str_repeat(chr(65 + $state % 26), 1 + ($state >> 8) % (1 << (4 + $state % 9)));
}
echo "churn $total ", digest($live), "\n";
$tree = [];
for ($i = 0; $i < 2000; $i++) for ($j = 0; $j < $i % 20; $j++) $tree["k$i"][] = ['n' => $j, 's' => str_repeat('é', $j)];
$back = json_decode(json_encode($tree), true);
echo "json ", digest($back), ' ', $back == $tree ? 'same' : 'differs', "\n";
echo "regex ", digest(preg_replace_callback('/(\d)(\d)/', fn($m) => $m[2] . $m[1], json_encode($tree))), "\n";
foreach ([fn() => function_exists('iconv') ? digest(iconv('UTF-8', 'UTF-16LE', str_repeat('grüße', 5000))) : '',
          fn() => function_exists('ctype_alpha') ? ctype_alpha('abc') : '',
          fn() => function_exists('mb_strtoupper') ? digest(mb_strtoupper(str_repeat('grüße ', 3000))) : '',
          fn() => function_exists('gzcompress') ? digest(gzuncompress(gzcompress(json_encode($tree)))) : ''] as $i => $try)
    echo "extension $i ", $try(), "\n";
if (class_exists('DOMDocument')) {
    $document = new DOMDocument();
    $document->loadXML('<r>' . str_repeat('<a b="c"><d>text &amp; more</d></a>', 3000) . '</r>');
    $path = new DOMXPath($document);
    echo "dom ", $path->query('//a[@b="c"]/d')->length, ' ', digest($document->saveXML()), "\n";
    @$document->loadHTML('<p>unclosed<b>bold');
    echo "html ", digest($document->saveHTML()), ' ', count(libxml_get_errors()), "\n";
}
if (class_exists('SimpleXMLElement')) {
    $x = simplexml_load_string('<r><a>1</a><a>2</a></r>');
    for ($i = 0; $i < 500; $i++) $x->addChild('a', "$i");
    echo "simplexml ", count($x->a), "\n";
}
if (class_exists('PDO') && in_array('sqlite', PDO::getAvailableDrivers())) {
    $db = new PDO('sqlite::memory:');
    $db->exec('CREATE TABLE t (i INTEGER, s TEXT)');
    $insert = $db->prepare('INSERT INTO t VALUES (?, ?)');
    for ($i = 0; $i < 2000; $i++) $insert->execute([$i, str_repeat('x', $i % 300)]);
    echo "pdo ", digest($db->query('SELECT sum(i), sum(length(s)), group_concat(s) FROM t')->fetchAll()), "\n";
}
if (class_exists('FFI')) {
    // Memory from libc's strdup, freed through the other handle.
    $c = FFI::cdef('char *strdup(const char *); void free(void *);');
    for ($i = 0; $i < 100; $i++) { $p = $c->strdup("text $i"); $last = FFI::string($p); $c->free($p); }
    echo "ffi $last\n";
}
if (function_exists('readline_add_history')) {
    for ($i = 0; $i < 100; $i++) readline_add_history("line $i");
    readline_clear_history();
    echo "readline\n";
}
if (function_exists('openssl_digest')) echo "openssl ", openssl_digest('text', 'sha256'), "\n";
if (function_exists('pcntl_fork')) {
    for ($n = 0; $n < 4; $n++) {
        if (!($pid = pcntl_fork())) { $live = array_map('strrev', $live); exit($n); }
        pcntl_waitpid($pid, $status);
        echo "child ", pcntl_wexitstatus($status), "\n";
    }
}
setlocale(LC_ALL, 'C');
putenv('QUARRY_TEST_VARIABLE=value');
echo getenv('QUARRY_TEST_VARIABLE'), ' ', count(get_loaded_extensions()) > 0 ? 'extensions' : 'none', "\n";
fwrite(STDERR, 'mapped ' . (strpos(file_get_contents('/proc/self/maps'), $argv[1]) !== false ? 'yes' : 'no') . "\n");
PHP
preloaded "$PHP" -d opcache.enable_cli=1 -d ffi.enable=1 work.php "$QUARRY_LIB" >first.out 2>first.log ||
    fail "php does not run"
grep -q '^mapped yes' first.log
run_both_ok work "$PHP" -d opcache.enable_cli=0 -d ffi.enable=1 work.php /no/such/library
assert_same work.plain.out first.out
run_both_ok modules "$PHP" -m
run_both_ok lint "$PHP" -l work.php
