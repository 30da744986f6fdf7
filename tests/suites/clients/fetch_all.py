"""Every message of an INBOX over IMAP and POP3, octet for octet as its file in CRLF form.

Arguments: host, IMAP port, POP3 port, user, password, Maildir.
"""

import collections
import hashlib
import imaplib
import pathlib
import poplib
import sys

HOST, IMAP, POP3, USER, PASSWORD, MAILDIR = sys.argv[1:7]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def crlf(data):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


files = [f for d in ("cur", "new") for f in (pathlib.Path(MAILDIR) / d).iterdir()]
contents = [crlf(f.read_bytes()) for f in files]
expected = collections.Counter(map(digest, contents))

imap = imaplib.IMAP4(HOST, int(IMAP))
imap.login(USER, PASSWORD)
status, data = imap.select("INBOX", readonly=True)
assert data == [b"%d" % len(files)], data
status, data = imap.fetch("1:*", "(RFC822.SIZE BODY.PEEK[])")
assert status == "OK", status
found = [item for item in data if isinstance(item, tuple)]
for head, body in found:
    assert b"RFC822.SIZE %d " % len(body) in head, (head, len(body))
assert collections.Counter(digest(body) for _, body in found) == expected, "IMAP differs"
imap.logout()

# POP3 cannot show whether the last line had a line end; compare with one added.
ended = collections.Counter(digest(c if c.endswith(b"\r\n") else c + b"\r\n") for c in contents)
pop = poplib.POP3(HOST, int(POP3))
pop.user(USER)
pop.pass_(PASSWORD)
count = pop.stat()[0]
assert count == len(files), count
got = collections.Counter(
    digest(b"\r\n".join(pop.retr(number)[1]) + b"\r\n") for number in range(1, count + 1)
)
assert got == ended, "POP3 differs"
pop.quit()
print("ok")
