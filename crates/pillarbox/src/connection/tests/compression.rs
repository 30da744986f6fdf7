//! The driver when a machine asks for compression.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::*;

/// A peer that compresses.
struct Peer {
    compressor: Compress,
    inflater: Decompress,
}

impl Peer {
    fn new() -> Self {
        Self {
            compressor: Compress::new(Compression::best(), false),
            inflater: Decompress::new(false),
        }
    }

    fn deflate(&mut self, text: impl AsRef<[u8]>) -> Vec<u8> {
        let text = text.as_ref();
        let mut out = Vec::with_capacity(text.len() + 1024);
        let sync = FlushCompress::Sync;
        self.compressor.compress_vec(text, &mut out, sync).unwrap();
        out
    }

    /// Reads what the driver has sent up to now, as the text that it is.
    async fn read(&mut self, client: &mut DuplexStream) -> String {
        let mut bytes = [0; 1024];
        let read = client.read(&mut bytes).await.unwrap();
        let mut text = Vec::with_capacity(100_000);
        let none = FlushDecompress::None;
        self.inflater
            .decompress_vec(&bytes[..read], &mut text, none)
            .unwrap();
        String::from_utf8(text).unwrap()
    }
}

#[tokio::test]
async fn both_directions_are_compressed_from_there_on() {
    let mut peer = Peer::new();
    let mut toy = start([
        Step::Read,
        Step::Write("OK"),
        Step::Compress(Vec::new()),
        Step::Read,
        Step::Write("answer"),
        Step::Read,
        Step::Write("push"),
        Step::Read,
    ]);
    toy.client.write_all(b"COMPRESS").await.unwrap();
    assert_eq!(toy.told().await, bytes("COMPRESS"));
    assert_eq!(toy.read(2).await, "OK", "in the clear");
    let command = peer.deflate("command");
    toy.client.write_all(&command).await.unwrap();
    assert_eq!(toy.told().await, bytes("command"));
    assert_eq!(peer.read(&mut toy.client).await, "answer");
    // Nothing waits in the compressor for more, as a client that is idle needs it.
    toy.waker.wake_by_ref();
    assert_eq!(toy.told().await, Told::Woken);
    assert_eq!(peer.read(&mut toy.client).await, "push");
}

/// What a peer sends behind the last that it compresses, and how it ends that.
async fn end_of_compression(last: Vec<u8>) {
    let mut peer = Peer::new();
    let mut toy = start([
        Step::Compress(Vec::new()),
        Step::Read,
        Step::Write("OK"),
        Step::Forget,
        Step::Read,
        Step::Write("plain"),
    ]);
    let both = [last, b"more".to_vec()].concat();
    toy.client.write_all(&both).await.unwrap();
    assert_eq!(toy.told().await, bytes("last"));
    assert_eq!(toy.told().await, bytes("more"));
    let mut sent = vec![0; 1024];
    let mut read = 0;
    while !sent[..read].ends_with(b"plain") {
        read += toy.client.read(&mut sent[read..]).await.unwrap();
    }
    let mut text = Vec::with_capacity(100);
    let none = FlushDecompress::None;
    let status = peer
        .inflater
        .decompress_vec(&sent[..read], &mut text, none)
        .unwrap();
    assert_eq!(
        (status, text.as_slice()),
        (flate2::Status::StreamEnd, &b"OK"[..])
    );
    let end = usize::try_from(peer.inflater.total_in()).unwrap();
    assert_eq!(&sent[end..read], b"plain");
}

#[tokio::test]
async fn compression_ends_where_the_peer_flushed_or_finished() {
    end_of_compression(Peer::new().deflate("last")).await;
    let mut finished = Vec::with_capacity(100);
    Compress::new(Compression::best(), false)
        .compress_vec(b"last", &mut finished, FlushCompress::Finish)
        .unwrap();
    end_of_compression(finished).await;
}

#[tokio::test]
async fn the_place_of_a_user_who_is_gone_is_free() {
    let mut toy = start([
        Step::Verify("ann"),
        Step::Read,
        Step::Forget,
        Step::Write("free"),
        Step::Read,
    ]);
    assert!(matches!(toy.told().await, Told::Verified(_)));
    let address = [192, 0, 2, 1].into();
    assert!(toy.limiter.session("ann", address).is_none());
    toy.client.write_all(b"x").await.unwrap();
    assert_eq!(toy.told().await, bytes("x"));
    assert_eq!(toy.read(4).await, "free");
    assert!(toy.limiter.session("ann", address).is_some());
}

#[tokio::test]
async fn what_the_machine_gives_back_is_inflated_first() {
    let mut peer = Peer::new();
    let ahead = peer.deflate("ahead");
    let (first, second) = ahead.split_at(3);
    let mut toy = start([Step::Compress(first.to_vec()), Step::Read]);
    toy.client.write_all(second).await.unwrap();
    let mut text = String::new();
    while text.len() < 5 {
        let Told::Bytes(piece) = toy.told().await else {
            panic!("told of something else");
        };
        text.push_str(&piece);
    }
    assert_eq!(text, "ahead");
}

#[tokio::test]
async fn input_comes_octet_by_octet() {
    let mut peer = Peer::new();
    let mut toy = start([Step::Compress(Vec::new())]);
    for text in ["first", "second", "third"] {
        for octet in peer.deflate(text) {
            toy.client.write_all(&[octet]).await.unwrap();
            yield_now().await;
        }
        let mut read = String::new();
        while read.len() < text.len() {
            let Told::Bytes(piece) = toy.told().await else {
                panic!("told of something else");
            };
            read.push_str(&piece);
        }
        assert_eq!(read, text);
    }
}

#[tokio::test]
async fn a_bomb_is_told_in_pieces_and_others_go_in_between() {
    let mut peer = Peer::new();
    let bomb = peer.deflate(vec![b'x'; 1_000_000]);
    assert!(bomb.len() < 2048);
    let mut toy = start([Step::Compress(bomb)]);
    let mut octets = 0;
    while octets < 1_000_000 {
        let Told::Bytes(piece) = toy.told().await else {
            panic!("told of something else");
        };
        assert!(piece.len() <= 16 * 1024);
        octets += piece.len();
        // This task and the session share one thread.
        assert!(toy.told.try_recv().is_err(), "the session went on alone");
    }
    assert_eq!(octets, 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn blocks_without_content_do_not_extend_a_deadline() {
    let limit = Duration::from_secs(60);
    let empty = [0, 0, 0, 0xff, 0xff];
    let mut toy = start([Step::Compress(Vec::new()), Step::ReadFor(limit)]);
    let began = tokio::time::Instant::now();
    let flood = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            toy.client.write_all(&empty.repeat(10)).await.unwrap();
        }
    };
    tokio::select! {
        () = flood => {}
        told = toy.told.recv() => assert_eq!(told, Some(Told::Deadline)),
    }
    assert_eq!(began.elapsed(), limit);
}

#[tokio::test(start_paused = true)]
async fn damaged_and_ended_input_ends_the_session_and_leaves_its_last_answer() {
    let finished = {
        let mut out = Vec::with_capacity(100);
        let mut compressor = Compress::new(Compression::best(), false);
        compressor
            .compress_vec(b"", &mut out, FlushCompress::Finish)
            .unwrap();
        out
    };
    for input in [b"a NOOP in the clear\r\n".to_vec(), finished] {
        let mut peer = Peer::new();
        let mut toy = start([
            Step::Compress(Vec::new()),
            Step::Write("last"),
            Step::Read,
            Step::Work,
            Step::Close,
        ]);
        toy.client.write_all(&input).await.unwrap();
        assert_eq!(toy.told().await, Told::Eof);
        // The peer is not cut off while it sends.
        toy.client.write_all(&[0; 10_000]).await.unwrap();
        assert_eq!(toy.rest().await, [Told::Worked, Told::Dropped]);
        assert_eq!(peer.read(&mut toy.client).await, "last");
        assert_eq!(toy.client.read(&mut [0]).await.unwrap(), 0);
        drop(toy.client);
        assert_eq!(toy.session.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn a_machine_that_reads_after_damaged_input_is_dropped() {
    let mut toy = start([Step::Compress(vec![7]), Step::Read, Step::Read]);
    assert_eq!(toy.rest().await, [Told::Eof, Told::Dropped]);
    drop(toy.client);
    assert_eq!(toy.session.await.unwrap(), Err(Ended::Unfinished));
}
