"""aioimaplib keeps a mailbox in step, by IDLE and, in the mode `qresync`, by SELECT with QRESYNC.

The mode `plain` looks at all messages again.
"""

import ast
import asyncio
import logging
import re

import aioimaplib

from conversation import CA, HOST, MODE, OWN, PASSWORD, PATIENCE, PORT, USER
from conversation import Deadline, State, answer, members, requests, tls

FETCH = re.compile(rb"(\d+) FETCH \((.*)\)$")
UID = re.compile(rb"UID (\d+)")
FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
MODSEQ = re.compile(rb"MODSEQ \((\d+)\)")
ITEMS = "(FLAGS)" if MODE == "plain" else "(FLAGS MODSEQ)"


def mod_seq(data):
    found = MODSEQ.search(data)
    return int(found[1]) if found else None


class Wire(logging.Handler):
    """What the library says that it sent and received."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.said = {"C: ": b"", "S: ": b""}
        self.lines = []

    def emit(self, record):
        text = record.getMessage()
        for mark, who in (("Sending : ", "C: "), ("Received : ", "S: ")):
            if text.startswith(mark):
                octets = self.said[who] + ast.literal_eval(text.removeprefix(mark))
                *whole, self.said[who] = octets.split(b"\r\n")
                self.lines += [who + line.decode() for line in whole]

    def taken(self):
        lines, self.lines = self.lines, []
        return lines


class Session:
    def __init__(self):
        self.state = State()
        self.client = None
        # UIDs by message number, for what the server tells by number.
        self.order = []
        self.idling = None

    async def connect(self, port, parameter=""):
        self.client = aioimaplib.IMAP4_SSL(HOST, int(port), timeout=PATIENCE, ssl_context=tls())
        await self.client.wait_hello_from_server()
        self.ok(await self.client.login(USER, PASSWORD))
        if MODE == "qresync":
            self.ok(await self.client.enable("QRESYNC"))
        return self.ok(await self.client.select(f"INBOX{parameter}"))

    def ok(self, response):
        assert response.result == "OK", response
        return response.lines

    async def open(self):
        selected = await self.connect(PORT)
        await self.everything()
        self.keep(selected)
        return self.state.view()

    async def everything(self):
        lines = self.ok(await self.client.uid("fetch", "1:*", ITEMS))
        return self.changed(lines)

    async def resume(self, port):
        if MODE == "qresync":
            known = f"{self.state.uid_validity} {self.state.mod_seq}"
            selected = await self.connect(port, f" (QRESYNC ({known}))")
            told = self.vanished(selected) + self.changed(selected)
        else:
            selected = await self.connect(port)
            before = dict(self.state.messages)
            self.state.messages.clear()
            await self.everything()
            told = self.differences(before)
        self.keep(selected)
        return told

    def differences(self, before):
        now, self.state.messages = self.state.messages, before
        told = [self.state.forget(uid) for uid in sorted(set(before) - set(now))]
        for uid, flags in now.items():
            if before.get(uid) != flags:
                told.append(self.state.learn(uid, flags))
        return told

    def vanished(self, lines):
        told = []
        for line in lines:
            if line.startswith(b"VANISHED "):
                uids = line.decode().split(" ")[-1]
                known = set(members(uids)) & set(self.state.messages)
                told += [self.state.forget(uid) for uid in sorted(known)]
        return told

    def changed(self, lines):
        told = []
        for line in lines:
            if fetched := FETCH.match(line):
                uid = int(UID.search(fetched[2])[1])
                flags = FLAGS.search(fetched[2])[1].decode().split()
                told.append(self.state.learn(uid, flags, mod_seq(fetched[2])))
        return told

    def keep(self, selected):
        text = b"\n".join(selected)
        for name in ("uid_validity", "mod_seq"):
            code = {"uid_validity": b"UIDVALIDITY", "mod_seq": b"HIGHESTMODSEQ"}[name]
            if found := re.search(rb"\[%s (\d+)\]" % code, text):
                setattr(self.state, name, int(found[1]))
        self.order = sorted(self.state.messages)

    async def idle(self):
        self.idling = await self.client.idle_start(timeout=PATIENCE)

    async def done(self):
        self.client.idle_done()
        await asyncio.wait_for(self.idling, PATIENCE)
        while not self.client.protocol.idle_queue.empty():
            self.push(self.client.protocol.idle_queue.get_nowait())

    async def settle(self, expected):
        deadline = Deadline()
        while self.state.view() != expected and deadline.left():
            pushed = await self.client.wait_server_push(timeout=deadline.left())
            if pushed == aioimaplib.STOP_WAIT_SERVER_PUSH:
                break
            if self.push(pushed):
                # What has arrived is fetched outside of IDLE, as its flags are not pushed.
                await self.done()
                new = f"{max(self.order) + 1}:*"
                self.changed(self.ok(await self.client.uid("fetch", new, ITEMS)))
                self.order = sorted(self.state.messages)
                await self.idle()
        await self.done()

    def push(self, lines):
        """Takes what IDLE pushed; says whether messages have arrived."""
        arrived = False
        for line in lines if isinstance(lines, list) else []:
            number, _, kind = line.partition(b" ")
            if number == b"VANISHED":
                self.vanished([line])
                self.order = [uid for uid in self.order if uid in self.state.messages]
            elif kind == b"EXPUNGE":
                self.state.forget(self.order.pop(int(number) - 1))
            elif kind == b"EXISTS":
                arrived = int(number) > len(self.order)
            elif kind.startswith(b"FETCH ") and int(number) <= len(self.order):
                flags = FLAGS.search(kind)[1].decode().split()
                self.state.learn(self.order[int(number) - 1], flags, mod_seq(kind))
        return arrived

    async def act(self, flagged, moved, expunged):
        self.ok(await self.client.uid("store", flagged, "+FLAGS", "($Mine)"))
        self.ok(await self.client.uid("move", moved, "Archive"))
        self.ok(await self.client.uid("store", expunged, "+FLAGS", r"(\Deleted)"))
        self.ok(await self.client.uid("expunge", expunged))
        self.ok(await self.client.append(OWN, "INBOX", r"\Draft"))

    async def leave(self):
        self.ok(await self.client.logout())


async def main():
    wire = Wire()
    logging.getLogger("aioimaplib").setLevel(logging.DEBUG)
    logging.getLogger("aioimaplib").addHandler(wire)
    session = Session()
    for verb, arguments in requests():
        if verb == "view":
            answer(session.state.view())
        elif verb == "wire":
            answer(wire.taken())
        elif verb == "settle":
            answer(await session.settle(arguments))
        else:
            answer(await getattr(session, verb)(*arguments))


asyncio.run(main())
