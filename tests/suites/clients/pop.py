"""Python's poplib reads a maildrop and compares every octet with the files.

Arguments: host, POP3 port, POP3S port, CA file, user, password, Maildir.
"""

import hashlib
import pathlib
import poplib
import ssl
import sys

HOST, POP3, POP3S, CA, USER, PASSWORD, MAILDIR = sys.argv[1:8]
poplib._MAXLINE = 1 << 20


def crlf(data):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def on_disk():
    files = [f for d in ("cur", "new") for f in (pathlib.Path(MAILDIR) / d).iterdir()]
    return sorted(hashlib.sha256(crlf(f.read_bytes())).hexdigest() for f in files)


def connections():
    context = ssl.create_default_context(cafile=CA)
    yield poplib.POP3(HOST, int(POP3))
    upgraded = poplib.POP3(HOST, int(POP3))
    assert upgraded.stls(context).startswith(b"+OK")
    yield upgraded
    yield poplib.POP3_SSL(HOST, int(POP3S), context=context)


def retrieve(pop, number, octets):
    lines = pop.retr(number)[1]
    whole = b"\r\n".join(lines) + b"\r\n"
    # poplib cannot tell whether the last line had its line end: the octet count can.
    if len(whole) != octets:
        whole = whole[:-2]
    assert len(whole) == octets, f"message {number}: {len(whole)} octets, {octets} announced"
    return whole


def login(pop):
    assert "UIDL" in pop.capa()
    pop.user(USER)
    pop.pass_(PASSWORD)
    return pop


uidls = set()
for pop in connections():
    login(pop)
    count, octets = pop.stat()
    sizes = dict(map(int, line.split()) for line in pop.list()[1])
    assert len(sizes) == count and sum(sizes.values()) == octets
    uidls.add(tuple(pop.uidl()[1]))
    digests = []
    for number, size in sizes.items():
        message = retrieve(pop, number, size)
        digests.append(hashlib.sha256(message).hexdigest())
        head = message.split(b"\r\n\r\n")[0]
        assert b"\r\n".join(pop.top(number, 0)[1]).rstrip(b"\r\n") == head, number
    assert sorted(digests) == on_disk(), "a message differs from its file"
    pop.quit()
assert len(uidls) == 1, "unique-ids differ between sessions"

pop = login(poplib.POP3(HOST, int(POP3)))
before = pop.stat()[0]
try:
    login(poplib.POP3(HOST, int(POP3)))
except poplib.error_proto as error:
    assert "[IN-USE]" in str(error), error
else:
    raise AssertionError("a second session got the maildrop")
pop.dele(1)
pop.rset()
pop.dele(2)
pop.quit()
pop = login(poplib.POP3(HOST, int(POP3)))
assert pop.stat()[0] == before - 1, "DELE and QUIT did not delete"
assert tuple(line.split()[1] for line in pop.uidl()[1]) == tuple(
    line.split()[1] for i, line in enumerate(next(iter(uidls))) if i != 1
), "unique-ids changed"
pop.quit()

for name in ("apop", "rpop"):
    pop = poplib.POP3(HOST, int(POP3))
    try:
        getattr(pop, name)(USER, PASSWORD) if name == "apop" else pop.rpop(USER)
    except poplib.error_proto:
        pass
    else:
        raise AssertionError(f"{name} was accepted")
print("ok")
