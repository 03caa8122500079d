//! Why a server's certificate is not accepted.

use rustls::CertificateError;

/// What is wrong with it, in words; `parameter` of the URL names an authority to trust.
pub fn refusal(why: &CertificateError, whose: &str, parameter: &str) -> String {
    let what = match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is not for the name in the URL".to_owned()
        }
        CertificateError::UnknownIssuer => {
            format!("is not trusted; name its authority's with {parameter}=")
        }
        _ => "is not trusted".to_owned(),
    };
    format!("{whose} certificate {what} ({why})")
}
