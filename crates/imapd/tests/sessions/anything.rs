//! Any octets in any state: an answer or silence, but never a panic (S29).

use proptest::prelude::*;

use crate::world::World;

/// Pieces that commands are made of, and pieces that they are not.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "a ",
        "UID ",
        "FETCH ",
        "STORE ",
        "SEARCH ",
        "COPY ",
        "APPEND ",
        "INBOX ",
        "1:* ",
        "* ",
        "4294967295 ",
        "BODY[",
        "BODY.PEEK[",
        "1.2.",
        "HEADER.FIELDS ",
        "]",
        "<0.10>",
        "(",
        ")",
        "FLAGS ",
        "+FLAGS.SILENT ",
        "\\Deleted",
        "\\Seen ",
        "{3}\r\n",
        "{3+}\r\n",
        "abc",
        "\"",
        "\\",
        "\r\n",
        "\n",
        "IDLE\r\n",
        "DONE\r\n",
        "EXPUNGE\r\n",
        "SELECT ",
        "EXAMINE ",
        "LIST ",
        "\"\" ",
        "%",
        "LSUB ",
        "CREATE x\r\n",
        "DELETE x\r\n",
        "RENAME INBOX x\r\n",
        "NOT ",
        "OR ",
        "TEXT ",
        "CHARSET UTF-8 ",
        "AUTHENTICATE PLAIN\r\n",
        "=\r\n",
        "STARTTLS\r\n",
        "CLOSE\r\n",
        "&",
        "=?",
    ]);
    prop_oneof![
        6 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn octets_never_panic_in_any_state(pieces in prop::collection::vec(piece(), 1..60)) {
        let world = World::new();
        world.deliver_many(2);
        let octets = pieces.concat();
        for mut client in [world.connect(), world.log_in(), world.select(), world.examine()] {
            client.send(&octets);
            // Also byte by byte, which must come to the same.
            for octet in octets.iter().take(200) {
                client.send([*octet]);
            }
        }
    }
}
