//! mutt and neomutt, whose header cache is what they know of a mailbox while they are away.
//!
//! Both have QRESYNC, and of both Debian's mutt alone is built with COMPRESS.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{have, in_terminal, output};

use crate::second::{Changes, PASSWORD, Second, USER};
use crate::wire::Wire;

/// Few, since what a pattern finds is fetched to be looked at.
const MESSAGES: u32 = 30;

/// One of the two, with a home of its own.
struct Mutt<'a> {
    program: &'static str,
    server: &'a Binary,
    home: PathBuf,
}

impl<'a> Mutt<'a> {
    fn new(program: &'static str, server: &'a Binary) -> Self {
        let home = server.dir().join(program);
        for part in ["headers", "bodies"] {
            fs::create_dir_all(home.join(part)).unwrap();
        }
        Self {
            program,
            server,
            home,
        }
    }

    /// Whether it was built with COMPRESS.
    fn compresses(&self) -> bool {
        let mut command = Command::new(self.program);
        let answer = command.args(["-n", "-F", "/dev/null", "-Q", "imap_deflate"]);
        output(answer).status.success()
    }

    /// Opens INBOX, does what these keys do, and leaves. Gives what went over the wire.
    fn visit(&self, keys: &str) -> Wire {
        let rc = self.home.join("rc");
        let compress = if self.compresses() {
            "set imap_deflate=yes"
        } else {
            ""
        };
        let text = format!(
            "set spoolfile=imaps://localhost:{port}/INBOX\nset folder=imaps://localhost:{port}/\n\
             set imap_user={USER}\nset imap_pass={PASSWORD}\nset certificate_file={ca}\n\
             set ssl_ca_certificates_file={ca}\nset header_cache={home}/headers/\n\
             set message_cachedir={home}/bodies/\nset tmpdir={home}\n{compress}\n\
             set imap_condstore=yes\nset imap_qresync=yes\nset record=\nset mark_old=no\nset delete=yes\n\
             set quit=yes\nset wait_key=no\nset auto_tag=no\nset pipe_split=no\nset pipe_decode=no\n\
             set sleep_time=0\nset sort=mailbox-order\npush \"{keys}<exit>\"\n",
            port = self.server.imaps.port(),
            ca = self.server.ca().display(),
            home = self.home.display(),
        );
        fs::write(&rc, text).unwrap();
        let command = format!("{} -n -d 5 -F {}", self.program, rc.display());
        in_terminal(&command, &self.home);
        let log = self.home.join(format!(".{}debug0", self.program));
        Wire::of_mutt(&String::from_utf8_lossy(&fs::read(log).unwrap()))
    }

    /// Keys that write the messages of a pattern into a file, if there are any.
    fn write(&self, pattern: &str, name: &str) -> String {
        drop(fs::remove_file(self.home.join(name)));
        format!(
            "<untag-pattern>~A<enter><tag-pattern>{pattern}<enter>\
             <tag-prefix-cond><pipe-message>cat>{}<enter><end-cond>",
            self.home.join(name).display()
        )
    }

    /// The UIDs of what has been written.
    fn written(&self, name: &str) -> BTreeSet<u32> {
        let octets = fs::read(self.home.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&octets);
        let lines = text.lines();
        let subjects = lines.filter_map(|line| line.strip_prefix("Subject: message "));
        subjects.map(|uid| uid.parse().unwrap()).collect()
    }

    /// Visits, and compares what it shows with what is there, by these patterns.
    fn agrees(&self, second: &Second, patterns: &[(&str, &str)]) -> Wire {
        let keys: String = patterns
            .iter()
            .map(|(pattern, flag)| self.write(pattern, plain(flag)))
            .collect();
        let wire = self.visit(&keys);
        for (pattern, flag) in patterns {
            let has = |flags: &BTreeSet<String>| *flag == "all" || flags.contains(*flag);
            let there = second.view().iter().filter(|(_, flags)| has(flags));
            let there: BTreeSet<u32> = there.map(|(&uid, _)| uid).collect();
            let shown = self.written(plain(flag));
            assert_eq!(shown, there, "{pattern} of {}", self.program);
        }
        wire
    }
}

/// A flag as the name of a file.
fn plain(flag: &str) -> &str {
    flag.trim_start_matches(['\\', '$'])
}

/// That it came back with QRESYNC and was told of what had changed.
fn resynchronised(wire: &Wire, changes: &Changes) {
    wire.has(&["C: ", "ENABLE QRESYNC"]);
    wire.has(&["C: ", "UID FETCH ", "(FLAGS) (CHANGEDSINCE ", "VANISHED)"]);
    wire.has(&["S: * VANISHED (EARLIER) "]);
    let told = wire.count(&["S: * ", " FETCH (", "MODSEQ ("]);
    assert_eq!(told, changes.flagged.len(), "{wire:#?}");
}

/// That it asked for no more than the headers of what is new.
fn asked_for_nothing_else(wire: &Wire, changes: &Changes) {
    wire.lacks(&["C: ", "(UID FLAGS)"]);
    let headers = wire.count(&["S: * ", " FETCH ", "BODY[HEADER.FIELDS"]);
    assert_eq!(headers, changes.arrived.len(), "{wire:#?}");
}

fn keeps_in_step(
    program: &'static str,
    keywords: &[(&str, &str)],
    check: impl Fn(&Wire, &Changes),
) {
    if !have(program) || !have("script") {
        return;
    }
    let server = Binary::dev().unwrap();
    let mut second = Second::new(&server, MESSAGES);
    let mutt = Mutt::new(program, &server);
    let wire = mutt.agrees(&second, &[("~A", "all"), ("~R", "\\Seen")]);
    assert_eq!(mutt.compresses(), wire.count(&["OK DEFLATE ACTIVE"]) == 1);
    let mut patterns = vec![
        ("~A", "all"),
        ("~R", "\\Seen"),
        ("~F", "\\Flagged"),
        ("~D", "\\Deleted"),
    ];
    patterns.extend(keywords);
    for _ in 0..2 {
        let changes = second.change();
        let wire = mutt.agrees(&second, &patterns);
        resynchronised(&wire, &changes);
        check(&wire, &changes);
    }
    // The other way round: what is flagged here is flagged for everybody.
    let uid = *second.view().keys().last().unwrap();
    mutt.visit(&format!(
        "<undelete-pattern>~A<enter><limit>~s \\\"message {uid}$\\\"<enter><flag-message><sync-mailbox>"
    ));
    assert!(second.sees(uid, "\\Flagged"), "{uid}");
}

/// Interop: neomutt 20220429 takes messages that have VANISHED for holes in its cache, asks for their
/// numbers, finds that these do not fit, and asks for all flags again.
#[test]
fn neomutt_resynchronises() {
    keeps_in_step("neomutt", &[("~Y Later", "$Later")], |wire, changes| {
        let headers = wire.count(&["S: * ", " FETCH ", "BODY[HEADER.FIELDS"]);
        assert!(headers <= changes.arrived.len() + changes.gone.len());
    });
}

#[test]
fn mutt_resynchronises_compressed() {
    if have("mutt") {
        keeps_in_step("mutt", &[], |wire, changes| {
            wire.has(&["OK DEFLATE ACTIVE"]);
            asked_for_nothing_else(wire, changes);
        });
    }
}
