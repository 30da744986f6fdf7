//! A server that is killed at any moment of APPEND, COPY, MOVE and EXPUNGE knows afterwards what there
//! is, at once.

use pillarbox_tests::client::Client;
use pillarbox_tests::random::Random;
use pillarbox_tests::serve::{Serve, Setup};

use super::{Usage, told};

/// How often it is killed.
const KILLS: u64 = 12;

#[test]
fn usage_is_right_after_a_kill() {
    let setup = Setup {
        tables: "[quota]\nstorage = \"1 GiB\"\nmessages = 100000\nmaildirsize = true\n".to_owned(),
        ..Setup::default()
    };
    let mut server = Serve::start(&setup).unwrap();
    let root = server.maildir("ann");
    let mut random = Random::new(1);
    Client::imap(&server, "ann").ok("CREATE Other");
    for kill in 0..KILLS {
        let mut client = Client::selected(&server, "ann");
        let mut batch = String::new();
        for number in 0..40u64 {
            let octets = 100 + random.below(2000);
            batch += &match random.below(6) {
                0 => format!("c{number} UID COPY 1:* Other\r\n"),
                1 => format!("m{number} UID MOVE * Other\r\n"),
                2 => {
                    format!("s{number} STORE 1 +FLAGS.SILENT (\\Deleted)\r\ne{number} EXPUNGE\r\n")
                }
                _ => format!(
                    "a{number} APPEND INBOX {{{octets}+}}\r\n{}\r\n",
                    "x".repeat(octets)
                ),
            };
        }
        client.send(&batch);
        for _ in 0..random.below(40) {
            client.line();
        }
        server.kill().unwrap();
        server = server.restart().unwrap();
        let mut client = Client::imap(&server, "ann");
        // What was left unfinished is finished by the first look.
        let answer = told(&mut client);
        let disk = Usage::on_disk(&root);
        assert_eq!(
            answer,
            [disk.octets.div_ceil(1024), disk.messages],
            "kill {kill}"
        );
        // And it goes on from there.
        client.ok("APPEND Other {3+}\r\nx\r\n");
        let disk = Usage::on_disk(&root);
        assert_eq!(told(&mut client)[1], disk.messages, "kill {kill}");
    }
}
