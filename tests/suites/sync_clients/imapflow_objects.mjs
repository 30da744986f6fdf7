// ImapFlow knows messages, threads and mailboxes again by their identifiers (OBJECTID), after they
// were copied, moved and renamed, and by another connection.
//
// Arguments: host, IMAPS port, CA file, user, password, mode (not used).

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [host, port, ca, user, pass] = process.argv.slice(2);
const { ImapFlow } = createRequire(`${process.env.PILLARBOX_NODE}/`)('imapflow');
globalThis.crypto ??= webcrypto;

async function connect() {
    const client = new ImapFlow({
        host,
        port: Number(port),
        secure: true,
        tls: { ca: readFileSync(ca) },
        auth: { user, pass },
        logger: false
    });
    await client.connect();
    return client;
}

async function ids(client, mailbox) {
    await client.mailboxOpen(mailbox);
    const found = [];
    for await (const { uid, emailId, threadId } of client.fetch('1:*', { uid: true, threadId: true })) {
        assert.match(emailId, /^M[0-9a-f]{32}$/);
        assert.match(threadId, /^[TA][0-9a-f]{32}$/);
        found.push({ uid, emailId, threadId });
    }
    return found;
}

const mail = (id, more = '') => `Message-ID: <${id}@example.org>\r\n${more}Subject: s\r\n\r\nText ${id}.\r\n`;
const client = await connect();
const created = await client.mailboxCreate('Objects');
assert.match(created.mailboxId, /^F[0-9a-f]{32}$/);
await client.append('Objects', mail('a'));
await client.append('Objects', mail('b', 'References: <a@example.org>\r\n'));
await client.append('Objects', mail('c'));
const [a, b, c] = await ids(client, 'Objects');
assert.equal(client.mailbox.mailboxId, created.mailboxId);
assert.equal(new Set([a, b, c].map(({ emailId }) => emailId)).size, 3);
assert.equal(a.threadId, b.threadId);
assert.notEqual(a.threadId, c.threadId);
assert.deepEqual(await client.search({ emailId: b.emailId }, { uid: true }), [b.uid]);
assert.deepEqual(await client.search({ threadId: a.threadId }, { uid: true }), [a.uid, b.uid]);

const other = await client.mailboxCreate('Other');
assert.notEqual(other.mailboxId, created.mailboxId);
await client.messageCopy(String(a.uid), 'Other', { uid: true });
await client.messageMove(String(b.uid), 'Other', { uid: true });
await client.mailboxClose();
await client.mailboxRename('Objects', 'Renamed');
await client.logout();

const again = await connect();
const known = list => list.map(({ emailId, threadId }) => `${emailId} ${threadId}`);
assert.deepEqual(known(await ids(again, 'Renamed')), known([a, c]));
assert.equal(again.mailbox.mailboxId, created.mailboxId);
assert.deepEqual(known(await ids(again, 'Other')), known([a, b]));
assert.equal(again.mailbox.mailboxId, other.mailboxId);
await again.logout();
