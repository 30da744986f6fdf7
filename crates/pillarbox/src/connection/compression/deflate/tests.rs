//! What is deflated is inflated again, however it is cut, and nothing that comes makes it large.

use proptest::prelude::*;

use super::*;

/// A compressor of the peer, which ends each piece with a flush of this kind.
fn peer(pieces: &[&[u8]], flush: FlushCompress) -> Vec<Vec<u8>> {
    let mut compressor = Compress::new(Level::new(6), false);
    let compressed = pieces.iter().map(|piece| {
        let mut out = Vec::with_capacity(piece.len() + 1024);
        compressor.compress_vec(piece, &mut out, flush).unwrap();
        out
    });
    compressed.collect()
}

/// All that can be inflated now, in pieces of at most `PIECE`.
fn drain(compression: &mut Compression) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut piece = [0; PIECE];
    loop {
        match compression.inflate(&mut piece)? {
            Inflated::Octets(octets) => all.extend_from_slice(&piece[..octets]),
            Inflated::Hungry | Inflated::End => return Ok(all),
        }
    }
}

/// Sends pieces as a server does; gives what its client reads after each of them.
fn send(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let compressors = Compressors::default();
    let mut server = Compression::new(Vec::new());
    let mut client = Compression::new(Vec::new());
    let read = pieces.iter().map(|piece| {
        client.push(&server.deflate(&compressors, piece).unwrap());
        drain(&mut client).unwrap()
    });
    read.collect()
}

#[test]
fn each_piece_of_output_arrives_whole_at_once() {
    let large = vec![b'x'; 200_000];
    let pieces: [&[u8]; 6] = [b"* OK\r\n", b"x", &large, b"* 1 EXISTS\r\n", &large, b""];
    assert_eq!(send(&pieces), pieces);
}

#[test]
fn output_refers_to_what_was_sent_before() {
    let compressors = Compressors::default();
    let mut server = Compression::new(Vec::new());
    let answer = b"* 4711 FETCH (UID 12345 FLAGS (\\Answered \\Seen $Forwarded))\r\n";
    let first = server.deflate(&compressors, answer).unwrap();
    let second = server.deflate(&compressors, answer).unwrap();
    assert!(
        first.len() > 50 && second.len() < 15,
        "{} {}",
        first.len(),
        second.len()
    );
}

#[test]
fn connections_that_share_a_compressor_share_nothing_else() {
    let compressors = Compressors::default();
    let [mut one, mut other] = [(); 2].map(|()| Compression::new(Vec::new()));
    let secret = b"something that only one client may read, at length".repeat(100);
    one.deflate(&compressors, &secret).unwrap();
    let out = other.deflate(&compressors, &secret).unwrap();
    assert_eq!(compressors.0.lock().unwrap().len(), 1, "one is enough");
    // The other client has seen nothing of the first connection, and needs nothing of it.
    let mut client = Compression::new(out);
    assert_eq!(drain(&mut client).unwrap(), secret);
}

#[test]
fn history_is_bounded() {
    let compressors = Compressors::default();
    let mut server = Compression::new(Vec::new());
    for size in [1, 100, HISTORY - 1, HISTORY, 3, HISTORY + 1, 100_000, 7] {
        server.deflate(&compressors, &vec![7; size]).unwrap();
        assert!(server.history.len() <= HISTORY);
        assert!(server.history.capacity() <= HISTORY);
    }
    assert_eq!(server.history.len(), HISTORY);
}

#[test]
fn input_is_inflated_octet_by_octet_and_with_any_flush() {
    let pieces: [&[u8]; 3] = [b"a NOOP\r\n", b"b NOOP\r\n", b"c NOOP\r\n"];
    for flush in [
        FlushCompress::Sync,
        FlushCompress::Partial,
        FlushCompress::Full,
    ] {
        let mut server = Compression::new(Vec::new());
        for (compressed, piece) in peer(&pieces, flush).iter().zip(pieces) {
            let mut read = Vec::new();
            for octet in compressed {
                server.push(&[*octet]);
                read.extend(drain(&mut server).unwrap());
            }
            assert_eq!(read, piece, "{flush:?}");
        }
    }
}

#[test]
fn a_bomb_comes_in_pieces() {
    let zeros = vec![0; 50_000_000];
    let bomb = peer(&[&zeros], FlushCompress::Sync).concat();
    assert!(bomb.len() < 64 * 1024, "{}", bomb.len());
    let mut server = Compression::new(bomb);
    let mut piece = [0; PIECE];
    let mut octets = 0;
    while let Inflated::Octets(more) = server.inflate(&mut piece).unwrap() {
        assert!(server.input.len() < 64 * 1024);
        octets += more;
    }
    assert_eq!(octets, zeros.len());
    assert_eq!(server.input.capacity(), 0, "used up and given back");
}

#[test]
fn the_final_block_ends_the_input() {
    let mut input = peer(&[b"a LOGOUT\r\n"], FlushCompress::Finish).concat();
    input.extend_from_slice(b"b NOOP\r\n");
    let mut server = Compression::new(input);
    let mut piece = [0; PIECE];
    assert_eq!(server.inflate(&mut piece).unwrap(), Inflated::Octets(10));
    assert!(server.pending);
    assert_eq!(server.inflate(&mut piece).unwrap(), Inflated::End);
}

#[test]
fn commands_in_the_clear_are_no_deflate_stream() {
    for input in ["a NOOP\r\n", "a LOGOUT\r\n", "a1 SELECT INBOX\r\n"] {
        let mut server = Compression::new(input.into());
        assert!(drain(&mut server).is_err(), "{input}");
    }
}

proptest! {
    #[test]
    fn anything_arrives_as_it_was_sent(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..5000),
                "[ab]{0,5000}".prop_map(String::into_bytes),
            ],
            1..8,
        )
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(send(&pieces), pieces);
    }

    #[test]
    fn no_input_does_harm(input in prop::collection::vec(any::<u8>(), 0..2000), cut in 1usize..50) {
        let mut server = Compression::new(Vec::new());
        for piece in input.chunks(cut) {
            server.push(piece);
            if drain(&mut server).is_err() {
                break;
            }
            prop_assert!(server.pending || server.input.is_empty());
        }
    }
}
