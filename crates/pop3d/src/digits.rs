//! Numbers as octets, for listings of very many lines: `core::fmt` takes several times as long.

/// Appends a number in decimal.
pub(crate) fn decimal(number: u64, out: &mut Vec<u8>) {
    positional::<10>(number, 1, out);
}

/// Appends a number in hexadecimal, with zeros before it up to `least` digits, at most 20.
pub(crate) fn hexadecimal(number: u64, least: usize, out: &mut Vec<u8>) {
    positional::<16>(number, least, out);
}

/// Appends a number to a base up to 16.
fn positional<const BASE: u64>(number: u64, least: usize, out: &mut Vec<u8>) {
    // The longest number of 64 bits has 20 digits to the base 10.
    let mut digits = [b'0'; 20];
    let mut left = number;
    let mut count = 0;
    for (index, digit) in digits.iter_mut().rev().enumerate() {
        if left == 0 && index >= least.max(1) {
            break;
        }
        let value = usize::try_from(left % BASE).unwrap_or_default();
        *digit = DIGITS.get(value).copied().unwrap_or_default();
        left /= BASE;
        count = index + 1;
    }
    out.extend_from_slice(digits.get(digits.len() - count..).unwrap_or_default());
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_format_writes_them() {
        let powers = (0..64).map(|shift| 1u64 << shift);
        let numbers = powers.flat_map(|power| [power - 1, power, power + 1]);
        for number in numbers.chain([u64::MAX, 99, 100, 1_000_000]) {
            let mut out = b"x".to_vec();
            decimal(number, &mut out);
            assert_eq!(out, format!("x{number}").into_bytes());
            let mut out = Vec::new();
            hexadecimal(number, 8, &mut out);
            assert_eq!(out, format!("{number:08x}").into_bytes());
            let mut out = Vec::new();
            hexadecimal(number, 0, &mut out);
            assert_eq!(out, format!("{number:x}").into_bytes());
        }
    }
}
