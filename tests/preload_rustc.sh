#!/usr/bin/env bash
# rustc and cargo: build and run a program offline, all preloaded. The compiler carries a malloc of its own, which the
# preloaded library replaces; the compiled program uses the system's, from several threads.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

# rustup's front ends find the toolchain through the user's home.
export RUSTUP_HOME=${RUSTUP_HOME:-$REAL_HOME/.rustup} CARGO_HOME=$WORK/cargo-home
[ -d "$RUSTUP_HOME" ] || unset RUSTUP_HOME
require RUSTC rustc
"$RUSTC" --version >/dev/null 2>&1 || skip "rustc does not run here"
require_compiler # rustc links with cc

cat >main.rs <<'SOURCE'
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::thread;

#[repr(align(512))]
struct Wide([u8; 512]);

fn work(seed: u64) -> u64 {
    let mut state = seed;
    let mut words: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for i in 0..20_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        words.entry(format!("word {}", state >> 53)).or_default().push(i);
        if i % 7 == 0 {
            words.pop_first();
        }
    }
    words.iter().fold(0, |sum, (w, p)| sum * 31 % 1_000_003 + w.len() as u64 + p.iter().sum::<u64>())
}

fn main() {
    let (sender, receiver) = mpsc::channel();
    let threads: Vec<_> = (1..=4)
        .map(|n| {
            let sender = sender.clone();
            thread::spawn(move || {
                for i in 0..500usize {
                    sender.send(vec![n as u8; i * 3]).unwrap();
                }
                work(n)
            })
        })
        .collect();
    drop(sender);
    let received: usize = receiver.iter().map(|v| v.len()).sum();
    let sums: Vec<u64> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let wide: Vec<Box<Wide>> = (0..100).map(|i| Box::new(Wide([i; 512]))).collect();
    let aligned = wide.iter().all(|w| &**w as *const Wide as usize % 512 == 0 && w.0[511] == w.0[0]);
    let zeroed = vec![0u8; 5_000_000];
    let mut map = HashMap::new();
    for i in 0..50_000u32 {
        map.insert(i, i.to_string());
        map.remove(&(i / 3));
    }
    let mut grown = String::new();
    for _ in 0..300_000 {
        grown.push('é');
    }
    println!("{received} {sums:?} {aligned} {} {} {}", zeroed.iter().all(|&b| b == 0), map.len(), grown.len());
    std::panic::set_hook(Box::new(|_| eprintln!("a panic")));
    assert!(std::panic::catch_unwind(|| panic!("on purpose")).is_err());
}
SOURCE
preloaded "$RUSTC" --edition 2021 -O -g -o program main.rs
assert_preloadable ./program
run_both_ok run ./program
grep -q '^1497000 \[.*\] true true [0-9]* 600000$' run.preloaded.out

if CARGO=$(find_elf cargo); then
    mkdir -p crate/src
    cp main.rs crate/src/main.rs
    printf '[package]\nname = "crate"\nversion = "0.1.0"\nedition = "2021"\n' >crate/Cargo.toml
    (cd crate && preloaded "$CARGO" build --offline --quiet -j 2) || fail "cargo build"
    preloaded crate/target/debug/crate >cargo.out 2>/dev/null
    assert_same run.plain.out cargo.out
fi
