// ImapFlow asks for quotas, and is refused what has no room.
//
// Arguments: host and IMAP port.

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';

const [host, port] = process.argv.slice(2);
const { ImapFlow } = createRequire(`${process.env.PILLARBOX_NODE}/`)('imapflow');

// The library expects it to be there, as it is since Node 19.
globalThis.crypto ??= webcrypto;

const client = new ImapFlow({
    host,
    port: Number(port),
    secure: false,
    doSTARTTLS: false,
    auth: { user: 'ann', pass: 'pw' },
    logger: false,
});
await client.connect();
const before = await client.getQuota('INBOX');
assert.equal(before.path, 'INBOX');
assert.equal(before.quotaRoot, '#user/ann@localhost');
// In octets, as it multiplies by itself.
assert.equal(before.storage.usage, 3 * 1024);
assert.equal(before.storage.limit, 100 * 1024);
assert.equal(before.message.usage, 2);
assert.equal(before.message.limit, 50);

await assert.rejects(client.append('INBOX', Buffer.alloc(100 * 1024, 'x')), error => {
    assert.equal(error.serverResponseCode, 'OVERQUOTA');
    return true;
});
await client.append('INBOX', Buffer.alloc(1024, 'x'));
const after = await client.getQuota();
assert.equal(after.storage.usage, 4 * 1024);
await client.logout();
console.log('done');
