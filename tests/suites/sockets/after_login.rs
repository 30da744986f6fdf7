//! What a user can do to the others (S29 to S31, S35, S37 to S39, S43).

use std::time::Duration;

use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::{Client, serve, timed};

#[test]
fn s29_no_bytes_in_any_state_end_the_server() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    // A small generator; which bytes come does not matter, that they are always the same does.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: [&[u8]; 20] = [
        b"a ",
        b"FETCH ",
        b"1:*",
        b"(",
        b")",
        b"BODY[",
        b"]<0.1>",
        b"{3+}\r\n",
        b"\r\n",
        b"\"",
        b"SEARCH ",
        b"OR ",
        b"NOT ",
        b"APPEND INBOX ",
        b"UID ",
        b"\0",
        b"\xff",
        b"LIST ",
        b"%*",
        b"IDLE\r\n",
    ];
    for round in 0..60 {
        let mut bytes = Vec::new();
        for _ in 0..200 {
            let pick = usize::try_from(random() % 24).unwrap();
            match words.get(pick) {
                Some(word) => bytes.extend_from_slice(word),
                None => bytes.extend_from_slice(&random().to_le_bytes()),
            }
        }
        let mut client = match round % 4 {
            0 => Client::greeted(&server, "imap"),
            1 => Client::selected(&server, "ann"),
            2 => Client::greeted(&server, "pop3"),
            _ => Client::pop3(&server, "bob"),
        };
        client.try_send(&bytes).unwrap_or_default();
        client.connection.hang_up().unwrap_or_default();
        client.rest();
    }
    assert!(
        Client::selected(&server, "ann")
            .completion("NOOP")
            .starts_with("OK")
    );
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn s30_long_lines_and_deep_nesting_are_refused() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let mut client = Client::selected(&server, "ann");
    let before = server.forget_peak().unwrap();
    for (command, least) in [
        (format!("SEARCH {}", "(".repeat(60_000)), "BAD"),
        (format!("SEARCH {}ALL", "NOT ".repeat(15_000)), "BAD"),
        (format!("SEARCH {}ALL", "OR ALL ".repeat(9_000)), "BAD"),
        (
            format!("SEARCH {}ALL{}", "(".repeat(101), ")".repeat(101)),
            "BAD",
        ),
        (
            format!("SEARCH {}ALL{}", "(".repeat(90), ")".repeat(90)),
            "OK",
        ),
        (format!("FETCH 1 {}", "(".repeat(30_000)), "BAD"),
        (format!("LIST \"\" {}", "(".repeat(30_000)), "BAD"),
        (format!("STORE 1 FLAGS {}", "(".repeat(30_000)), "BAD"),
        (format!("ID {}", "(".repeat(30_000)), "BAD"),
        (format!("SEARCH {}", "1 ".repeat(30_000)), "BAD"),
        (format!("NOOP {}", "x".repeat(70_000)), "BAD"),
        ("SEARCH FROM {1048577}".to_owned(), "BAD"),
        (
            format!(
                "SEARCH {}ALL",
                "FROM {999+}\r\n".to_owned() + &"x".repeat(999) + " "
            ),
            "OK",
        ),
    ] {
        let completion = client.completion(&command);
        let start = &command[..command.len().min(30)];
        assert!(completion.starts_with(least), "{start}: {completion}");
    }
    assert!(client.completion("NOOP").starts_with("OK"));
    // More arguments than a mebibyte, each of them small.
    let many = "FROM {1000+}\r\n".to_owned() + &"x".repeat(1000) + " ";
    let completion = client.completion(format!("SEARCH {}ALL", many.repeat(1200)));
    assert!(completion.starts_with("BAD"), "{completion}");
    client.send(format!("a SEARCH {}\r\n", "(".repeat(2_000_000)));
    let end = client.rest();
    assert!(end.contains("BAD") || end.contains("* BYE"), "{end}");
    let grown = server.peak().unwrap().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more at the peak");
}

#[test]
fn s31_a_message_over_the_limit_is_refused_before_it_is_sent() {
    let server = &serve("[storage]\nfsync = \"never\"\n");
    let mut client = Client::imap(server, "ann");
    for size in ["52428801", "4294967297", "9223372036854775808"] {
        let completion = client.completion(format!("APPEND INBOX {{{size}}}"));
        assert!(
            completion.starts_with("NO [TOOBIG]"),
            "{size}: {completion}"
        );
    }
    let completion = client.completion("APPEND INBOX {18446744073709551617}");
    assert!(completion.starts_with("BAD"), "{completion}");
    // What is sent without asking is skipped, and the session goes on.
    client.send("a APPEND INBOX {52428801+}\r\n");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..50 {
        client.send(&piece);
    }
    client.send("x\r\n");
    assert!(client.line().starts_with("a NO [TOOBIG]"));
    assert!(client.completion("NOOP").starts_with("OK"));
}

#[test]
fn s31_a_large_message_streams_in_and_out() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let mut client = Client::selected(&server, "ann");
    let before = server.forget_peak().unwrap();
    let header = "Subject: large\r\n\r\n";
    let piece = format!("{}\r\n", "x".repeat(78)).repeat(12_800);
    let size = header.len() + 50 * piece.len();
    client.send(format!("a APPEND INBOX {{{size}+}}\r\n{header}"));
    for _ in 0..50 {
        client.send(&piece);
    }
    client.send("\r\n");
    let appended = client.until("a").concat();
    assert!(String::from_utf8_lossy(&appended).contains("a OK"));
    let fetched = client.command("FETCH 1 BODY.PEEK[]");
    let longest = fetched.iter().map(Vec::len).max().unwrap();
    assert!(longest > size, "{longest}");
    let mut pop3 = Client::pop3(&server, "ann");
    pop3.send("RETR 1\r\nQUIT\r\n");
    assert!(pop3.rest().len() > size);
    let grown = server.peak().unwrap().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more at the peak");
}

#[test]
fn s6_half_a_message_leaves_nothing() {
    let server = serve("[log]\nlevel = \"debug\"\n");
    let mut watcher = Client::selected(&server, "ann");
    let mut client = Client::imap(&server, "ann");
    client.send("a APPEND INBOX {100000+}\r\nSubject: half\r\n\r\n");
    client.send(vec![b'x'; 90_000]);
    client.connection.hang_up().unwrap();
    client.rest();
    assert!(server.logs("session ended", 1), "{}", server.log());
    let answer = watcher.ok("NOOP");
    assert!(!answer.contains("EXISTS"), "{answer}");
    for directory in ["tmp", "new", "cur"] {
        let files = std::fs::read_dir(server.maildir("ann").join(directory)).unwrap();
        assert_eq!(files.count(), 0, "{directory}");
    }
}

#[test]
fn s35_only_canonical_modified_utf_7_names_a_mailbox() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let mut client = Client::imap(&server, "bob");
    for name in [
        "&AAA-",
        "a&AA0ACg-b",
        "&AAo-",
        "&ABs-",
        "&AGE-",
        "&AC8-",
        "&AC4ALg-",
        "&Jjo",
        "&Jjo!-",
        "&2AA-",
        "a&AAAAYQ-",
        "&IKwgrA-&IKw-",
        "&AH8-",
    ] {
        for command in ["CREATE", "SELECT", "SUBSCRIBE", "DELETE"] {
            for response in client.command(format!("{command} \"{name}\"")) {
                let text = String::from_utf8_lossy(&response).into_owned();
                assert!(
                    text.contains(" NO ") || text.contains(" BAD "),
                    "{name}: {text}"
                );
                let line = response.strip_suffix(b"\r\n").unwrap();
                assert!(
                    line.iter().all(|octet| (b' '..0x7f).contains(octet)),
                    "{name}: {text:?}"
                );
            }
        }
    }
    client.ok("CREATE \"&ZeVnLIqe-\"");
    // UTF-8 is understood and not said back (RFC 9755 §3).
    client.ok("CREATE \"\u{e9}\"");
    let listed = client.ok("LIST \"\" *");
    assert!(listed.contains("&ZeVnLIqe-") && listed.contains("&AOk-"));
    assert!(listed.is_ascii(), "{listed}");
}

#[test]
fn s37_what_nobody_reads_is_not_made() {
    let server = serve(
        "[storage]\nfsync = \"never\"\n[timeouts]\nwrite = \"2s\"\n[log]\nlevel = \"debug\"\n",
    );
    let line = format!("{}\n", "x".repeat(70));
    let message = format!("Subject: large\n\n{}", line.repeat(40_000)).into_bytes();
    for user in ["ann", "bob"] {
        deliver_files(&server.maildir(user), [message.clone()]).unwrap();
    }
    let mut other = Client::imap(&server, "eve");
    let before = server.forget_peak().unwrap();
    let mut slow = Vec::new();
    for (count, command) in [
        (50, "a FETCH 1 BODY.PEEK[]\r\n"),
        (50, "a FETCH 1 (BODY.PEEK[TEXT] BODY.PEEK[1])\r\n"),
        (2000, "a UID FETCH 1:* BODY.PEEK[]\r\n"),
        (50, "a FETCH 1 BODY.PEEK[]\r\n"),
    ] {
        let mut client = Client::selected(&server, "ann");
        client.send(command.repeat(count));
        slow.push(client);
    }
    let mut client = Client::pop3(&server, "bob");
    client.send("RETR 1\r\n".repeat(50));
    slow.push(client);
    let (_, time) = timed(|| other.ok("NOOP"));
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert!(
        server.logs("connection lost", slow.len()),
        "{}",
        server.log()
    );
    let grown = server.peak().unwrap().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more at the peak");
    // The maildrop is free again.
    assert!(
        Client::pop3(&server, "bob")
            .ask("STAT")
            .starts_with("+OK 1 ")
    );
}

#[test]
fn s37_many_parts_of_a_message_leave_one_after_the_other() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let lines: String = (0..100_000).map(|at| format!("line {at}\r\n")).collect();
    let message = format!("Subject: large\r\n\r\n{lines}");
    let mut client = Client::selected(&server, "ann");
    client.ok(&format!("APPEND INBOX {{{}+}}\r\n{message}", message.len()));
    // Up and down, and in turns the text and the whole message.
    let parts: Vec<(usize, &str, &str)> = (0..400)
        .map(|at| match at % 3 {
            0 => (at * 1000, "", message.as_str()),
            1 => (at * 500, "TEXT", lines.as_str()),
            _ => (300_000 - at * 700, "1", lines.as_str()),
        })
        .collect();
    let items: Vec<String> = parts
        .iter()
        .map(|(origin, section, _)| format!("BODY.PEEK[{section}]<{origin}.600000>"))
        .collect();
    let before = server.forget_peak().unwrap();
    client.send(format!(
        "a FETCH 1 (RFC822.SIZE {} UID)\r\n",
        items.join(" ")
    ));
    assert!(client.line().starts_with("* 1 FETCH (UID 1 RFC822.SIZE "));
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let descriptors = descriptors.count();
    assert!(descriptors < 64, "{descriptors} open files");
    for (at, (origin, section, text)) in parts.iter().enumerate() {
        let octets = &text.as_bytes()[*origin..text.len().min(origin + 600_000)];
        assert_eq!(client.octets(octets.len()), octets, "part {at}");
        let next = client.line();
        match parts.get(at + 1) {
            Some((origin, section, _)) => {
                assert!(
                    next.starts_with(&format!(" BODY[{section}]<{origin}> {{")),
                    "{next}"
                );
            }
            None => assert_eq!(next, ")\r\n", "after {section}"),
        }
    }
    assert!(client.line().starts_with("a OK"));
    let grown = server.peak().unwrap().saturating_sub(before);
    println!("{grown} KiB more at the peak");
    assert!(grown < 16 * 1024, "{grown} KiB more at the peak");
}

#[test]
fn s38_a_busy_user_keeps_nobody_waiting() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let line = format!("{}\n", "lorem ipsum ".repeat(6));
    let large = format!("Subject: large\n\n{}", line.repeat(10_000)).into_bytes();
    deliver_files(&server.maildir("ann"), vec![large; 20]).unwrap();
    let small = (0..5000).map(|at| format!("Subject: {at}\n\n").into_bytes());
    deliver_files(&server.maildir("bob"), small).unwrap();
    let mut other = Client::imap(&server, "eve");
    let busy: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = Client::imap(&server, "ann");
            client.send("a SELECT INBOX\r\nb SEARCH TEXT nowhere\r\nc SEARCH BODY nowhere\r\n");
            client
        })
        .collect();
    let mut scanner = Client::imap(&server, "bob");
    scanner.send("a SELECT INBOX\r\nb SEARCH SUBJECT nothing\r\n");
    for _ in 0..10 {
        let (_, time) = timed(|| other.ok("NOOP"));
        assert!(time < Duration::from_secs(5), "{time:?}");
    }
    let (answer, time) = timed(|| other.ok("SELECT INBOX"));
    assert!(time < Duration::from_secs(5), "{time:?}: {answer}");
    drop((busy, scanner));
}

#[test]
fn s39_huge_sets_are_cheap_and_wrong_ones_bad() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let small = (0..100).map(|at| format!("Subject: {at}\n\n").into_bytes());
    deliver_files(&server.maildir("ann"), small).unwrap();
    let mut client = Client::selected(&server, "ann");
    let before = server.forget_peak().unwrap();
    let overlapping = vec!["1:4294967295"; 4000].join(",");
    for set in ["1:4294967295", "*:*", "4294967295:1", &overlapping] {
        for command in ["UID FETCH", "UID STORE", "UID COPY", "UID SEARCH UID"] {
            let rest = match command {
                "UID FETCH" => " UID",
                "UID STORE" => " +FLAGS.SILENT (\\Seen)",
                "UID COPY" => " Missing",
                _ => "",
            };
            let (completion, time) = timed(|| client.completion(format!("{command} {set}{rest}")));
            let fine = completion.starts_with("OK") || completion.starts_with("NO [TRYCREATE]");
            assert!(fine, "{command}: {completion}");
            assert!(time < Duration::from_secs(5), "{command}: {time:?}");
        }
    }
    for set in [
        "0",
        "1:0",
        "4294967296",
        "99999999999999999999",
        "-1",
        "1,,2",
        "1:2:3",
        "",
    ] {
        for command in ["FETCH", "UID FETCH"] {
            let completion = client.completion(format!("{command} {set} FLAGS"));
            assert!(completion.starts_with("BAD"), "{set}: {completion}");
        }
    }
    let grown = server.peak().unwrap().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more at the peak");
}

#[test]
fn s43_names_keywords_and_patterns_are_bounded() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let mut client = Client::selected(&server, "ann");
    let deep = vec!["d"; 300].join("/");
    let euros = "&IKwgrCCsIKwgrCCsIKwgrCCsIKwgrCCs-x".repeat(20);
    for name in ["x".repeat(256), "x".repeat(5000), deep, euros] {
        for command in ["CREATE", "SUBSCRIBE", "RENAME INBOX", "SELECT", "STATUS"] {
            let rest = if command == "STATUS" {
                " (MESSAGES)"
            } else {
                ""
            };
            let completion = client.completion(format!("{command} \"{name}\"{rest}"));
            assert!(completion.starts_with("NO"), "{command}: {completion}");
        }
    }
    // All keywords of a STORE are kept, or it is refused.
    deliver_files(&server.maildir("ann"), [b"Subject: x\n\n".to_vec()]).unwrap();
    client.ok("SELECT INBOX");
    for at in 0..20 {
        let keywords: Vec<String> = (0..50).map(|low| format!("$k{at}-{low}")).collect();
        let answer = client.command(format!("STORE 1 +FLAGS ({})", keywords.join(" ")));
        let text = String::from_utf8_lossy(&answer.concat()).into_owned();
        if text.contains(" OK ") {
            for keyword in &keywords {
                assert!(text.contains(keyword.as_str()), "{keyword} is lost");
            }
        } else {
            assert!(text.contains(" NO "), "{text}");
        }
    }
    let completion = client.completion(format!("STORE 1 +FLAGS ({})", "k".repeat(5000)));
    assert!(
        completion.starts_with("NO") || completion.starts_with("BAD"),
        "{completion}"
    );
    for at in 0..50 {
        client.ok(&format!("CREATE \"{}{at}\"", "a".repeat(200)));
    }
    for pattern in ["*a".repeat(400), "%a".repeat(400), "*%".repeat(400)] {
        for command in ["LIST", "LSUB"] {
            let (_, time) = timed(|| client.ok(&format!("{command} \"\" \"{pattern}b\"")));
            assert!(time < Duration::from_secs(10), "{pattern}: {time:?}");
        }
    }
}
