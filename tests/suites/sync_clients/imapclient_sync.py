"""IMAPClient keeps a mailbox in step.

Modes: `plain` looks at all messages again, `condstore` asks for flags that changed and searches for
what is gone, `qresync` asks for both at once.
"""

import logging

from imapclient import IMAPClient

from conversation import CA, HOST, MODE, OWN, PASSWORD, PATIENCE, PORT, USER
from conversation import Deadline, State, answer, members, requests, tls


class Wire(logging.Handler):
    """What the library says that it sent and received."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []

    def emit(self, record):
        text = record.getMessage()
        for mark, who in (("> ", "C: "), ("< ", "S: ")):
            if text.startswith(mark):
                text = text[2:].removeprefix("b'").removeprefix('b"')
                self.lines.append(who + text.rstrip("'\"").replace("\\\\", "\\"))

    def taken(self):
        lines, self.lines = self.lines, []
        return lines


ITEMS = ["FLAGS"] if MODE == "plain" else ["FLAGS", "MODSEQ"]


def mod_seq(data):
    return data.get(b"MODSEQ", (None,))[0]


class Session:
    def __init__(self):
        self.state = State()
        self.client = None
        # UIDs by message number, for what the server tells by number.
        self.order = []

    def connect(self, port):
        self.client = IMAPClient(HOST, int(port), ssl_context=tls(), timeout=PATIENCE)
        self.client.login(USER, PASSWORD)
        if MODE != "plain":
            assert self.client.enable(MODE.upper())
        return self.client.select_folder("INBOX")

    def open(self):
        selected = self.connect(PORT)
        self.state.uid_validity = selected[b"UIDVALIDITY"]
        known = self.client.search("ALL")
        self.fetched(self.client.fetch(known, ITEMS))
        self.keep(selected)
        return self.state.view()

    def resume(self, port):
        selected = self.connect(port)
        assert selected[b"UIDVALIDITY"] == self.state.uid_validity
        everything = range(1, selected[b"UIDNEXT"])
        if MODE == "plain":
            present = self.client.fetch(self.client.search("ALL"), ITEMS)
            told = self.removed(set(self.state.messages) - set(present))
            told += self.fetched(present, unchanged=True)
        else:
            since = f"CHANGEDSINCE {self.state.mod_seq}"
            modifiers = [since, "VANISHED"] if MODE == "qresync" else [since]
            changed = self.client.fetch(everything, ITEMS, modifiers)
            told = self.gone(changed) + self.fetched(changed)
        self.keep(selected)
        return told

    def gone(self, changed):
        if MODE == "qresync":
            vanished = self.client._imap.untagged_responses.pop("VANISHED", [])
            earlier = [piece.removeprefix(b"(EARLIER) ").decode() for piece in vanished]
            return self.removed(set().union(*map(members, earlier)) & set(self.state.messages))
        return self.removed(set(self.state.messages) - set(self.client.search("ALL")))

    def removed(self, uids):
        return [self.state.forget(uid) for uid in sorted(uids)]

    def fetched(self, messages, unchanged=False):
        told = []
        for uid, data in messages.items():
            flags = {flag.decode() for flag in data[b"FLAGS"]} - {"\\Recent"}
            if not (unchanged and self.state.messages.get(uid) == flags):
                told.append(self.state.learn(uid, flags, mod_seq(data)))
        return told

    def keep(self, selected):
        self.state.mod_seq = selected.get(b"HIGHESTMODSEQ")
        self.order = sorted(self.state.messages)

    def idle(self):
        self.client.idle()

    def settle(self, expected):
        deadline = Deadline()
        while self.state.view() != expected and deadline.left():
            pushed = self.client.idle_check(timeout=deadline.left())
            arrived = any([self.push(response) for response in pushed])
            if arrived:
                # What has arrived is fetched outside of IDLE, as its flags are not pushed.
                _, pushed = self.client.idle_done()
                for response in pushed:
                    self.push(response)
                new = self.client.search(["UID", f"{max(self.order) + 1}:*"])
                new = [uid for uid in new if uid not in self.order]
                self.fetched(self.client.fetch(new, ITEMS))
                self.order += sorted(new)
                self.client.idle()
        _, pushed = self.client.idle_done()
        for response in pushed:
            self.push(response)

    def push(self, response):
        """Takes a response of IDLE; says whether messages have arrived."""
        if response[0] == b"VANISHED":
            uids = str(response[1], "ascii") if isinstance(response[1], bytes) else str(response[1])
            for uid in members(uids):
                self.state.forget(uid)
                self.order.remove(uid)
        elif response[1] == b"EXPUNGE":
            self.state.forget(self.order.pop(response[0] - 1))
        elif response[1] == b"EXISTS":
            return response[0] > len(self.order)
        elif response[1] == b"FETCH" and response[0] <= len(self.order):
            data = dict(zip(response[2][::2], response[2][1::2]))
            flags = {flag.decode() for flag in data[b"FLAGS"]}
            self.state.learn(self.order[response[0] - 1], flags, mod_seq(data))
        return False

    def act(self, flagged, moved, expunged):
        self.client.add_flags([flagged], ["$Mine"])
        self.client.move([moved], "Archive")
        self.client.delete_messages([expunged])
        self.client.uid_expunge([expunged])
        self.client.append("INBOX", OWN, ["\\Draft"])

    def leave(self):
        self.client.logout()


def main():
    wire = Wire()
    logging.getLogger("imapclient").setLevel(logging.DEBUG)
    logging.getLogger("imapclient").addHandler(wire)
    session = Session()
    for verb, arguments in requests():
        if verb == "view":
            answer(session.state.view())
        elif verb == "wire":
            answer(wire.taken())
        elif verb == "settle":
            answer(session.settle(arguments))
        else:
            answer(getattr(session, verb)(*arguments))


main()
