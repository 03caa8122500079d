//! What a URL says of etcd: `etcd://user:password@h1:2379,h2/PREFIX?tls=on&cacert=FILE`.

use std::path::Path;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::client::{CONNECT, KEEP_ALIVE, KEEP_ALIVE_RETRIES, KEEP_ALIVE_TIMEOUT};
use super::layout::Layout;
use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// etcd's port for clients.
const PORT: u16 = 2379;
/// The database's name where the URL has none.
const PREFIX: &str = "level-party";
/// The parameters, named as `etcdctl` names its flags; and `tls`.
const PARAMETERS: [&str; 4] = ["tls", "cacert", "cert", "key"];

/// How a cluster is reached.
pub struct Config {
    /// The URL without the password.
    pub shown: String,
    /// Host and port of each node, for messages, and how to connect to it.
    pub nodes: Vec<(String, Endpoint)>,
    pub login: Option<(String, Secret)>,
    pub layout: Layout,
    pub warnings: Vec<String>,
}

impl Config {
    /// # Errors
    /// `InvalidArgument`: the URL says what cannot be; `NotFound`: a file of certificates is not there.
    pub fn new(address: &Address) -> Result<Self> {
        address.check_parameters(&PARAMETERS)?;
        if address.hosts.is_empty() {
            return Err(invalid("it names no host"));
        }
        let loopback = address.hosts.iter().all(|(host, _)| is_loopback(host));
        let files = PARAMETERS[1..]
            .iter()
            .any(|name| address.parameter(name).is_some());
        let tls = match address.parameter("tls") {
            Some("on") => true,
            Some("off") if files => {
                return Err(invalid("it has files of certificates, and tls=off"));
            }
            Some("off") => false,
            None => files || !loopback,
            Some(_) => return Err(invalid("tls= is on or off")),
        };
        let tls_config = tls.then(|| tls_config(address)).transpose()?;
        let mut nodes = Vec::new();
        for (host, port) in &address.hosts {
            nodes.push(node(host, port.unwrap_or(PORT), tls_config.as_ref())?);
        }
        let login = match (&address.user, &address.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (Some(_), None) => return Err(invalid("it has a user and no password")),
            _ => None,
        };
        let prefix = match address.path.as_str() {
            "" => PREFIX,
            path => path,
        };
        let mut warnings = Vec::new();
        if !tls && !loopback {
            warnings.push(
                "tls=off: what is read and written can be seen and changed on the network".into(),
            );
        }
        Ok(Config {
            shown: address.to_string(),
            nodes,
            login,
            layout: Layout::new(prefix)?,
            warnings,
        })
    }
}

fn node(host: &str, port: u16, tls: Option<&ClientTlsConfig>) -> Result<(String, Endpoint)> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let host = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let unreadable = |error| invalid(&format!("the host {host} can't be used: {error}"));
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}"))
        .map_err(unreadable)?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        // By the system: also of connections that nobody drives at the moment.
        .tcp_keepalive(Some(KEEP_ALIVE))
        .tcp_keepalive_interval(Some(KEEP_ALIVE_TIMEOUT))
        .tcp_keepalive_retries(Some(KEEP_ALIVE_RETRIES))
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls.clone()).map_err(unreadable)?;
    }
    Ok((host, endpoint))
}

/// Certificates and names are checked always: by `cacert`, or by what the system trusts.
fn tls_config(address: &Address) -> Result<ClientTlsConfig> {
    let mut config = ClientTlsConfig::new();
    config = match address.parameter("cacert") {
        Some(file) => config.ca_certificate(Certificate::from_pem(read(file)?)),
        None => config.with_native_roots(),
    };
    match (address.parameter("cert"), address.parameter("key")) {
        (Some(certificate), Some(key)) => {
            Ok(config.identity(Identity::from_pem(read(certificate)?, read(key)?)))
        }
        (None, None) => Ok(config),
        _ => Err(invalid("cert= and key= belong together")),
    }
}

fn read(file: &str) -> Result<Vec<u8>> {
    std::fs::read(Path::new(file)).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Io,
        };
        Error::new(kind, format!("{file} can't be read: {error}")).with_source(error)
    })
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn invalid(why: &str) -> Error {
    let what = format!("this URL of etcd can't be used: {why}");
    Error::new(ErrorKind::InvalidArgument, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<Config> {
        Config::new(&Address::parse(url)?)
    }

    #[test]
    fn hosts_prefix_and_login_come_from_the_url() {
        let config = config("etcd://ada:swordfish@127.0.0.1:1,localhost,[::1]:3/team/a").unwrap();
        let hosts: Vec<&str> = config.nodes.iter().map(|(host, _)| host.as_str()).collect();
        assert_eq!(hosts, ["127.0.0.1:1", "localhost:2379", "[::1]:3"]);
        assert_eq!(config.layout.entry(b"k"), b"team/a/k/k");
        assert_eq!(config.login.map(|(user, _)| user).as_deref(), Some("ada"));
        assert!(!config.shown.contains("sword"), "{}", config.shown);
        assert!(config.warnings.is_empty());
    }

    #[test]
    fn plain_connections_beyond_this_host_must_be_asked_for() {
        let scheme = |url: &str| {
            config(url).map(|config| config.nodes[0].1.uri().scheme_str().map(str::to_owned))
        };
        assert_eq!(
            scheme("etcd://example.org").unwrap().as_deref(),
            Some("https")
        );
        assert_eq!(scheme("etcd://127.0.0.1").unwrap().as_deref(), Some("http"));
        assert_eq!(
            scheme("etcd://127.0.0.1?tls=on").unwrap().as_deref(),
            Some("https")
        );
        assert_eq!(
            config("etcd://example.org?tls=off").unwrap().warnings.len(),
            1
        );
    }

    #[test]
    fn urls_that_cannot_be_are_refused() {
        for url in [
            "etcd:///prefix",
            "etcd://h?tls=maybe",
            "etcd://h?insecure=yes",
            "etcd://h?cert=a",
            "etcd://ada@h",
            "etcd://h?tls=off&cacert=a",
        ] {
            let error = config(url).err().expect(url);
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url}");
        }
        let missing = config("etcd://h?cacert=/no/such/file")
            .err()
            .expect("no file");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}
