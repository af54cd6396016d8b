//! Embeds every file of `topologies/`, and names it to the tests, so that a new scenario needs only its file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=topologies");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let files = shipped(&root.join("topologies"))?;
    fs::write(out.join("catalog.rs"), catalog(&files))?;
    fs::write(out.join("topologies.rs"), tests(&files))
}

/// The files and their names, ordered by name.
fn shipped(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let named = |file: PathBuf| Some((file.file_stem()?.to_string_lossy().into_owned(), file));
    let is_yaml = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "yaml");
    let mut files: Vec<(String, PathBuf)> = files.into_iter().filter(is_yaml).filter_map(named).collect();
    files.sort();
    Ok(files)
}

/// A slice of names and texts.
fn catalog(files: &[(String, PathBuf)]) -> String {
    let mut code = String::from("&[\n");
    for (name, file) in files {
        // Writing to a String cannot fail.
        let _ = writeln!(code, "    ({name:?}, include_str!({:?})),", file.display().to_string());
    }
    code + "]\n"
}

/// For `tests/kills.rs`: a module of tests for each.
fn tests(files: &[(String, PathBuf)]) -> String {
    let modules = files.iter().map(|(name, _)| format!("{} {name:?}", name.replace('-', "_")));
    format!("topologies!({});\n", modules.collect::<Vec<_>>().join(", "))
}
