//! What strangers can do (S18 to S22, S26 to S28).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pillarbox_tests::client::{Client, is_closed, raise_descriptors, serve, timed};
use pillarbox_tests::serve::{Serve, Setup};

/// Sends `start`, and then `piece` again and again, up to 64 MiB; gives all that came back, and
/// sees that the server held little of it.
fn flood(server: &Serve, name: &str, start: &str, piece: &[u8]) -> String {
    let mut client = Client::greeted(server, name);
    let before = server.forget_peak().unwrap();
    client.send(start);
    let mut sent = 0;
    while sent < 64 << 20 {
        if let Err(error) = client.try_send(piece) {
            assert!(is_closed(&error), "{error}");
            break;
        }
        sent += piece.len();
    }
    let answer = client.rest();
    let grown = server.peak().unwrap().saturating_sub(before);
    println!("{name} {start:?}: {grown} KiB");
    assert!(grown < 1024, "{name} {start}: {grown} KiB more at the peak");
    answer
}

#[test]
fn s18_floods_before_login_hold_nothing_and_end() {
    let server = serve("");
    let line = vec![b'x'; 65536];
    let literals = b"{1+}\r\nx".repeat(10_000);
    let nested = vec![b'('; 65536];
    let large = format!(" {{8000+}}\r\n{}", "x".repeat(8000)).into_bytes();
    for (start, piece) in [
        ("a LOGIN ", &line),
        ("a LOGIN ", &literals),
        ("a LOGIN", &large),
        ("a LOGIN {4000000000+}\r\n", &line),
        ("a LOGIN {99999999999999999999999+}\r\n", &line),
        ("a ID ", &nested),
        ("a AUTHENTICATE PLAIN\r\n", &line),
    ] {
        let answer = flood(&server, "imap", start, piece);
        assert!(answer.contains("* BYE"), "{start}: {answer:?}");
    }
    for start in ["USER ", "AUTH PLAIN\r\n", ""] {
        let answer = flood(&server, "pop3", start, &line);
        assert!(answer.contains("-ERR"), "{start}: {answer:?}");
    }
}

#[test]
fn s18_a_literal_over_the_limit_is_not_asked_for() {
    let server = serve("");
    let mut client = Client::greeted(&server, "imap");
    for size in ["8193", "65537", "4294967296", "18446744073709551616"] {
        let answer = client.completion(format!("LOGIN {{{size}}}"));
        assert!(answer.starts_with("BAD"), "{size}: {answer}");
    }
    assert!(client.completion("NOOP").starts_with("OK"));
}

#[test]
fn s18_s26_idle_slow_and_half_open_connections_keep_nobody_out() {
    raise_descriptors();
    let server = serve("");
    // Warmed up, so that what is measured is the connections.
    drop(Client::imap(&server, "ann"));
    let before = server.memory().unwrap();
    let idle: Vec<Client> = (0..2000)
        .map(|at| Client::greeted(&server, if at % 2 == 0 { "imap" } else { "pop3" }))
        .collect();
    let each = (server.memory().unwrap().saturating_sub(before)) / 2000;
    assert!(each < 100, "{each} KiB for each connection");
    let slow: Vec<Client> = (0..300)
        .map(|_| {
            let mut client = Client::greeted(&server, "imap");
            client.send("a LOG");
            client
        })
        .collect();
    let half: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address("imaps").unwrap()).unwrap();
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").unwrap();
            stream
        })
        .collect();
    for name in ["imap", "imaps"] {
        let (completion, time) =
            timed(|| Client::greeted(&server, name).completion("LOGIN ann pw"));
        assert!(completion.starts_with("OK"), "{completion}");
        assert!(time < Duration::from_secs(5), "{time:?}");
    }
    drop((idle, slow, half));
}

#[test]
fn s19_commands_sent_with_starttls_are_thrown_away() {
    let server = Serve::start(&Setup {
        plaintext_auth: false,
        ..Setup::default()
    })
    .unwrap();
    let mut client = Client::greeted(&server, "imap");
    client.send("a STARTTLS\r\nb LOGIN ann pw\r\nc LOGOUT\r\n");
    assert!(client.line().starts_with("a OK"));
    client.connection.start_tls().unwrap();
    let answer = client.ok("CAPABILITY");
    assert!(answer.starts_with("* CAPABILITY"), "{answer}");
    assert!(!answer.contains("STARTTLS") && !answer.contains("LOGINDISABLED"));
    assert!(client.completion("STARTTLS").starts_with("BAD"));
    assert!(client.completion("SELECT INBOX").starts_with("BAD"));

    let mut client = Client::greeted(&server, "pop3");
    client.send("STLS\r\nUSER ann\r\nPASS pw\r\nQUIT\r\n");
    assert!(client.line().starts_with("+OK"));
    client.connection.start_tls().unwrap();
    // The user named in the clear is forgotten, too.
    assert!(client.ask("PASS pw").starts_with("-ERR"));
    assert!(client.ask("STLS").starts_with("-ERR"));
    assert!(client.ask("STAT").starts_with("-ERR"));
    assert!(client.ask("CAPA").starts_with("+OK"));
    let mut capabilities = Vec::new();
    while capabilities.last().is_none_or(|line| line != ".\r\n") {
        capabilities.push(client.line());
    }
    assert!(!capabilities.contains(&"STLS\r\n".to_owned()));
}

#[test]
fn s20_passwords_are_refused_in_the_clear() {
    let server = Serve::start(&Setup {
        plaintext_auth: false,
        ..Setup::default()
    })
    .unwrap();
    let mut imap = Client::greeted(&server, "imap");
    let answer = imap.ok("CAPABILITY");
    assert!(answer.contains(" LOGINDISABLED") && !answer.contains("AUTH="));
    for command in [
        "LOGIN ann pw",
        "AUTHENTICATE PLAIN AGFubgBwdw==",
        "AUTHENTICATE PLAIN",
        "AUTHENTICATE LOGIN",
    ] {
        let completion = imap.completion(command);
        assert!(completion.starts_with("NO"), "{command}: {completion}");
    }
    assert!(imap.completion("SELECT INBOX").starts_with("BAD"));
    let mut pop3 = Client::greeted(&server, "pop3");
    for command in [
        "USER ann",
        "PASS pw",
        "AUTH PLAIN AGFubgBwdw==",
        "AUTH PLAIN",
        "AUTH LOGIN",
    ] {
        let answer = pop3.ask(command);
        assert!(answer.starts_with("-ERR"), "{command}: {answer}");
    }
}

#[test]
fn s21_bad_commands_and_web_browsers_are_hung_up_on() {
    let server = serve("");
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\n{}\r\na LOGIN ann pw\r\nUSER ann\r\nPASS pw\r\n",
        "X-Header: y\r\n".repeat(10)
    );
    let nonsense = "a FOO\r\n".repeat(20);
    for attack in [&request, &nonsense] {
        let mut imap = Client::greeted(&server, "imap");
        imap.send(attack);
        let answer = imap.rest();
        assert!(answer.contains("* BYE"), "{answer}");
        assert!(answer.matches(" BAD ").count() <= 10, "{answer}");
        assert!(!answer.contains("Logged in"), "{answer}");
        let mut pop3 = Client::greeted(&server, "pop3");
        pop3.send(attack);
        let answer = pop3.rest();
        assert!(!answer.contains("+OK"), "{answer}");
        assert!(answer.matches("-ERR").count() <= 11, "{answer}");
    }
}

#[test]
fn s22_trickled_bytes_do_not_extend_the_time_to_log_in() {
    let server = serve("[timeouts]\nlogin = \"2s\"\nhandshake = \"1s\"\n");
    for name in ["imap", "pop3"] {
        let mut stream = TcpStream::connect(server.address(name).unwrap()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        // A byte whenever nothing has come for a while; it is never a whole command.
        let trickle = || {
            loop {
                match stream.read(&mut [0; 1000]) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if is_closed(&error) => break,
                    Err(_) if stream.write_all(b"x").is_err() => break,
                    Err(_) => {}
                }
            }
        };
        let ((), time) = timed(trickle);
        assert!(time < Duration::from_secs(20), "{name}: {time:?}");
        assert!(time > Duration::from_secs(1), "{name}: {time:?}");
    }
    let mut half = TcpStream::connect(server.address("imaps").unwrap()).unwrap();
    half.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    half.write_all(b"\x16\x03\x01\x02\x00\x01\x00").unwrap();
    let ended = half.read(&mut [0; 100]);
    assert!(
        matches!(&ended, Ok(0)) || ended.as_ref().is_err_and(is_closed),
        "{ended:?}"
    );
}

#[test]
fn s27_running_out_of_descriptors_ends_nothing() {
    raise_descriptors();
    let server = Serve::start(&Setup {
        descriptors: Some(256),
        tables: "[storage]\nfsync = \"never\"\n".to_owned(),
        ..Setup::default()
    })
    .unwrap();
    let mut inside = Client::selected(&server, "ann");
    let crowd: Vec<TcpStream> = (0..400)
        .map(|_| TcpStream::connect(server.address("imap").unwrap()).unwrap())
        .collect();
    let used = server.processor_time().unwrap();
    let ((), time) = timed(|| {
        // An open mailbox goes on working, with what it has open or what is freed in between.
        for _ in 0..20 {
            inside.ok("NOOP");
        }
        // A connection that has no place is refused, or not accepted at all.
        let mut last = crowd.last().unwrap();
        last.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut answer = [0; 5];
        match last.read(&mut answer) {
            Ok(0) | Err(_) => {}
            Ok(_) => assert_eq!(&answer, b"* BYE"),
        }
    });
    let spent = server.processor_time().unwrap() - used;
    let all = u64::try_from(time.as_millis() / 10).unwrap();
    assert!(
        spent < 20 + all / 5,
        "{spent} of {all} hundredths of a second"
    );
    drop(crowd);
    // The crowd goes at its own pace; whoever comes meanwhile is refused and comes again.
    let (completion, time) = timed(|| {
        let mut attempts = (0..50_000).map(|_| Client::connect(server.address("imap").unwrap()));
        let welcome = attempts.find_map(|mut client| {
            let greeting = client.line();
            greeting.starts_with("* OK").then_some(client)
        });
        welcome.unwrap().completion("LOGIN bob pw")
    });
    assert!(completion.starts_with("OK"), "{completion}");
    assert!(time < Duration::from_secs(10), "{time:?}");
    let message = "APPEND INBOX {12+}\r\nSubject: x\r\n";
    assert!(inside.completion(message).starts_with("OK"));
}

/// A ClientHello of a version of TLS, `minor` being 1 for TLS 1.0.
fn client_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 4, 0xc0, 0x14, 0x00, 0x35]);
    body.extend([1, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

#[test]
fn s28_old_tls_and_plaintext_are_refused_on_the_tls_ports() {
    let server = serve("");
    for name in ["imaps", "pop3s"] {
        let close_notify = [client_hello(3), vec![0x15, 3, 3, 0, 2, 1, 0]].concat();
        for attack in [
            client_hello(1),
            client_hello(2),
            close_notify,
            b"a CAPABILITY\r\nUSER ann\r\n".to_vec(),
        ] {
            let mut stream = TcpStream::connect(server.address(name).unwrap()).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            stream.write_all(&attack).unwrap();
            let mut answer = Vec::new();
            match stream.read_to_end(&mut answer) {
                Ok(_) => {}
                Err(error) => assert!(is_closed(&error), "{name}: {error}"),
            }
            // An alert, and no ServerHello.
            assert!(answer.is_empty() || answer[0] == 0x15, "{name}: {answer:?}");
        }
    }
}
