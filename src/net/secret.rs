//! Secrets that the operator granted by name: read where they are used, each time, so that a rotated one counts at once.

use std::fs::File;
use std::io::Read;

use crate::core::grants::SecretSource;
use crate::core::text::OneLine;

/// A key, a token or a URL is shorter; a larger file is another one.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Why a secret could not be read. Never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the secret from {source_name}: {words}")]
pub struct SecretError {
    /// The file or the variable.
    pub source_name: String,
    /// What happened.
    pub words: OneLine,
}

/// The secret's bytes, without line ends behind it.
///
/// # Errors
/// It is not there, is empty, or is larger than a secret.
pub fn read(source: &SecretSource) -> Result<Vec<u8>, SecretError> {
    let failed = |words: &str| SecretError { source_name: source.to_string(), words: OneLine::new(words) };
    let mut bytes = Vec::new();
    match source {
        SecretSource::Env(variable) => match std::env::var(variable) {
            Ok(value) => bytes = value.into_bytes(),
            Err(_not_set) => return Err(failed("it is not set, or is no text")),
        },
        SecretSource::File(path) => {
            let file = File::open(path).map_err(|error| failed(&error.to_string()))?;
            file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(&error.to_string()))?;
        }
    }
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(failed("it is larger than 64 KiB"));
    }
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() { Err(failed("it is empty")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_without_its_line_end_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("good"), "s3cret\r\n").expect("written");
        std::fs::write(at("empty"), "\n").expect("written");
        std::fs::write(at("huge"), vec![b's'; 70_000]).expect("written");
        let read = |name: &str| read(&SecretSource::File(at(name)));
        assert_eq!(read("good").as_deref(), Ok(&b"s3cret"[..]));
        for name in ["empty", "huge", "missing"] {
            let error = read(name).expect_err(name).to_string();
            assert!(error.contains(name) && !error.contains("sss"), "{error}");
        }
    }
}
