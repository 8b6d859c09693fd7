#!/usr/bin/env bash
# java: javac and the virtual machine preloaded; threads, direct buffers and compression (both in malloc's memory), many
# classes, child processes. The library is looked for inside the running machine.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require JAVA java

cat >Work.java <<'SOURCE'
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Work {
    static String digest(byte[] data) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data), 0, 8);
    }

    // Direct buffers are malloc's; they are freed when the collector notices.
    static long churn(long seed, int rounds) {
        ByteBuffer[] live = new ByteBuffer[199];
        long sum = 0;
        for (int i = 0; i < rounds; i++) {
            seed = seed * 6364136223846793005L + 1442695040888963407L;
            int slot = (int) Long.remainderUnsigned(seed >>> 33, live.length);
            if (live[slot] != null) sum = sum * 31 + live[slot].get(live[slot].capacity() - 1);
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 + (int) (seed >>> 40) % 20000);
            buffer.put(buffer.capacity() - 1, (byte) (seed >>> 55));
            live[slot] = buffer;
        }
        return sum;
    }

    static byte[] squeeze(byte[] data, int level) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Deflater deflater = new Deflater(level);
        try (DeflaterOutputStream stream = new DeflaterOutputStream(out, deflater)) { stream.write(data); }
        deflater.end();
        return out.toByteArray();
    }

    public static void main(String[] args) throws Exception {
        String maps = Files.readString(Path.of("/proc/self/maps"));
        System.err.println("mapped " + maps.contains(args[0]));

        ExecutorService pool = Executors.newFixedThreadPool(6);
        List<Future<Long>> sums = new ArrayList<>();
        for (int n = 1; n <= 8; n++) { long seed = n; sums.add(pool.submit(() -> churn(seed, 2000))); }
        for (Future<Long> sum : sums) System.out.println("direct " + sum.get());

        byte[] text = IntStream.range(0, 30000).mapToObj(i -> "line " + i + " " + i * 7919 % 30011)
            .collect(Collectors.joining("\n")).getBytes();
        List<Future<Boolean>> same = new ArrayList<>();
        for (int n = 0; n < 12; n++) {
            int level = 1 + n % 9;
            same.add(pool.submit(() -> {
                InflaterInputStream in = new InflaterInputStream(new ByteArrayInputStream(squeeze(text, level)));
                return Arrays.equals(in.readAllBytes(), text);
            }));
        }
        for (Future<Boolean> s : same) if (!s.get()) throw new AssertionError("deflate");
        pool.shutdown();
        System.out.println("zlib " + digest(text));

        // Short-lived threads, each with a stack and memory of its own.
        for (int n = 0; n < 300; n++) { Thread t = new Thread(() -> churn(7, 3)); t.start(); if (n % 8 == 0) t.join(); }

        Map<String, List<Integer>> words = new TreeMap<>();
        for (int i = 0; i < 200000; i++) words.computeIfAbsent("w" + i * 31 % 2003, k -> new ArrayList<>()).add(i);
        System.out.println("words " + words.size() + " " + digest(words.toString().getBytes()));
        System.out.println("regex " + new String(text).replaceAll("(\\d)(\\d)", "$2$1").hashCode());

        for (int n = 0; n < 4; n++) {
            Process process = new ProcessBuilder("cat").start();
            try (OutputStream out = process.getOutputStream()) { out.write(text, 0, 50000); }
            byte[] back = process.getInputStream().readAllBytes();
            if (process.waitFor() != 0 || !Arrays.equals(back, Arrays.copyOf(text, 50000))) throw new AssertionError("child");
        }
        System.out.println("children done");
    }
}
SOURCE
options="-Xmx256m -XX:TieredStopAtLevel=1 -XX:-UsePerfData"
mkdir plain preloaded
if JAVAC=$(find_elf javac); then
    assert_preloadable "$JAVAC"
    preloaded "$JAVAC" -J-XX:TieredStopAtLevel=1 -d preloaded Work.java
    javac -d plain Work.java
    diff -r plain preloaded
else
    skip "no javac here"
fi
# shellcheck disable=SC2086,SC2153 # several options; JAVA comes from require
preloaded "$JAVA" $options -cp preloaded Work "$QUARRY_LIB" >first.out 2>first.err
grep -q '^mapped true' first.err
for collector in Parallel G1; do
    # shellcheck disable=SC2086
    preloaded "$JAVA" $options -XX:+Use${collector}GC -cp preloaded Work "$QUARRY_LIB" >$collector.out 2>$collector.log
    assert_same first.out $collector.out
done
# shellcheck disable=SC2086
run_both_ok work "$JAVA" $options -XX:+UseSerialGC -cp preloaded Work /no/such/library
assert_same first.out work.plain.out
