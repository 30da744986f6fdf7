//! COMPRESS=DEFLATE: what a client sends is inflated the same however it is cut and holds no more
//! than was sent, and what is deflated arrives.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;

// The server's driver is no library for others, so that this file of it stands for the crate.
#[path = "../../../crates/pillarbox/src/connection/compression/deflate.rs"]
mod deflate;

use deflate::{Compression, Compressors, Inflated, PIECE};

/// The most that is inflated of one input: a bomb may have a thousand times its size.
const MOST: usize = 4 * 1024 * 1024;

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Hungry,
    AtItsEnd,
    Damaged,
    TooLong,
}

/// What can be inflated now, and how that ended.
fn drain(compression: &mut Compression, all: &mut Vec<u8>) -> Ended {
    let mut piece = [0; PIECE];
    while all.len() < MOST {
        match compression.inflate(&mut piece) {
            Ok(Inflated::Octets(octets)) => {
                assert!((1..=PIECE).contains(&octets));
                all.extend_from_slice(&piece[..octets]);
            }
            Ok(Inflated::Hungry) => {
                assert!(!compression.is_pending());
                return Ended::Hungry;
            }
            Ok(Inflated::End) => return Ended::AtItsEnd,
            Err(error) => {
                let _: io::Error = error;
                return Ended::Damaged;
            }
        }
    }
    Ended::TooLong
}

/// What comes of a stream in such pieces.
fn inflate<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Ended) {
    let mut compression = Compression::new(Vec::new());
    let (mut all, mut sent) = (Vec::new(), 0);
    for piece in pieces {
        compression.push(piece);
        sent += piece.len();
        let ended = drain(&mut compression, &mut all);
        if ended != Ended::Hungry {
            if ended == Ended::Damaged {
                compression.give_up();
                assert!(!compression.is_pending());
            }
            assert!(compression.into_rest().len() <= sent);
            return (all, ended);
        }
    }
    assert!(compression.into_rest().is_empty());
    (all, Ended::Hungry)
}

fuzz_target!(|input: &[u8]| {
    let (whole, ended) = inflate([input].into_iter());
    if ended != Ended::TooLong {
        for size in [1, 7] {
            let (cut, cut_ended) = inflate(input.chunks(size));
            assert_eq!(cut_ended, ended);
            // What comes before the damage depends on how much is tried at once.
            match ended {
                Ended::Damaged => assert!(cut.starts_with(&whole) || whole.starts_with(&cut)),
                _ => assert!(cut == whole),
            }
        }
    }
    let compressors = Compressors::default();
    let mut server = Compression::new(Vec::new());
    let mut client = Compression::new(Vec::new());
    for piece in input.chunks(input.len() / 3 + 1) {
        client.push(
            &server
                .deflate(&compressors, piece)
                .expect("output is deflated"),
        );
        let mut read = Vec::new();
        assert_eq!(drain(&mut client, &mut read), Ended::Hungry);
        assert!(read == piece);
    }
});
