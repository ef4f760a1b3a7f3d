//! The bounds of a build, each with its reason. Every one is reported by name when it is hit.

/// Bytes of one file. Bundles of custom resource definitions reach several mebibytes; nothing sensible is larger than this.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes read by one build. Four of the largest files: a build of ordinary manifests reads a few hundred kibibytes.
pub const BUILD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Files read by one build, counted with repetition. The largest public trees hold a few thousand.
pub const BUILD_FILES_MAX: usize = 20_000;

/// Kustomizations from the top one to the deepest base. Real trees stay below ten; each layer costs stack and a copy of the configuration.
pub const LAYERS_MAX: usize = 32;

/// Kustomizations visited by one build, counted with repetition: a short chain of bases that each name the next one
/// several times grows exponentially.
pub const KUSTOMIZATIONS_MAX: usize = 2_000;

/// Nesting of one YAML document. Custom resource definitions reach about 60; recursion over values relies on this bound.
pub const DEPTH_MAX: usize = 250;

/// Nodes (scalars, lists, maps) that any build may read, after aliases are expanded. A node takes about 40 bytes, so this
/// is what 16 MiB hold.
pub const NODES_BASE: usize = 400_000;

/// Beyond that a build may read one node for so many bytes of its files, which keeps its memory within twenty times their
/// size. Manifests have one for ten to twenty bytes; only endless lists of single digits are denser.
pub const BYTES_PER_NODE_MIN: usize = 2;

/// Nodes that labels, annotations and patches may add in one build: forty labels on each of a hundred thousand resources.
pub const ADDED_NODES_MAX: usize = 4_000_000;

/// Nodes that aliases may add to one document. Seven hundred bytes of nested aliases stand for billions of nodes, honest use for a few thousand.
pub const ALIAS_NODES_MAX: usize = 200_000;

/// Documents in one file. The largest public bundles hold a few hundred.
pub const FILE_DOCUMENTS_MAX: usize = 50_000;

/// Resources of one build.
pub const RESOURCES_MAX: usize = 100_000;

/// Nodes that `copy` operations of one JSON patch may add: each can double the object.
pub const PATCH_COPY_NODES_MAX: usize = 100_000;

/// Bytes of one regular expression in a patch target or an image name, and of its compiled form in kibibytes.
pub const REGEX_BYTES_MAX: usize = 4_096;

/// Compiled size of one regular expression: counted repetitions such as `(a{1000}){1000}` are refused instead of built.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that replacements and variables may write in one build: each can copy a large value to every object.
pub const COPIED_BYTES_MAX: usize = 64 * 1024 * 1024;
