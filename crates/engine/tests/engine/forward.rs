//! `forward!`: the calls of `Fs` that a file system of the tests passes on, as they are, to the files that it has in its
//! field `files`.

macro_rules! forward {
    ($($call:ident)*) => {
        $(forward!(@ $call);)*
    };
    (@ list) => {
        fn list(&self) -> io::Result<Vec<String>> {
            self.files.list()
        }
    };
    (@ open_read) => {
        fn open_read(&self, name: &str) -> io::Result<Arc<dyn ReadFile>> {
            self.files.open_read(name)
        }
    };
    (@ read) => {
        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            self.files.read(name)
        }
    };
    (@ create) => {
        fn create(&self, name: &str) -> io::Result<Box<dyn WriteFile>> {
            self.files.create(name)
        }
    };
    (@ logs) => {
        fn create_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
            self.files.create_log(name)
        }

        fn open_log(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
            self.files.open_log(name)
        }
    };
    (@ names) => {
        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.files.rename(from, to)
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.files.remove(name)
        }

        fn sync_dir(&self) -> io::Result<()> {
            self.files.sync_dir()
        }
    };
    (@ exists) => {
        fn exists(&self, name: &str) -> io::Result<bool> {
            self.files.exists(name)
        }
    };
}
