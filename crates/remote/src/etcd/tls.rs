//! What a node's certificate is refused for.

use rustls::CertificateError;
use tonic::Status;

use crate::certificate;
use crate::error::{Error, ErrorKind};

/// Why the node's certificate is not accepted, if that is why there is no connection.
pub fn refusal(node: &str, status: &Status) -> Option<Error> {
    let why = certificate_error(status)?;
    let what = certificate::refusal(why, "its", "cacert");
    let what = format!("cannot connect to {node}: {what}");
    Some(Error::new(ErrorKind::InvalidArgument, what).with_source(status.clone()))
}

fn certificate_error(status: &Status) -> Option<&CertificateError> {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let tls = error
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref()?.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(why)) = tls {
            return Some(why);
        }
        source = error.source();
    }
    None
}
