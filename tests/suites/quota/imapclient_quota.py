"""IMAPClient asks for quotas, sets them, and is refused what has no room.

Arguments: host and IMAP port.
"""

import sys

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError
from imapclient.imapclient import Quota

HOST, PORT = sys.argv[1:3]
ROOT = "#user/ann@localhost"
STORAGE = Quota(ROOT, "STORAGE", 3, 100)
MESSAGE = Quota(ROOT, "MESSAGE", 2, 50)

with IMAPClient(HOST, int(PORT), ssl=False, timeout=60) as client:
    client.login("ann", "pw")
    assert client.has_capability("QUOTA")
    assert client.has_capability("QUOTASET")
    assert client.get_quota() == [STORAGE, MESSAGE], client.get_quota()
    roots, quotas = client.get_quota_root("INBOX")
    assert (roots.mailbox, roots.quota_roots) == ("INBOX", [ROOT]), roots
    assert quotas == [STORAGE, MESSAGE], quotas

    client.set_quota([Quota(ROOT, "STORAGE", 0, 4)])
    assert client.get_quota() == [Quota(ROOT, "STORAGE", 3, 4)]
    try:
        client.append("INBOX", b"x" * 1097)
    except IMAPClientError as error:
        assert "OVERQUOTA" in str(error), error
    else:
        raise AssertionError("an octet too many")
    client.append("INBOX", b"x" * 1096)

    client.select_folder("INBOX")
    client.delete_messages([1, 2])
    status = client.folder_status("INBOX", ["MESSAGES", "DELETED", "DELETED-STORAGE"])
    assert status == {b"MESSAGES": 3, b"DELETED": 2, b"DELETED-STORAGE": 3000}, status
    client.expunge()
    assert client.get_quota() == [Quota(ROOT, "STORAGE", 2, 4)]

print("done")
