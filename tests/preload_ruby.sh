#!/usr/bin/env bash
# ruby: threads, fork, compaction of the heap, strings, JSON, compression, and child processes.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require RUBY ruby

cat >work.rb <<'SCRIPT'
require 'digest'
require 'json'
require 'open3'
require 'zlib'

def digest(value) = Digest::SHA256.hexdigest(value.inspect)[0, 16]

def churn(seed, rounds)
  live = {}
  state = seed
  total = 0
  rounds.times do
    state = (state * 1103515245 + 12345) & 0x7fffffff
    slot = state % 499
    old = live.delete(slot)
    total = (total * 31 + old.bytesize + old.getbyte(0)) & 0xffffffff if old
    live[slot] = (65 + state % 26).chr * (1 + (state >> 8) % (1 << (4 + state % 10)))
  end
  live.keys.sort.each { |slot| total = (total * 31 + Zlib.crc32(live[slot])) & 0xffffffff }
  total
end

puts "churn #{churn(1, 40_000)}"
puts "threads #{digest((1..8).map { |s| Thread.new { churn(s, 4000) } }.map(&:value))}"

queue = SizedQueue.new(20)
consumer = Thread.new do
  sum = 0
  while (item = queue.pop)
    sum += item[:text].size + item[:list].sum
  end
  sum
end
(1..3).map { |n| Thread.new { 500.times { |i| queue << { text: 'y' * (i * n), list: (0..i % 40).to_a } } } }.each(&:join)
queue << nil
puts "queue #{consumer.value}"

tree = (0...3000).to_h { |i| ["k#{i}", Array.new(i % 30) { |j| { 'n' => j, 's' => 'ü' * j, 'f' => j / 3.0 } }] }
text = JSON.generate(tree)
puts "json #{JSON.parse(text) == tree} #{digest(text)}"
puts "zlib #{Zlib::Inflate.inflate(Zlib::Deflate.deflate(text)).force_encoding('UTF-8') == text}"
puts "scan #{digest(text.scan(/"n":(\d+),"s":"(ü*)"/).each_slice(97).map(&:first))}"
puts "gsub #{digest(text.gsub(/(\d)(\d)/, '\2\1'))}"
puts "big #{digest(3**20_000)} #{digest((2**5000).to_s)}"
puts "sort #{digest((0...30_000).map { |i| "s#{i * 7919 % 30_011}" }.sort_by { |s| [s.size, s] })}"

GC.start
GC.compact if GC.respond_to?(:compact)
GC.start
puts "after compaction #{digest(tree['k2999'])}"

pids = (1..8).map do |n|
  fork { exit!(JSON.generate(tree.select { |k, _| k.size == 4 }).size.positive? && churn(n, 2000).positive? ? n % 3 : 9) }
end
puts "fork #{pids.map { |pid| Process.wait2(pid)[1].exitstatus }.join}"
5.times do
  out, status = Open3.capture2('cat', stdin_data: text)
  raise 'child' unless status.success? && out.force_encoding('UTF-8') == text
end
fiber = Fiber.new { 300.times { |i| Fiber.yield('z' * i) } }
puts "fibers #{(1..300).sum { fiber.resume.size }}"
puts "subprocess #{text.size}"
warn "mapped #{File.read('/proc/self/maps').include?(ARGV[0])}"
SCRIPT
preloaded "$RUBY" work.rb "$QUARRY_LIB" >first.out 2>first.err
grep -q '^mapped true' first.err
run_both_ok work "$RUBY" work.rb /no/such/library
assert_same work.preloaded.out first.out
