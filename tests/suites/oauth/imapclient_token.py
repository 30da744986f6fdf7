"""IMAPClient logs in with a token, by OAUTHBEARER and by XOAUTH2, and says what is in INBOX.

Arguments: IMAPS port, CA file, user, token.
"""

import ssl
import sys

from imapclient import IMAPClient
from imapclient.exceptions import LoginError

port, ca, user, token = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)
for way in ("oauthbearer_login", "oauth2_login"):
    client = IMAPClient("localhost", int(port), ssl_context=tls, timeout=30)
    try:
        getattr(client, way)(user, token)
    except LoginError:
        print("refused")
        continue
    client.select_folder("INBOX", readonly=True)
    for data in client.fetch(client.search(), ["ENVELOPE"]).values():
        print(data[b"ENVELOPE"].subject.decode())
    client.logout()
