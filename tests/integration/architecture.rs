//! What `server/ARCHITECTURE.md` says of the code's shape still holds.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module may import those before it.
const ORDER: [&str; 20] = [
    "proto",
    "error",
    "org_url",
    "config",
    "secret",
    "sqlite",
    "connections",
    "metrics",
    "okta",
    "authorization",
    "cards",
    "journal",
    "events",
    "reconciler",
    "webhook",
    "grpc",
    "admin",
    "shutdown",
    "telemetry",
    "app",
];

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        fs::read_dir(path).expect("folder").for_each(|entry| files(&entry.expect("entry").path(), found));
    } else if path.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// The modules that the code of a module names by `crate::`.
fn imports(module: &str) -> Vec<String> {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("server");
    let mut paths = Vec::new();
    files(&server.join(module), &mut paths);
    files(&server.join(format!("{module}.rs")), &mut paths);
    assert!(!paths.is_empty(), "there is no module {module}");
    let mut names = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("source");
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(rest.len());
            names.push(rest[..end].to_owned());
        }
    }
    names
}

#[test]
fn imports_run_one_way() {
    for (place, module) in ORDER.iter().enumerate() {
        for import in imports(module) {
            let allowed = import == *module || import.is_empty() || ORDER[..place].contains(&import.as_str());
            assert!(allowed, "{module} imports {import}, which stands behind it");
        }
    }
}

#[test]
fn the_sandbox_shares_no_code_with_the_connector() {
    let foreign: Vec<String> = imports("sandbox").into_iter().filter(|name| name != "sandbox").collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
