// ImapFlow finds out which folder is for what.
//
// Arguments: host, IMAPS port, CA file, user, password, mode.

import { webcrypto } from 'node:crypto';
import { deepStrictEqual } from 'node:assert';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [host, port, ca, user, pass] = process.argv.slice(2);
const { ImapFlow } = createRequire(`${process.env.PILLARBOX_NODE}/`)('imapflow');

// The library expects it to be there, as it is since Node 19.
globalThis.crypto ??= webcrypto;

const client = new ImapFlow({
    host,
    port: Number(port),
    secure: true,
    tls: { ca: readFileSync(ca) },
    auth: { user, pass },
    logger: false,
});
await client.connect();
for (const name of ['Sent Items', 'Drafts', 'Work']) {
    await client.mailboxCreate(name);
}
const uses = {};
for (const { path, specialUse, specialUseSource } of await client.list()) {
    if (path !== 'INBOX' && specialUse) {
        uses[path] = [specialUse, specialUseSource];
    }
}
deepStrictEqual(uses, {
    Drafts: ['\\Drafts', 'extension'],
    'Sent Items': ['\\Sent', 'extension'],
});
await client.logout();
