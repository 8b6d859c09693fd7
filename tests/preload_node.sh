#!/usr/bin/env bash
# node: worker threads, child processes, buffers, compression and cryptography on the thread pool, JSON.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require NODE node

cat >work.js <<'SCRIPT'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { execFileSync, fork } = require('child_process');
const { promisify } = require('util');
const crypto = require('crypto');
const fs = require('fs');
const zlib = require('zlib');

const digest = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);

// Buffers live outside the garbage-collected heap, in malloc's.
function churn(seed, rounds) {
    const live = new Map();
    let state = seed, total = 0;
    for (let i = 0; i < rounds; i++) {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        const slot = state % 499, old = live.get(slot);
        if (old) total = (Math.imul(total, 31) + old.length + old[0]) >>> 0;
        live.set(slot, Buffer.alloc(1 + (state >> 8) % (1 << (6 + state % 12)), state & 255));
    }
    for (const slot of [...live.keys()].sort((a, b) => a - b))
        total = (Math.imul(total, 31) + live.get(slot).reduce((a, b) => (a + b) | 0, 0)) >>> 0;
    return total;
}

async function main() {
    console.log('churn', churn(1, 6000));

    const shared = new SharedArrayBuffer(64);
    const results = await Promise.all([1, 2, 3, 4].map((n) => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: { n, shared } });
        const moved = new ArrayBuffer(100000 * n);
        new Uint8Array(moved).fill(n);
        worker.postMessage(moved, [moved]);
        worker.once('message', resolve);
        worker.once('error', reject);
    })));
    console.log('workers', JSON.stringify(results), new Int32Array(shared)[0]);

    // Workers that are ended in the middle of their work.
    for (let i = 0; i < 4; i++) {
        const worker = new Worker('const a = []; for (;;) { a.push(Buffer.allocUnsafe(9000)); if (a.length > 99) a.length = 0; }',
            { eval: true });
        await new Promise((resolve) => worker.once('online', resolve));
        await worker.terminate();
    }
    console.log('terminated');

    const tree = {};
    for (let i = 0; i < 3000; i++)
        tree['k' + i] = Array.from({ length: i % 30 }, (_, j) => ({ n: j, s: 'é'.repeat(j), f: j / 3 }));
    const text = JSON.stringify(tree);
    console.log('json', JSON.stringify(JSON.parse(text)) === text, digest(text));
    const packed = await Promise.all([1, 5, 9].map((level) => promisify(zlib.deflate)(text, { level })));
    const back = await Promise.all(packed.map((p) => promisify(zlib.inflate)(p)));
    console.log('zlib', back.every((b) => b.toString() === text));
    const brotli = await promisify(zlib.brotliCompress)(text.slice(0, 60000));
    console.log('brotli', (await promisify(zlib.brotliDecompress)(brotli)).toString() === text.slice(0, 60000));
    const keys = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => promisify(crypto.pbkdf2)('p' + n, 'salt', 500, 32, 'sha512')));
    console.log('pbkdf2', digest(Buffer.concat(keys)));
    console.log('scrypt', digest(await promisify(crypto.scrypt)('password', 'salt', 64)));
    const files = await Promise.all(Array.from({ length: 20 }, async (_, n) => {
        await fs.promises.writeFile('f' + n, text.slice(n * 1000, n * 9000));
        return (await fs.promises.readFile('f' + n)).length;
    }));
    console.log('files', files.join(' '));

    const echoed = execFileSync('cat', { input: text, maxBuffer: 1 << 26 });
    console.log('execFile', echoed.toString() === text);
    const answers = await Promise.all([1, 2].map((n) => new Promise((resolve, reject) => {
        const child = fork(__filename, ['child']);
        child.once('message', (m) => { child.disconnect(); resolve(m); });
        child.once('error', reject);
        child.send({ n, text: text.slice(0, n * 10000) });
    })));
    console.log('fork', JSON.stringify(answers));
    console.error('mapped', fs.readFileSync('/proc/self/maps', 'utf8').includes(process.argv[2]));
}

if (!isMainThread && workerData) {
    parentPort.once('message', (moved) => {
        Atomics.add(new Int32Array(workerData.shared), 0, workerData.n);
        parentPort.postMessage([workerData.n, churn(workerData.n, 3000), digest(Buffer.from(moved))]);
        parentPort.close();
    });
} else if (process.argv[2] === 'child') {
    process.once('message', ({ n, text }) => process.send([n, digest(text), churn(n, 1000)]));
} else {
    main().catch((e) => { console.error(e); process.exit(1); });
}
SCRIPT
preloaded "$NODE" work.js "$QUARRY_LIB" >first.out 2>first.err
grep -q '^mapped true' first.err
run_both_ok work "$NODE" work.js /no/such/library
assert_same work.preloaded.out first.out
assert_equal 11 "$(wc -l <first.out)" "lines of results"
