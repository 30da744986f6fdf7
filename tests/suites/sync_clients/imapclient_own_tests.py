"""The tests that IMAPClient brings for servers.

Arguments: host, IMAPS port, CA file, user, password, mode (not used).
"""

import copy
import pathlib
import sys
import tempfile
import unittest

from imapclient import livetest
from imapclient.config import parse_config_file

from conversation import CA, HOST, PASSWORD, PORT, USER

# What says nothing about a server that is right, by class and test.
LEFT_OUT = {
    ("TestGeneral", "test_subscriptions"): "wants no names that are no mailboxes, RFC 3501 §6.3.6 MAY",
    ("TestSocketTimeout", "test_small_connection_timeout_fail"): "wants a server that is far away",
    ("TestSocketTimeout", "test_small_read_timeout_fail"): "wants a server that is far away",
    ("TestWithUIDs", "test_getacl"): "takes its own configuration for a dictionary",
    ("TestWithoutUIDs", "test_getacl"): "takes its own configuration for a dictionary",
    ("TestWithUIDs", "test_fetch"): "compares an Envelope as if it were a sequence",
    ("TestWithoutUIDs", "test_fetch"): "compares an Envelope as if it were a sequence",
    ("TestWithoutUIDs", "test_move"): "calls what Python's imaplib has not",
}

with tempfile.TemporaryDirectory() as directory:
    ini = pathlib.Path(directory, "livetest.ini")
    ini.write_text(
        f"[DEFAULT]\nhost={HOST}\nport={PORT}\nusername={USER}\npassword={PASSWORD}\n"
        f"ssl=true\nssl_ca_file={CA}\n"
    )
    config = parse_config_file(str(ini))
config.namespace = livetest.probe_host(config)
livetest.TestGeneral.conf = config
livetest.TestSocketTimeout.conf = copy.copy(config)
classes = {
    "TestGeneral": livetest.TestGeneral,
    "TestSocketTimeout": livetest.TestSocketTimeout,
    "TestWithUIDs": livetest.createUidTestClass(config, use_uid=True),
    "TestWithoutUIDs": livetest.createUidTestClass(config, use_uid=False),
}
suite = unittest.TestSuite()
for name, kind in classes.items():
    for test in unittest.defaultTestLoader.getTestCaseNames(kind):
        if (name, test) not in LEFT_OUT:
            suite.addTest(kind(test))
result = unittest.TextTestRunner(verbosity=2).run(suite)
assert result.testsRun - len(result.skipped) >= 35, "most of it was skipped"
sys.exit(not result.wasSuccessful())
