//! Output files: all of them, or none.

use std::path::{Path, PathBuf};

/// Why files cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: std::io::Error,
}

fn failed(path: &Path, source: std::io::Error) -> WriteError {
    WriteError {
        path: path.to_path_buf(),
        source,
    }
}

/// A folder that files are put into under other names, and get their own when
/// all are there. What is not committed is removed, folders made for it too.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    made: Vec<PathBuf>,
    staged: Vec<(PathBuf, PathBuf)>,
}

impl OutputFolder {
    /// Makes the folder, where it is not there, and tries whether files can be
    /// written: before anything is computed for them.
    ///
    /// # Errors
    /// A folder that cannot be made or written to.
    pub fn open(path: &Path) -> Result<Self, WriteError> {
        let missing = |p: &&Path| !p.as_os_str().is_empty() && !p.exists();
        let mut made: Vec<PathBuf> = path
            .ancestors()
            .take_while(missing)
            .map(PathBuf::from)
            .collect();
        made.reverse();
        let mut folder = Self {
            path: path.to_path_buf(),
            made: Vec::new(),
            staged: Vec::new(),
        };
        for step in made {
            std::fs::create_dir(&step).map_err(|e| failed(path, e))?;
            folder.made.push(step);
        }
        let trial = folder.temporary("trial");
        std::fs::write(&trial, b"").map_err(|e| failed(path, e))?;
        std::fs::remove_file(&trial).map_err(|e| failed(path, e))?;
        Ok(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.path
            .join(format!(".{name}.{}.tmp", std::process::id()))
    }

    /// Puts a file aside under a temporary name.
    ///
    /// # Errors
    /// The disk is full, the folder is gone, ..
    pub fn stage(&mut self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let (temporary, last) = (self.temporary(name), self.path.join(name));
        self.staged.push((temporary.clone(), last.clone()));
        std::fs::write(&temporary, bytes).map_err(|e| failed(&last, e))
    }

    /// Gives all files their names.
    ///
    /// # Errors
    /// As [`OutputFolder::stage`].
    pub fn commit(mut self) -> Result<(), WriteError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        self.made.clear();
        for (temporary, last) in std::mem::take(&mut self.staged) {
            std::fs::rename(&temporary, &last).map_err(|e| failed(&last, e))?;
        }
        Ok(())
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        for (temporary, _) in &self.staged {
            // It may not have been written at all.
            let _ = std::fs::remove_file(temporary);
        }
        for folder in self.made.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Writes one file, all of it or nothing.
///
/// # Errors
/// A place that cannot be written to.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
    let Some(name) = name else {
        return Err(failed(path, std::io::ErrorKind::InvalidFilename.into()));
    };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let mut folder = OutputFolder::open(parent.unwrap_or(Path::new(".")))?;
    folder.stage(&name, bytes)?;
    folder.commit()
}

/// A page with a folder of files beside it, both of them or none.
#[derive(Debug)]
pub struct PageWithFolder {
    page: PathBuf,
    folder: PathBuf,
    /// Where the files are until all of them are there.
    aside: PathBuf,
    parent: OutputFolder,
}

impl PageWithFolder {
    /// Begins a page, and a folder called `name` beside it.
    ///
    /// # Errors
    /// A page or a folder that is there already, since files of two pages would
    /// be mixed up; a place that cannot be written to.
    pub fn open(page: &Path, name: &str) -> Result<Self, WriteError> {
        let parent = page.parent().filter(|p| !p.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let folder = parent.join(name);
        for place in [page, &folder] {
            if std::fs::symlink_metadata(place).is_ok() {
                let advice = "it is there already: remove it, or give a folder of its own";
                let there = std::io::ErrorKind::AlreadyExists;
                return Err(failed(place, std::io::Error::new(there, advice)));
            }
        }
        let parent = OutputFolder::open(parent)?;
        let aside = parent.temporary(name);
        std::fs::create_dir(&aside).map_err(|e| failed(&folder, e))?;
        Ok(Self {
            page: page.to_path_buf(),
            folder,
            aside,
            parent,
        })
    }

    /// Writes a file of the folder.
    ///
    /// # Errors
    /// The disk is full, the folder is gone, ..
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        std::fs::write(self.aside.join(name), bytes).map_err(|e| failed(&self.folder, e))
    }

    /// Writes the page and gives both their names.
    ///
    /// # Errors
    /// As [`PageWithFolder::put`].
    pub fn commit(mut self, page: &[u8]) -> Result<(), WriteError> {
        let name = self
            .page
            .file_name()
            .map(|n| n.to_string_lossy().into_owned());
        let Some(name) = name else {
            return Err(failed(
                &self.page,
                std::io::ErrorKind::InvalidFilename.into(),
            ));
        };
        self.parent.stage(&name, page)?;
        std::fs::rename(&self.aside, &self.folder).map_err(|e| failed(&self.folder, e))?;
        self.parent.finish().inspect_err(|_| {
            // The error says what went wrong first.
            let _ = std::fs::remove_dir_all(&self.folder);
        })
    }
}

impl Drop for PageWithFolder {
    fn drop(&mut self) {
        // It has its own name once the page is committed.
        let _ = std::fs::remove_dir_all(&self.aside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let files = std::fs::read_dir(path).unwrap();
        files
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn files_appear_together_or_not_at_all() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a/b");
        let mut folder = OutputFolder::open(&path).unwrap();
        folder.stage("x.txt", b"1").unwrap();
        assert!(!path.join("x.txt").exists());
        drop(folder);
        assert!(names(top.path()).is_empty());
        let mut folder = OutputFolder::open(&path).unwrap();
        folder.stage("x.txt", b"1").unwrap();
        folder.commit().unwrap();
        assert_eq!(names(&path), ["x.txt"]);
    }

    #[test]
    fn a_page_and_its_folder_appear_together_or_not_at_all() {
        let top = tempfile::tempdir().unwrap();
        let page = top.path().join("a/report.html");
        let begun = PageWithFolder::open(&page, "data").unwrap();
        begun.put("0-0.js", b"1").unwrap();
        drop(begun);
        assert!(names(top.path()).is_empty());
        let begun = PageWithFolder::open(&page, "data").unwrap();
        begun.put("0-0.js", b"1").unwrap();
        begun.commit(b"page").unwrap();
        let mut found = names(&top.path().join("a"));
        found.sort();
        assert_eq!(found, ["data", "report.html"]);
        assert_eq!(names(&top.path().join("a/data")), ["0-0.js"]);
        // Neither a page nor a folder is overwritten.
        for gone in ["report.html", "data"] {
            let message = PageWithFolder::open(&page, "data").unwrap_err().to_string();
            assert!(message.contains("there already"), "{message}");
            let gone = top.path().join("a").join(gone);
            let _ = std::fs::remove_file(&gone);
        }
        assert_eq!(names(&top.path().join("a")), ["data"]);
    }

    #[test]
    fn a_file_in_the_way_is_named_before_anything_is_made() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("file");
        std::fs::write(&file, "x").unwrap();
        for path in [file.clone(), file.join("sub/deep")] {
            let message = OutputFolder::open(&path).unwrap_err().to_string();
            assert!(message.contains("file"), "{message}");
        }
        assert_eq!(names(top.path()), ["file"]);
    }
}
