"""IMAPClient finds out which folder is for what, by SPECIAL-USE and by XLIST."""

from imapclient import IMAPClient
from imapclient.imapclient import JUNK, SENT, TRASH

from conversation import CA, HOST, PASSWORD, PATIENCE, PORT, USER
from conversation import tls

client = IMAPClient(HOST, int(PORT), ssl_context=tls(), timeout=PATIENCE)
client.login(USER, PASSWORD)
for name in ("Entw\u00fcrfe", "Sent Items", "Spam"):
    client.create_folder(name)
# It has no parameters for CREATE itself.
status, _ = client._imap._simple_command("CREATE", "Bin", r"(USE (\Trash))")
assert status == "OK"
assert client.find_special_folder(SENT) == "Sent Items"
assert client.find_special_folder(JUNK) == "Spam"
assert client.find_special_folder(TRASH) == "Bin"
listed = {name: flags for flags, _, name in client.list_folders()}
assert b"\\Sent" in listed["Sent Items"], listed
found = {name: flags for flags, _, name in client.xlist_folders()}
assert b"\\Inbox" in found["INBOX"], found
assert b"\\Spam" in found["Spam"], found
assert b"\\Sent" in found["Sent Items"], found
client.rename_folder("Sent Items", "Gesendet")
assert client.find_special_folder(SENT) == "Gesendet"
client.logout()
