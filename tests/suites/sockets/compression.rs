//! COMPRESS on the wire (S44): bombs, damage, and what a session costs.

use std::io::{Read, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, FlushCompress};
use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::{Client, raise_descriptors, serve};
use pillarbox_tests::serve::{Serve, Setup};

/// A client that has logged in and compresses.
fn compressed(server: &Serve, user: &str) -> Client {
    let mut client = Client::imap(server, user);
    client.ok("COMPRESS DEFLATE");
    client.connection.compress();
    client
}

/// So many zeros, compressed as much as DEFLATE can.
fn bomb(octets: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let piece = vec![0; 1 << 20];
    for _ in 0..octets / piece.len() {
        encoder.write_all(&piece).unwrap();
    }
    encoder.flush().unwrap();
    encoder.get_ref().clone()
}

#[test]
fn s44_a_bomb_costs_no_more_than_its_limits() {
    let server = serve("[log]\nlevel = \"debug\"\n");
    let bomb = bomb(100 << 20);
    assert!(bomb.len() < 200 * 1024, "{}", bomb.len());
    let mut other = Client::selected(&server, "bob");
    let mut client = compressed(&server, "ann");
    let before = server.forget_peak().unwrap();
    // A line without an end: the session is given up as one that does not compress is.
    client.connection.write_compressed(&bomb).unwrap();
    let rest = client.rest();
    assert!(rest.contains("* BYE [CLIENTBUG]"), "{rest}");
    // A literal that nobody wants is skipped, and the session goes on.
    let mut client = compressed(&server, "ann");
    client.send(format!("a APPEND INBOX {{{}+}}\r\n", 100 << 20));
    // A new compressor can go on where another has flushed.
    client.connection.write_compressed(&bomb).unwrap();
    let command = deflated("\r\nb NOOP\r\n");
    client.connection.write_compressed(&command).unwrap();
    assert!(client.line().starts_with("a NO [TOOBIG]"));
    assert!(client.line().starts_with("b OK"));
    assert!(other.completion("NOOP").starts_with("OK"));
    let grown = server.peak().unwrap().saturating_sub(before);
    println!("{grown} KiB more at the peak");
    assert!(grown < 16 * 1024, "{grown} KiB more at the peak");
}

#[test]
fn s44_damage_ends_the_session_and_no_other() {
    let server = serve("[log]\nlevel = \"debug\"\n");
    let mut other = compressed(&server, "bob");
    // What a client must not do: the next command in the clear, before it has seen the OK.
    let mut client = Client::imap(&server, "ann");
    client.send("a COMPRESS DEFLATE\r\nb DELETE Sent\r\n");
    assert_eq!(client.rest(), "a OK DEFLATE active\r\n");
    assert!(
        server.logs("compressed input is damaged", 1),
        "{}",
        server.log()
    );
    // A stream that ends is a client that has gone.
    let mut client = compressed(&server, "ann");
    let encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let end = encoder.finish().unwrap();
    client.connection.write_compressed(&end).unwrap();
    assert_eq!(client.rest(), "");
    assert!(server.logs("compressed input ended", 1), "{}", server.log());
    assert!(other.completion("NOOP").starts_with("OK"));
}

#[test]
fn s44_octets_are_saved_and_all_arrive() {
    let server = serve("");
    let line =
        "Received: from mail.example.org by mx.example.net; Mon, 23 Nov 2026 05:00:00 +0000\n";
    let message = format!("Subject: long\n\n{}", line.repeat(20_000));
    deliver_files(&server.maildir("ann"), [message.clone().into_bytes()]).unwrap();
    let mut plain = Client::selected(&server, "ann");
    let expected = plain.command("FETCH 1 BODY.PEEK[]");
    let mut client = Client::selected(&server, "ann");
    client.send("c COMPRESS DEFLATE\r\n");
    assert!(client.line().starts_with("c OK"));
    client.send(deflated("t3 FETCH 1 BODY.PEEK[]\r\n"));
    // What comes, uninflated, up to the flush behind the tagged OK.
    let mut octets = 0;
    let mut inflater = flate2::Decompress::new(false);
    let mut text = Vec::new();
    while !text.ends_with(b"OK FETCH completed\r\n") {
        let mut piece = [0; 65536];
        let read = client.connection.read(&mut piece).unwrap();
        assert_ne!(read, 0, "closed too early");
        octets += read;
        text.reserve(message.len() * 2);
        let none = flate2::FlushDecompress::None;
        inflater
            .decompress_vec(&piece[..read], &mut text, none)
            .unwrap();
    }
    assert!(text == expected.concat(), "not as without compression");
    assert!(octets < text.len() / 20, "{octets} of {}", text.len());
}

#[test]
fn s41_idle_compressed_sessions_cost_an_inflater_and_no_compressor() {
    raise_descriptors();
    for (spaces, most) in [(0, 32), (60_000, 64)] {
        let server = Serve::start(&Setup {
            users: (0..20).map(|at| format!("u{at}")).collect(),
            tables: "[storage]\nfsync = \"never\"\n".to_owned(),
            ..Setup::default()
        })
        .unwrap();
        let session = |at: usize| {
            let mut client = compressed(&server, &format!("u{}", at % 20));
            // Fills the inflater's window.
            client.ok(&format!("NOOP{}", " ".repeat(spaces)));
            client.ok("SELECT INBOX");
            client.send("i IDLE\r\n");
            assert!(client.line().starts_with('+'));
            client
        };
        // The accounts themselves are not counted.
        let first: Vec<Client> = (0..20).map(session).collect();
        let before = server.own_memory().unwrap();
        let clients: Vec<Client> = (20..220).map(session).collect();
        let each = server.own_memory().unwrap().saturating_sub(before) / 200;
        println!("{each} KiB for each that has sent {spaces} octets");
        assert!(each <= most, "{each} KiB for each that has sent {spaces}");
        drop((first, clients));
    }
}

/// A command by itself, flushed.
fn deflated(command: &str) -> Vec<u8> {
    let mut compressor = flate2::Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(1024);
    let sync = FlushCompress::Sync;
    compressor
        .compress_vec(command.as_bytes(), &mut out, sync)
        .unwrap();
    out
}
