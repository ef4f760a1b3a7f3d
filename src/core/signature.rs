//! How a message of ours proves where it comes from: HMAC-SHA256 over its time and its body.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

/// The header that holds the time, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "turquoise-timestamp";
/// The header that holds the signature.
pub const SIGNATURE_HEADER: &str = "turquoise-signature";

/// `v1=` and the hexadecimal HMAC of `TIMESTAMP.BODY`: a receiver refuses old times, so that no message is played again.
#[must_use]
pub fn signature(secret: &[u8], at: Timestamp, body: &[u8]) -> String {
    // HMAC takes keys of any length; an empty tag would match nothing.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(at.as_second().to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut text = String::from("v1=");
    for byte in mac.finalize().into_bytes() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_tools_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let at = Timestamp::from_second(1_700_000_000).expect("a time");
        assert_eq!(
            signature(b"key", at, br#"{"a":1}"#),
            "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }
}
