//! Reading YAML in both dialects, and writing what was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turquoise_kustomize::yaml;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drop(yaml::strict(text));
    drop(yaml::last_wins(text));
    let plain = yaml::resources(text);
    let placed = yaml::resources_with_nodes(text);
    assert_eq!(plain.is_ok(), placed.is_ok());
    for document in plain.into_iter().flatten() {
        let value = document.to_json();
        let written = yaml::to_string(&value);
        let read = yaml::resources(&written).unwrap_or_else(|error| panic!("{error} in what was written: {written:?}"));
        let read: Vec<_> = read.iter().map(|document| document.to_json()).collect();
        assert_eq!(read, [value], "{written:?}");
    }
});
