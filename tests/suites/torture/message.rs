//! Messages that are known by a number: whoever knows it knows every byte.

/// The bytes of a message, with CRLF.
pub(crate) fn bytes(number: u64) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let lines = match mixed >> 58 {
        0 => 3000,
        1..4 => 200,
        _ => mixed >> 60,
    };
    let mut text = format!("Subject: m{number}e\r\nFrom: torture@example.org\r\n\r\n");
    for line in 0..lines {
        text.push_str(&format!("{:016x} {line}\r\n", mixed.wrapping_mul(line | 1)));
    }
    text.into_bytes()
}

/// The same with LF, as other programs deliver.
pub(crate) fn delivered(number: u64) -> Vec<u8> {
    let mut bytes = bytes(number);
    bytes.retain(|octet| *octet != b'\r');
    bytes
}

/// The number of a message that begins with these bytes.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    let line = bytes.split(|octet| *octet == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("Subject: m")?
        .strip_suffix('e')?
        .parse()
        .ok()
}
