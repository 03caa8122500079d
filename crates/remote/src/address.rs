//! Addresses of databases on servers: `scheme://user:password@host:port,host:port/path?name=value`.
//!
//! What is printed of one has no password, whatever is wrong with it.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// What a URL names, its parts decoded.
#[derive(Clone, Debug)]
pub struct Address {
    /// In lower case, without `://`.
    pub scheme: String,
    /// The user to be let in as.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Hosts and their ports, if they are named.
    pub hosts: Vec<(String, Option<u16>)>,
    /// What follows the first slash behind the hosts, without it.
    pub path: String,
    /// The parameters behind `?`, in their order.
    pub parameters: Vec<(String, String)>,
}

/// The scheme of a URL, in lower case. `None`: it is a path. (One letter is a drive of Windows.)
pub fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once("://")?;
    let mut letters = scheme.bytes();
    let begins = letters
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic());
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (begins && scheme.len() > 1 && letters.all(rest)).then(|| scheme.to_ascii_lowercase())
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// `InvalidArgument`; the message has nothing of what may be a password.
    pub fn parse(url: &str) -> Result<Self> {
        let scheme = scheme(url).ok_or_else(|| invalid("it has no scheme such as postgres://"))?;
        let rest = &url[scheme.len() + 3..];
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((user, hosts)) => (Some(user), hosts),
        };
        let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            None => (None, None),
            Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
        };
        let parameter = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        };
        let parameters = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(parameter);
        let hosts = hosts.split(',').filter(|host| !host.is_empty()).map(host);
        Ok(Address {
            scheme,
            user: user.filter(|user| !user.is_empty()),
            password: password
                .filter(|password| !password.is_empty())
                .map(Secret::new),
            hosts: hosts.collect::<Result<_>>()?,
            path: decoded(path)?,
            parameters: parameters.collect::<Result<_>>()?,
        })
    }

    /// The last value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().rev().filter(|(n, _)| n == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// # Errors
    /// `InvalidArgument`: a parameter is none of `known`.
    pub fn check_parameters(&self, known: &[&str]) -> Result<()> {
        let mut names = self.parameters.iter().map(|(name, _)| name.as_str());
        match names.find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a URL of {} has no parameter {name:?}; there are {}",
                    self.scheme,
                    known.join(", ")
                ),
            )),
        }
    }
}

fn host(text: &str) -> Result<(String, Option<u16>)> {
    let number = |port: &str| {
        let parsed = port.parse().ok();
        parsed.ok_or_else(|| invalid("a port is no number from 0 to 65535"))
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| invalid("a [ has no ]"))?;
        return match port.strip_prefix(':') {
            Some(port) => Ok((host.to_owned(), Some(number(port)?))),
            None if port.is_empty() => Ok((host.to_owned(), None)),
            None => Err(invalid("a host has something behind its ]")),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Ok((decoded(host)?, Some(number(port)?))),
        None => Ok((decoded(text)?, None)),
    }
}

/// `%41` as `A`.
fn decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => {
                return Err(invalid(
                    "a % is not followed by two hexadecimal digits (%25 stands for %)",
                ));
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid("a part of it is not UTF-8"))
}

fn invalid(why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("this URL can't be read: {why}"),
    )
}

/// Parameters whose values are shown.
const SHOWN: [&str; 6] = ["schema", "sslmode", "host", "port", "dbname", "prefix"];

/// Without a password, and without parameters that may hold one.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        for (at, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]")?,
                false => write!(f, "{comma}{host}")?,
            }
            if let Some(port) = port {
                write!(f, ":{port}")?;
            }
        }
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        let shown = self
            .parameters
            .iter()
            .filter(|(name, _)| SHOWN.contains(&name.as_str()));
        for (at, (name, value)) in shown.enumerate() {
            write!(f, "{}{name}={value}", if at > 0 { '&' } else { '?' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_the_password_is_not_shown() {
        let url = "Postgres://ad%61:sw%40rd@h1:5433,[::1],h3/data?schema=s%20t&password=swordfish&sslmode=disable";
        let address = Address::parse(url).unwrap();
        assert_eq!(address.user.as_deref(), Some("ada"));
        assert_eq!(address.password.as_ref().unwrap().reveal(), "sw@rd");
        let hosts = [
            ("h1".into(), Some(5433)),
            ("::1".into(), None),
            ("h3".into(), None),
        ];
        assert_eq!(address.hosts, hosts);
        assert_eq!(
            (address.path.as_str(), address.parameter("schema")),
            ("data", Some("s t"))
        );
        let shown = format!("{address}");
        assert_eq!(
            shown,
            "postgres://ada@h1:5433,[::1],h3/data?schema=s t&sslmode=disable"
        );
        assert!(!format!("{:?}", address.password).contains("rd"));
        let error = address
            .check_parameters(&["schema", "sslmode"])
            .unwrap_err();
        assert!(error.message().contains("\"password\"") && !error.message().contains("swordfish"));
    }

    #[test]
    fn paths_are_no_urls_and_bad_urls_are_refused_without_the_password() {
        for path in [
            "a",
            "/a://b",
            "C://x",
            "1a://b",
            "a b://c",
            "./postgres://h",
        ] {
            assert_eq!(scheme(path), None, "{path}");
        }
        assert_eq!(scheme("PostgreSQL://h").as_deref(), Some("postgresql"));
        for url in [
            "etcd://u:swordfish@[::1",
            "etcd://u:swordfish@h:99999",
            "etcd://u:swordfish%@h",
            "etcd://u:swordfish@h%ff",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(!error.message().contains("swordfish"), "{error}");
        }
    }
}
