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

impl Certificates {
    /// Makes an authority and a certificate in `dir`.
    ///
    /// # Panics
    /// If `openssl` is missing or fails.
    pub fn make(dir: &Path) -> Self {
        let at = |name: &str| dir.join(name);
        let openssl = |args: &[&str]| run(Command::new("openssl").current_dir(dir).args(args));
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ];
        let mut authority = vec![
            "req",
            "-x509",
            "-days",
            "2",
            "-subj",
            "/CN=tests' authority",
        ];
        authority.extend(key);
        authority.extend(["-keyout", "authority.key", "-out", "authority.pem"]);
        openssl(&authority);
        let mut request = vec!["req", "-subj", "/CN=localhost"];
        request.extend(key);
        request.extend(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
        request.extend(["-keyout", "server.key", "-out", "server.csr"]);
        openssl(&request);
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            "server.csr",
            "-CA",
            "authority.pem",
            "-CAkey",
            "authority.key",
            "-CAcreateserial",
            "-copy_extensions",
            "copy",
            "-out",
            "server.pem",
        ]);
        Certificates {
            authority: at("authority.pem"),
            certificate: at("server.pem"),
            key: at("server.key"),
        }
    }
}
