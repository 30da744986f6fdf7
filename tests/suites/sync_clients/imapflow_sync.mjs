// ImapFlow keeps a mailbox in step, with what it uses of its own accord: COMPRESS, CONDSTORE or
// QRESYNC, IDLE.
//
// Arguments: host, IMAPS port, CA file, user, password, mode. It is told what to do by lines, and
// answers with lines and a dot. Modes: `plain` looks at all messages again, `condstore` asks for
// flags that changed and searches for what is gone, `qresync` is told both by SELECT.

import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [host, firstPort, ca, user, pass, mode] = process.argv.slice(2);
const { ImapFlow } = createRequire(`${process.env.PILLARBOX_NODE}/`)('imapflow');
// Longer than anything takes that goes well.
const PATIENCE = 30_000;

// The library expects it to be there, as it is since Node 19.
globalThis.crypto ??= webcrypto;

let wire = [];
// Messages by UID, with their flags.
const messages = new Map();
// UIDs by message number, for what the server tells by number.
let order = [];
let kept = {};
let client;
// What the library has told of its own accord since it was last asked.
let told = [];
let arrived = false;
let changed = () => {};

const without = (flags, name) => new Set([...flags].filter(flag => flag !== name));
const line = (uid, flags) => [uid, ...[...flags].sort()].join(' ');
const uids = () => [...messages.keys()].sort((a, b) => a - b);
const view = () => uids().map(uid => line(uid, messages.get(uid)));

function learn(uid, flags, modSeq) {
    if (modSeq > kept.changedSince) {
        kept.changedSince = modSeq;
    }
    flags = without(flags, '\\Recent');
    told.push(`${messages.has(uid) ? 'flagged' : 'arrived'} ${line(uid, flags)}`);
    messages.set(uid, flags);
}

function forget(uid) {
    if (messages.delete(uid)) {
        told.push(`gone ${uid}`);
    }
    order = order.filter(known => known !== uid);
}

const level = entry => {
    if (entry.msg && ['c', 's'].includes(entry.src)) {
        wire.push(`${entry.src.toUpperCase()}: ${entry.msg}`);
    }
};
const logger = Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error'].map(name => [name, level]));

async function connect(port) {
    client = new ImapFlow({
        host,
        port: Number(port),
        secure: true,
        tls: { ca: readFileSync(ca) },
        auth: { user, pass },
        logger,
        qresync: mode === 'qresync',
        disableAutoEnable: mode === 'plain',
        disableAutoIdle: true
    });
    client.on('flags', event => {
        const uid = event.uid ?? order[event.seq - 1];
        if (uid) {
            learn(uid, event.flags, event.modseq);
        }
        changed();
    });
    client.on('expunge', event => {
        forget(event.uid ?? order[event.seq - 1]);
        changed();
    });
    client.on('exists', event => {
        arrived ||= event.count > order.length;
        changed();
    });
    await client.connect();
}

async function fetchAll(range, options) {
    const items = { uid: true, flags: true };
    for await (const { uid, flags, modseq } of client.fetch(range, items, { uid: true, ...options })) {
        const before = messages.get(uid);
        if (options?.changedSince || !before || line(uid, before) !== line(uid, without(flags, '\\Recent'))) {
            learn(uid, flags, modseq);
        }
    }
}

function keep() {
    order = uids();
    arrived = false;
    kept = { uidValidity: client.mailbox.uidValidity, changedSince: client.mailbox.highestModseq };
}

const does = {
    async open() {
        await connect(firstPort);
        await client.mailboxOpen('INBOX');
        await fetchAll('1:*');
        keep();
        return view();
    },
    async resume([port]) {
        await connect(port);
        told = [];
        const selected = await client.mailboxOpen('INBOX', mode === 'qresync' ? kept : {});
        if (selected.uidValidity !== kept.uidValidity) {
            throw new Error('another UIDVALIDITY');
        }
        if (mode !== 'qresync') {
            const present = new Set(await client.search({ all: true }, { uid: true }));
            uids().filter(uid => !present.has(uid)).forEach(forget);
            await fetchAll('1:*', mode === 'condstore' ? { changedSince: kept.changedSince } : {});
        }
        keep();
        return told;
    },
    async idle() {
        // It never comes back by itself; the next command ends it.
        const from = wire.length;
        client.idle();
        const started = () => wire.slice(from).some(said => said.startsWith('S: +'));
        while (!started()) {
            await new Promise(resolve => setImmediate(resolve));
        }
    },
    async settle(expected) {
        const end = Date.now() + PATIENCE;
        while (view().join(';') !== expected.join(';') && Date.now() < end) {
            if (arrived) {
                arrived = false;
                await fetchAll(`${Math.max(...order) + 1}:*`);
                order = uids();
                client.idle();
            } else {
                await new Promise(resolve => {
                    changed = resolve;
                    setTimeout(resolve, end - Date.now()).unref();
                });
            }
        }
        // Ends IDLE.
        await client.noop();
    },
    view,
    wire() {
        const lines = wire;
        wire = [];
        return lines;
    },
    compressed() {
        return [String(Boolean(client._deflate && client._inflate))];
    },
    async act([flagged, moved, expunged]) {
        const done = [
            await client.messageFlagsAdd(flagged, ['$Mine'], { uid: true }),
            await client.messageMove(moved, 'Archive', { uid: true }),
            await client.messageDelete(expunged, { uid: true }),
            await client.append('INBOX', 'From: anna@example.org\r\nSubject: mine\r\n\r\nA line.\r\n', ['\\Draft'])
        ];
        if (!done.every(Boolean)) {
            throw new Error(`not done: ${JSON.stringify(done)}`);
        }
    },
    async leave() {
        await client.logout();
    }
};

for await (const request of createInterface({ input: process.stdin })) {
    const [verb, ...rest] = request.split(';').map(part => part.trim());
    const answer = await does[verb](rest);
    process.stdout.write([...(answer ?? []), '.', ''].join('\n'));
}
