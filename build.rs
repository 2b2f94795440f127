//! Lets a change of the built front end, which is embedded in the binary, build the binary anew.

use std::path::Path;

fn main() {
    // Cargo takes a path that is not there for changed at every build. Where the folder cannot be made, that is all that happens.
    let dist = Path::new("static/dist");
    let _ = std::fs::create_dir_all(dist);
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
}
