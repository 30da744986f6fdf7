// ImapFlow logs in with a token, by OAUTHBEARER and by XOAUTH2, and says what is in INBOX.
//
// Arguments: IMAPS port, CA file, user, token.

import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [port, ca, user, accessToken] = process.argv.slice(2);
const { ImapFlow } = createRequire(`${process.env.PILLARBOX_NODE}/`)('imapflow');

// The library expects it to be there, as it is since Node 19.
globalThis.crypto ??= webcrypto;

for (const hidden of ['AUTH=XOAUTH2', 'AUTH=OAUTHBEARER']) {
    const client = new ImapFlow({
        host: 'localhost',
        port: Number(port),
        secure: true,
        auth: { user, accessToken },
        tls: { ca: readFileSync(ca) },
        logger: false,
    });
    // It takes the first that the server has: the other is kept from it.
    const authenticate = client.authenticate.bind(client);
    client.authenticate = () => {
        client.capabilities.delete(hidden);
        return authenticate();
    };
    try {
        await client.connect();
    } catch (error) {
        if (!error.authenticationFailed) {
            throw error;
        }
        console.log('refused');
        continue;
    }
    await client.mailboxOpen('INBOX', { readOnly: true });
    for await (const message of client.fetch('1:*', { envelope: true })) {
        console.log(message.envelope.subject);
    }
    await client.logout();
}
