//! How a message of ours, a notification or a check's webhook, proves where it comes from: HMAC-SHA256 over the time of
//! sending and the body.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The header with the time of sending: seconds since 1970, in digits.
pub const TIMESTAMP_HEADER: &str = "turquoise-timestamp";
/// The header with the signature: `v1=` and 64 hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "turquoise-signature";
/// What stands before the digits: another scheme would get another number.
const SCHEME: &str = "v1=";

/// The signature of a body that is sent at a time, in seconds since 1970: a receiver refuses old times, so that no message is
/// played again.
#[must_use]
pub fn sign(secret: &[u8], timestamp: i64, body: &[u8]) -> String {
    let tag = mac(secret, &timestamp.to_string(), body).finalize().into_bytes();
    tag.iter().fold(SCHEME.to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Whether a message is from somebody who knows the secret, and was sent within `tolerance_s` of `now`: how a receiver
/// verifies. The comparison takes as long for a wrong signature as for the right one.
///
/// ```
/// use turquoise::notify::{sign, verify};
///
/// let (secret, body) = (b"s3cret", br#"{"specversion":"1.0"}"#);
/// // The headers `turquoise-timestamp` and `turquoise-signature`, as they came:
/// let (timestamp, signature) = ("1767607242", sign(secret, 1_767_607_242, body));
///
/// let now = 1_767_607_250;
/// assert!(verify(secret, timestamp, &signature, body, now, 300));
/// assert!(!verify(secret, timestamp, &signature, b"another body", now, 300));
/// assert!(!verify(secret, "1767607243", &signature, body, now, 300));
/// assert!(!verify(secret, timestamp, &signature, body, now + 3600, 300), "an old message, sent again by somebody");
/// assert!(!verify(b"another secret", timestamp, &signature, body, now, 300));
/// ```
#[must_use]
pub fn verify(secret: &[u8], timestamp: &str, signature: &str, body: &[u8], now: i64, tolerance_s: u64) -> bool {
    let fresh = timestamp.parse::<i64>().is_ok_and(|sent| now.abs_diff(sent) <= tolerance_s);
    let digits = signature.strip_prefix(SCHEME).unwrap_or_default().as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let tag: Option<Vec<u8>> = digits.map(byte).collect();
    fresh && tag.is_some_and(|tag| mac(secret, timestamp, body).verify_slice(&tag).is_ok())
}

fn mac(secret: &[u8], timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_never| unreachable!("HMAC takes any key"));
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_tools_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            sign(b"key", 1_700_000_000, br#"{"a":1}"#),
            "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }
}
