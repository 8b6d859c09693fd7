// JavaScript at work on records and bytes: objects live in the engine's own heap; buffers, compression and long strings
// are what reaches malloc. Usage: records.js COUNT
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');

let seed = 7;

function draw(limit) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >> 8) % limit;
}

let check = 0;
for (let number = 0; number < Number(process.argv[2]); number++) {
    const items = Array.from({length: 20 + draw(40)}, () => ({part: 'part-' + draw(5000), count: draw(9) + 1}));
    const text = JSON.stringify({customer: 'customer ' + draw(1000), items});
    const buffer = Buffer.alloc(8192 + draw(60000), text);
    const packed = zlib.deflateRawSync(buffer.subarray(0, 8192), {level: 1});
    const copy = Buffer.concat([buffer.subarray(0, draw(8192)), packed]);
    check += zlib.inflateRawSync(packed).length + copy.length % 7;
    check += crypto.createHash('md5').update(copy).digest()[0];
    check += JSON.parse(text).items.length + copy.toString('latin1').length % 11;
}
console.log(check);
