//! BINARY: large parts are decoded as they are sent.

use crate::world::World;

/// A message of one part in quoted-printable, and the part decoded: digits with a NUL every so often.
fn large(lines: usize) -> (String, Vec<u8>) {
    let mut file = String::from("Content-Transfer-Encoding: quoted-printable\n\n");
    let mut decoded = Vec::new();
    for line in 0..lines {
        let end = if line % 1000 == 500 { "=00" } else { "=41" };
        file.push_str(&format!("{line:020}{end}=\n"));
        decoded.extend_from_slice(format!("{line:020}").as_bytes());
        decoded.push(if line % 1000 == 500 { 0 } else { b'A' });
    }
    (file, decoded)
}

#[test]
fn a_large_part_is_decoded_as_it_is_sent() {
    let world = World::new();
    let (file, decoded) = large(40_000);
    world.deliver(&file);
    let mut client = world.select();
    let size = decoded.len();
    let answer = client.send("x FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])\r\n");
    let rest = answer.strip_prefix(&format!("* 1 FETCH (BINARY[1] ~{{{size}}}\r\n"));
    let text = String::from_utf8(decoded).unwrap();
    let after = rest.unwrap().strip_prefix(&text).expect("the octets");
    assert_eq!(
        after,
        format!(" BINARY.SIZE[1] {size})\r\nx OK FETCH completed\r\n")
    );
    assert!(
        client.largest_write <= 128 * 1024,
        "{}",
        client.largest_write
    );
    assert!(client.slices > 5, "{}", client.slices);
    // What is sent depends on what is wanted, and so does the literal.
    for (origin, octets, tilde) in [(300_000, 200_000, "~"), (10_600, 10_000, ""), (0, 9, "")] {
        let section = format!("BINARY.PEEK[1]<{origin}.{octets}>");
        let answer = client.send(format!("x FETCH 1 {section}\r\n"));
        let start = format!("* 1 FETCH (BINARY[1]<{origin}> {tilde}{{{octets}}}\r\n");
        let rest = answer.strip_prefix(&start);
        let part = text.get(origin..origin + octets).unwrap();
        assert_eq!(
            rest.unwrap().strip_prefix(part),
            Some(")\r\nx OK FETCH completed\r\n")
        );
    }
}

#[test]
fn damage_far_inside_is_found_before_anything_is_sent() {
    let world = World::new();
    let (file, _) = large(40_000);
    world.deliver(format!("{file}=XY"));
    let mut client = world.select();
    client.expect(
        "x FETCH 1 BINARY.PEEK[1]\r\n",
        &["* 1 FETCH (UID 1)", "x NO [UNKNOWN-CTE] …"],
    );
    client.expect(
        "x FETCH 1 BODY.PEEK[1]<0.3>\r\n",
        &["* 1 FETCH (BODY[1]<0> {3}", "000)", "x OK …"],
    );
}
