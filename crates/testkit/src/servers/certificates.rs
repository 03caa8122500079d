//! A certificate authority for one test, and a server's certificate of it, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::run;

/// A server's certificate for `127.0.0.1` and `localhost`, and the authority that signed it.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate (PEM): what a client trusts.
    pub authority: PathBuf,
    /// The server's certificate (PEM).
    pub certificate: PathBuf,
    /// The server's key (PEM).
    pub key: PathBuf,
}

/// What makes a new key without a password.
const KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

impl Certificates {
    /// Makes an authority and a certificate in `dir`.
    ///
    /// # Panics
    /// If `openssl` is missing or fails.
    pub fn make(dir: &Path) -> Self {
        let at = |name: &str| dir.join(name);
        let mut authority = vec![
            "req",
            "-x509",
            "-days",
            "2",
            "-subj",
            "/CN=tests' authority",
        ];
        authority.extend(KEY);
        authority.extend(["-keyout", "authority.key", "-out", "authority.pem"]);
        openssl(dir, &authority);
        let names = "subjectAltName=IP:127.0.0.1,DNS:localhost";
        sign(dir, "server", "localhost", names);
        Certificates {
            authority: at("authority.pem"),
            certificate: at("server.pem"),
            key: at("server.key"),
        }
    }

    /// A client's certificate of the same authority for the user `name`, and its key.
    ///
    /// # Panics
    /// If `openssl` fails.
    pub fn client(&self, name: &str) -> (PathBuf, PathBuf) {
        let dir = self.authority.parent().expect("it lies in a directory");
        let names = format!("subjectAltName=DNS:{name}");
        sign(dir, name, name, &names);
        let at = |end: &str| dir.join(format!("{name}.{end}"));
        (at("pem"), at("key"))
    }
}

fn openssl(dir: &Path, args: &[&str]) {
    run(Command::new("openssl").current_dir(dir).args(args));
}

/// Makes a key and a certificate of the authority: `file.key` and `file.pem`.
fn sign(dir: &Path, file: &str, name: &str, extension: &str) {
    let subject = format!("/CN={name}");
    let [key, asked, signed] = ["key", "csr", "pem"].map(|end| format!("{file}.{end}"));
    let mut request = vec!["req", "-subj", &subject, "-addext", extension];
    request.extend(KEY);
    request.extend(["-keyout", &key, "-out", &asked]);
    openssl(dir, &request);
    let mut sign = vec!["x509", "-req", "-days", "2", "-in", &asked, "-out", &signed];
    sign.extend(["-CA", "authority.pem", "-CAkey", "authority.key"]);
    sign.extend(["-CAcreateserial", "-copy_extensions", "copy"]);
    openssl(dir, &sign);
}
