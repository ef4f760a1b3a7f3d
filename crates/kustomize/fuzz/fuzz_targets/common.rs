//! What the targets share: an input is cut into files at bytes that no text holds.

use turquoise_kustomize::{Build, MemoryTree};

/// Never part of UTF-8.
const CUT: u8 = 0xff;

/// The input's parts, as many as asked for; missing ones are empty.
pub fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.split(|byte| *byte == CUT);
    std::array::from_fn(|_| parts.next().unwrap_or(b""))
}

/// Renders; what comes out must be readable again, and the same when it is rendered again.
pub fn render(tree: &MemoryTree, path: &str) {
    let first = Build::new(tree, path).run();
    let Ok(output) = first else { return };
    let text = output.to_yaml();
    let read = turquoise_kustomize::yaml::resources(&text);
    let read: Vec<_> = read.expect("the output is no YAML").iter().map(|document| document.to_json()).collect();
    let objects: Vec<_> = output.objects.iter().map(|object| object.to_json()).collect();
    assert_eq!(read, objects, "the output does not say what was rendered");
    let again = Build::new(tree, path).run().expect("it rendered a moment ago");
    assert_eq!(text, again.to_yaml(), "two renders of the same differ");
}
