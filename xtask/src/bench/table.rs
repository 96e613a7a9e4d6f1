//! Figures side by side.

use super::store::Store;

/// A table: a row for each figure, a column for each store.
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// Begins with a heading that names stores and versions.
    pub fn new(title: &str, stores: &[Store]) -> Self {
        let names: Vec<String> =
            stores.iter().map(|store| format!("{} {}", store.kind.name(), store.version)).collect();
        Self::with_columns(title, &names)
    }

    /// Begins with a heading of one's own.
    pub fn with_columns(title: &str, columns: &[String]) -> Self {
        Self(vec![std::iter::once(title.to_owned()).chain(columns.iter().cloned()).collect()])
    }

    /// Adds a row.
    pub fn row<T>(&mut self, title: &str, values: &[T], show: impl Fn(&T) -> String) {
        self.0.push(std::iter::once(title.to_owned()).chain(values.iter().map(show)).collect());
    }

    /// Prints it in Markdown, ready for docs/measurements.md.
    pub fn print(&self) {
        println!();
        for (number, row) in self.0.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if number == 0 {
                println!("|{}", "---|".repeat(row.len()));
            }
        }
        println!();
    }
}

/// Bytes in MiB.
pub fn mib(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1_048_576.0)
}
