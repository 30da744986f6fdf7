"""What the Python scripts share: they are told what to do by lines, and answer with lines.

Arguments: host, IMAPS port, CA file, user, password, mode.
"""

import ssl
import sys
import time

HOST, PORT, CA, USER, PASSWORD, MODE = sys.argv[1:7]
# Longer than anything takes that goes well.
PATIENCE = 30


def tls():
    return ssl.create_default_context(cafile=CA)


# What a client appends itself.
OWN = b"From: anna@example.org\r\nSubject: mine\r\n\r\nA line.\r\n"


def line(uid, flags):
    return " ".join([str(uid), *sorted(flags)])


class State:
    """What a client keeps while it is away: messages by UID with their flags, and how new they are."""

    def __init__(self):
        self.messages = {}
        self.uid_validity = None
        self.mod_seq = None

    def learn(self, uid, flags, mod_seq=None):
        """Takes note of a message, and says what is new about it."""
        if mod_seq and self.mod_seq:
            self.mod_seq = max(mod_seq, self.mod_seq)
        flags = set(flags) - {"\\Recent"}
        kind = "flagged" if uid in self.messages else "arrived"
        self.messages[uid] = flags
        return f"{kind} {line(uid, flags)}"

    def forget(self, uid):
        del self.messages[uid]
        return f"gone {uid}"

    def view(self):
        return [line(uid, flags) for uid, flags in sorted(self.messages.items())]


def members(uid_set):
    """The numbers in a set without `*`."""
    for part in uid_set.split(","):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


class Deadline:
    def __init__(self):
        self.end = time.monotonic() + PATIENCE

    def left(self):
        return max(0, self.end - time.monotonic())


def requests():
    """The verb of each request, and its arguments, which semicolons part."""
    for request in sys.stdin:
        verb, *arguments = request.rstrip("\n").split(";")
        yield verb, [argument.strip() for argument in arguments]


def answer(lines):
    print(*(lines or []), ".", sep="\n", flush=True)
