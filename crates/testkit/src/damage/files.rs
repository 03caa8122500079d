//! The files of a directory, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Names and contents of the files of a directory; names of files in subdirectories have a `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// No files.
    pub fn new() -> Self {
        Files::default()
    }

    /// Adds or replaces a file.
    pub fn put(&mut self, name: impl Into<String>, contents: impl Into<Vec<u8>>) {
        self.0.insert(name.into(), contents.into());
    }

    /// Takes a file away.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn take(&mut self, name: &str) -> Vec<u8> {
        let taken = self.0.remove(name);
        taken.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// What a file holds.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn get(&self, name: &str) -> &[u8] {
        let contents = self.0.get(name);
        contents.unwrap_or_else(|| panic!("there is no {name} among {:?}", self.names()))
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Writes the files into a directory, which is made if it is missing.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn write_to(&self, dir: &Path) {
        fs::create_dir_all(dir).expect("a new directory");
        for (name, contents) in &self.0 {
            let path = dir.join(name);
            let parent = path.parent().expect("a file lies in a directory");
            fs::create_dir_all(parent).expect("a new directory");
            fs::write(&path, contents).expect("a new file");
        }
    }

    /// The files of a directory and of its subdirectories. Sockets and the like are left out.
    ///
    /// # Panics
    /// If they cannot be read.
    pub fn read_from(dir: &Path) -> Self {
        let mut files = Files::new();
        files.collect(dir, "");
        files
    }

    fn collect(&mut self, dir: &Path, prefix: &str) {
        for entry in fs::read_dir(dir).expect("the directory can be listed") {
            let entry = entry.expect("the directory can be listed");
            let name = entry.file_name().into_string().expect("a plain name");
            let kind = entry.file_type().expect("the kind of a file");
            if kind.is_dir() {
                self.collect(&entry.path(), &format!("{prefix}{name}/"));
            } else if kind.is_file() {
                let contents = fs::read(entry.path()).expect("the file can be read");
                self.put(format!("{prefix}{name}"), contents);
            }
        }
    }
}
