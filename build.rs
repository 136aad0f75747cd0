//! Lets the examples and tests of this package find libtorch at run time.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // tch passes on the folder that it linked against. The rpath covers this package's own
    // programs only: cargo hands no link arguments on to those that depend on a library.
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
