//! TLS: which certificates are trusted, and which one this client shows. Names and files are libpq's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::Environment;
use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};

fn io(what: String) -> Error {
    Error::new(ErrorKind::Io, what)
}

/// For connections that have none.
pub fn without_tls() -> Result<MakeRustlsConnect> {
    made(RootCertStore::empty(), None)
}

/// Certificates and names are always checked.
pub fn tls(address: &Address, environment: &Environment<'_>) -> Result<MakeRustlsConnect> {
    let own = own_files(address, environment)?;
    let own = own.map(|(chain, key)| read(&chain, &key)).transpose()?;
    made(roots(address.parameter("sslrootcert"))?, own)
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn made(roots: RootCertStore, own: Option<Own>) -> Result<MakeRustlsConnect> {
    let cannot = |error| io(format!("cannot set TLS up: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(cannot)?
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(cannot)?,
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(file: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        return match added {
            0 => Err(io(
                "this system has no certificates to trust; name a file with sslrootcert=".into(),
            )),
            _ => Ok(roots),
        };
    };
    for certificate in certificates("sslrootcert", Path::new(path))? {
        roots
            .add(certificate)
            .map_err(|e| io(format!("sslrootcert {path} has a bad certificate: {e}")))?;
    }
    Ok(roots)
}

/// The certificates of a file, of which there must be one at least.
fn certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |why: String| io(format!("cannot read {parameter} {}: {why}", path.display()));
    let read =
        CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
    let read: std::result::Result<Vec<_>, _> = read.collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(unreadable("it has no certificate".into()))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// The files of the certificate that this client shows, and of its key: of the URL, else of the environment, else libpq's own in
/// the home directory.
fn own_files(
    address: &Address,
    environment: &Environment<'_>,
) -> Result<Option<(PathBuf, PathBuf)>> {
    let named = |parameter: &str, variable: &str| {
        let named = address.parameter(parameter).map(str::to_owned);
        named
            .or_else(|| environment.get(variable))
            .map(PathBuf::from)
    };
    let usual = |name: &str| {
        let home = environment.home.as_ref();
        home.map(|home| home.join(".postgresql").join(name))
    };
    let certificate = named("sslcert", "PGSSLCERT")
        .or_else(|| usual("postgresql.crt").filter(|path| path.exists()));
    let key = named("sslkey", "PGSSLKEY");
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (Some(certificate), None) => match usual("postgresql.key") {
            Some(key) => Ok(Some((certificate, key))),
            None => Err(invalid(
                "it names a certificate with sslcert=, and no key with sslkey=",
            )),
        },
        (None, Some(_)) if address.parameter("sslkey").is_some() => Err(invalid(
            "it names a key with sslkey=, and no certificate with sslcert=",
        )),
        (None, _) => Ok(None),
    }
}

fn invalid(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("this URL can't be used: {why}"),
    )
}

fn read(chain: &Path, key: &Path) -> Result<Own> {
    let chain = certificates("sslcert", chain)?;
    let shown = key.display();
    let meta =
        std::fs::metadata(key).map_err(|e| io(format!("cannot read sslkey {shown}: {e}")))?;
    if !meta.is_file() || others_may_read(&meta) {
        let what =
            "must be a file that its owner alone may read (chmod 600), or root's (chmod 640)";
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            format!("sslkey {shown} {what}"),
        ));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| {
        io(format!(
            "cannot read sslkey {shown}: {e} (a key under a password is not offered)"
        ))
    })?;
    Ok((chain, key))
}

/// As libpq has it: nobody but the owner, and root's group for what is root's.
#[cfg(unix)]
fn others_may_read(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let forbidden = if meta.uid() == 0 { 0o037 } else { 0o077 };
    meta.mode() & forbidden != 0
}

#[cfg(not(unix))]
fn others_may_read(_: &std::fs::Metadata) -> bool {
    false // As libpq.
}
