"""Python's imaplib does what a mail program does, over three kinds of connection.

Arguments: host, IMAP port, IMAPS port, CA file, user, password.
"""

import imaplib
import re
import ssl
import sys
import time

HOST, IMAP, IMAPS, CA, USER, PASSWORD = sys.argv[1:7]
MESSAGE = (
    b"From: Anna <anna@example.org>\r\nTo: ben@example.org\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <one@example.org>\r\n"
    b"\r\nA line.\r\n.\r\n..two dots\r\nno newline at the end"
)


def ok(answer, what):
    status, data = answer
    assert status == "OK", f"{what}: {status} {data}"
    return data


def connections():
    context = ssl.create_default_context(cafile=CA)
    yield "clear", imaplib.IMAP4(HOST, int(IMAP))
    upgraded = imaplib.IMAP4(HOST, int(IMAP))
    ok(upgraded.starttls(context), "STARTTLS")
    yield "STARTTLS", upgraded
    yield "TLS", imaplib.IMAP4_SSL(HOST, int(IMAPS), ssl_context=context)


def exercise(kind, imap):
    ok(imap.login(USER, PASSWORD), "LOGIN")
    box = f'"Python/{kind} &- B&APw-cher"'
    ok(imap.create(box), "CREATE")
    ok(imap.subscribe(box), "SUBSCRIBE")
    names = b" ".join(ok(imap.list(), "LIST"))
    assert f"Python/{kind} &- B&APw-cher".encode() in names, names
    assert b"&APw-" in b" ".join(ok(imap.lsub('""', "*"), "LSUB"))

    when = imaplib.Time2Internaldate(1_000_000_000)
    data = ok(imap.append(box, r"(\Seen $Label1)", when, MESSAGE), "APPEND")
    assert re.search(rb"APPENDUID \d+ 1", data[0]), data
    ok(imap.append(box, None, None, MESSAGE.replace(b"one@", b"two@")), "APPEND")

    assert ok(imap.select(box), "SELECT") == [b"2"]
    data = ok(imap.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE)"), "FETCH")[0]
    assert b"\\Seen" in data and b"$Label1" in data, data
    assert b"RFC822.SIZE %d" % len(MESSAGE) in data, data
    assert time.mktime(imaplib.Internaldate2tuple(data)) == 1_000_000_000, data
    assert ok(imap.fetch("1", "(BODY.PEEK[])"), "FETCH")[0][1] == MESSAGE
    assert ok(imap.fetch("1", "(BODY.PEEK[TEXT]<2.4>)"), "FETCH")[0][1] == b"line"
    header = ok(imap.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"), "FETCH")[0][1]
    assert header == b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n", header
    assert b"<one@example.org>" in ok(imap.fetch("1", "(ENVELOPE BODYSTRUCTURE)"), "FETCH")[0]

    assert ok(imap.search(None, "UNSEEN"), "SEARCH") == [b"2"]
    assert ok(imap.search(None, "HEADER", "Message-ID", "two@"), "SEARCH") == [b"2"]
    imap.literal = "GRÜSSE".encode()
    assert ok(imap.search("UTF-8", "SUBJECT"), "SEARCH CHARSET") == [b"1 2"]
    assert ok(imap.search(None, "NOT", "SINCE", "1-Jan-2010"), "SEARCH") == [b"1"]

    data = ok(imap.store("2", "+FLAGS", r"(\Flagged \Deleted)"), "STORE")
    assert b"\\Flagged" in data[0], data
    ok(imap.create(f"Python/{kind}"), "CREATE")
    ok(imap.copy("1:2", f"Python/{kind}"), "COPY")
    assert ok(imap.expunge(), "EXPUNGE") == [b"2"]
    assert ok(imap.search(None, "ALL"), "SEARCH") == [b"1"]
    data = ok(imap.status(f"Python/{kind}", "(MESSAGES UNSEEN UIDNEXT)"), "STATUS")
    assert b"MESSAGES 2 UNSEEN 1 UIDNEXT 3" in data[0], data
    ok(imap.unselect(), "UNSELECT")
    ok(imap.rename(f"Python/{kind}", f"Python/{kind}-renamed"), "RENAME")
    assert imap.select("no-such-mailbox")[0] == "NO"
    ok(imap.delete(box), "DELETE")
    assert imap.logout()[0] == "BYE"


for name, connection in connections():
    exercise(name, connection)

failing = imaplib.IMAP4(HOST, int(IMAP))
try:
    failing.login("demo@localhost", "not the password")
except imaplib.IMAP4.error as error:
    assert "AUTHENTICATIONFAILED" in str(error), error
else:
    raise AssertionError("a wrong password was accepted")
print("ok")
