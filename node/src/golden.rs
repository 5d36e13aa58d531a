//! Pages of `docs/reference`, printed from code and kept beside it. `UPDATE_GOLDEN=1` writes them anew.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Compares a page with what its file says.
pub fn check(name: &str, page: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "docs", "reference", name]
        .iter()
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        page, golden,
        "docs/reference/{name} differs: UPDATE_GOLDEN=1 writes it anew"
    );
}

/// The beginning of every page.
pub fn head(title: &str) -> String {
    format!(
        "# {title}\n\nPrinted from the code by its tests; `UPDATE_GOLDEN=1 cargo nextest run -p stellara-node` writes it anew.\n"
    )
}

/// A table in Markdown.
pub fn table<const N: usize>(
    columns: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(N));
    for row in rows {
        // A bar would end the cell.
        let row = row.map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| {} |", row.join(" | ")).unwrap();
    }
    text
}
