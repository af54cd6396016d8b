//! Random secrets and their comparison.

use std::fmt::Write;

use ring::rand::{SecureRandom, SystemRandom};

use super::answer::Fault;

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Random bytes.
///
/// # Errors
/// Where the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bits = [0_u8; N];
    SystemRandom::new().fill(&mut bits).map_err(|_| Fault::new(500, "No random numbers"))?;
    Ok(bits)
}

/// A random UUID (RFC 9562, version 4).
///
/// # Errors
/// Where the system has no random numbers.
pub fn uuid() -> Result<String, Fault> {
    let mut bits = random::<16>()?;
    bits[6] = (bits[6] & 0x0f) | 0x40;
    bits[8] = (bits[8] & 0x3f) | 0x80;
    let text = hex(&bits);
    Ok([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
}

/// Whether two secrets are the same; how long it takes does not tell where they differ.
pub fn same(one: &str, other: &str) -> bool {
    let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let (one, other) = (digest(one), digest(other));
    one.as_ref().iter().zip(other.as_ref()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
