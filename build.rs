//! Links the binary so that less of it is resident.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The list of addresses that the loader must adjust is read whole at the start and stays resident. Packed, its
    // megabyte is some ten kilobytes (docs/adr/0008). glibc reads the packed form since 2.36.
    let target = |key: &str| std::env::var(key).unwrap_or_default();
    if target("CARGO_CFG_TARGET_OS") == "linux" && target("CARGO_CFG_TARGET_ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
