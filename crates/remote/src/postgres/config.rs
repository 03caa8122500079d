//! How a server is reached, and as which user: made of a URL, the environment and a password file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

use super::tls::{tls, without_tls};

/// What a URL may say.
const PARAMETERS: [&str; 12] = [
    "schema",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "user",
    "dbname",
    "passfile",
    "application_name",
    "connect_timeout",
];

/// Those that name files of TLS.
const CERTIFICATES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

/// How long one attempt to connect to one host may take.
const CONNECT: Duration = Duration::from_secs(5);
/// After so long without an answer to what was sent a connection is given up, so that another host is asked in time.
const SILENCE: Duration = Duration::from_secs(10);

/// One host of the URL.
#[derive(Clone)]
pub struct Host {
    pub name: String,
    pub config: tokio_postgres::Config,
}

/// How connections are made.
pub struct Connector {
    /// In the URL's order.
    pub hosts: Vec<Host>,
    /// How long one attempt to connect to one of several hosts may take. `None`: as long as the call.
    pub attempt: Option<Duration>,
    pub tls: MakeRustlsConnect,
    pub schema: String,
    /// Without a password.
    pub address: String,
    pub warnings: Vec<String>,
}

/// The environment, which tests replace.
pub struct Environment<'a> {
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    pub home: Option<PathBuf>,
}

impl Environment<'_> {
    pub fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

impl Connector {
    /// # Errors
    /// `InvalidArgument`: the URL; `Io`: a certificate or password file.
    pub fn new(address: &Address, environment: &Environment<'_>) -> Result<Self> {
        address.check_parameters(&PARAMETERS)?;
        let hosts = hosts(address, environment)?;
        let mut config = tokio_postgres::Config::new();
        let user = user(address, environment)?;
        let database = match (address.parameter("dbname"), address.path.as_str()) {
            (Some(name), _) => name,
            (None, "") => user.as_str(),
            (None, path) => path,
        };
        let mut warnings = Vec::new();
        let password = match &address.password {
            Some(password) => Some(password.clone()),
            None => found_password(address, environment, &hosts, database, &user, &mut warnings)?,
        };
        if let Some(password) = password {
            config.password(password.reveal());
        }
        let connect = connect_timeout(address)?;
        config
            .user(&user)
            .dbname(database)
            .application_name(
                address
                    .parameter("application_name")
                    .unwrap_or("level-party"),
            )
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE)
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .ssl_mode(ssl_mode(address, &hosts)?);
        if let Some(limit) = connect {
            config.connect_timeout(limit);
        }
        let schema = schema(address)?;
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => without_tls()?,
            _ => tls(address, environment)?,
        };
        let host = |(name, port): &(String, u16)| {
            let mut config = config.clone();
            config.host(name).port(*port);
            Host {
                name: format!("{name}:{port}"),
                config,
            }
        };
        Ok(Connector {
            hosts: hosts.iter().map(host).collect(),
            attempt: connect,
            tls,
            schema,
            address: address.to_string(),
            warnings,
        })
    }
}

fn user(address: &Address, environment: &Environment<'_>) -> Result<String> {
    let given = address
        .user
        .clone()
        .or_else(|| address.parameter("user").map(Into::into));
    given
        .or_else(|| environment.get("PGUSER"))
        .or_else(|| environment.get("USER"))
        .or_else(|| environment.get("LOGNAME"))
        .ok_or_else(|| invalid("it names no user: postgres://USER@HOST/DATABASE"))
}

/// `None`: no limit, as libpq has it for 0.
fn connect_timeout(address: &Address) -> Result<Option<Duration>> {
    match address.parameter("connect_timeout").map(str::parse) {
        None => Ok(Some(CONNECT)),
        Some(Ok(0)) => Ok(None),
        Some(Ok(seconds)) => Ok(Some(Duration::from_secs(seconds))),
        Some(Err(_)) => Err(invalid("connect_timeout is no number of seconds")),
    }
}

/// The schema's name.
fn schema(address: &Address) -> Result<String> {
    let schema = address
        .parameter("schema")
        .unwrap_or("level_party")
        .to_owned();
    let is_plain = |sign: char| sign.is_alphanumeric() || "_-. ".contains(sign);
    if schema.is_empty()
        || schema.len() > 63
        || !schema.chars().all(is_plain)
        || schema.starts_with("pg_")
    {
        return Err(invalid(
            "a schema's name has 1 to 63 bytes, letters, digits, '_', '-', '.' and ' ', and does not begin with pg_",
        ));
    }
    Ok(schema)
}

fn invalid(why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("this URL can't be used: {why}"),
    )
}

/// Hosts (or directories of sockets) and their ports.
fn hosts(address: &Address, environment: &Environment<'_>) -> Result<Vec<(String, u16)>> {
    let default = match address
        .parameter("port")
        .map(str::to_owned)
        .or_else(|| environment.get("PGPORT"))
    {
        None => 5432,
        Some(port) => port.parse().map_err(|_| invalid("its port is no number"))?,
    };
    if !address.hosts.is_empty() {
        let port = |(host, port): &(String, Option<u16>)| (host.clone(), port.unwrap_or(default));
        return Ok(address.hosts.iter().map(port).collect());
    }
    let named = address
        .parameter("host")
        .map(str::to_owned)
        .or_else(|| environment.get("PGHOST"));
    let named = named.unwrap_or_else(|| "localhost".into());
    Ok(named
        .split(',')
        .map(|host| (host.to_owned(), default))
        .collect())
}

fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.starts_with('/')
        || host == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

/// Encrypted and checked, unless that is said to be unwanted, or nothing leaves this host.
fn ssl_mode(address: &Address, hosts: &[(String, u16)]) -> Result<SslMode> {
    // A certificate is named to be used. Sockets have no TLS.
    let is_named = CERTIFICATES
        .iter()
        .any(|name| address.parameter(name).is_some())
        && !hosts.iter().any(|(host, _)| host.starts_with('/'));
    match address.parameter("sslmode") {
        Some("disable") => Ok(SslMode::Disable),
        Some("require" | "verify-full") => Ok(SslMode::Require),
        Some(other) => Err(invalid(format_args!(
            "sslmode={other} is not offered: it is verify-full (certificates and names are checked) or disable"
        ))),
        None if hosts.iter().all(|(host, _)| is_here(host)) && !is_named => Ok(SslMode::Disable),
        None => Ok(SslMode::Require),
    }
}

/// `PGPASSWORD`, or a line of the password file.
fn found_password(
    address: &Address,
    environment: &Environment<'_>,
    hosts: &[(String, u16)],
    database: &str,
    user: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<Secret>> {
    if let Some(password) = environment.get("PGPASSWORD") {
        return Ok(Some(Secret::new(password)));
    }
    let named = address
        .parameter("passfile")
        .map(str::to_owned)
        .or_else(|| environment.get("PGPASSFILE"));
    let (path, must_exist) = match (named, &environment.home) {
        (Some(path), _) => (PathBuf::from(path), address.parameter("passfile").is_some()),
        (None, Some(home)) => (home.join(".pgpass"), false),
        (None, None) => return Ok(None),
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok(None);
        }
        Err(error) => {
            let what = format!("cannot read the password file {}: {error}", path.display());
            return Err(Error::new(ErrorKind::Io, what));
        }
    };
    if others_may_read(&path) {
        let what = "may be read by others and is not used; make it readable by its owner alone (chmod 600)";
        warnings.push(format!("the password file {} {what}", path.display()));
        return Ok(None);
    }
    let line = |(host, port): &(String, u16)| {
        let host = if host.starts_with('/') {
            "localhost"
        } else {
            host
        };
        password_of(&text, [host, &port.to_string(), database, user])
    };
    Ok(hosts.iter().find_map(line))
}

#[cfg(unix)]
fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_: &Path) -> bool {
    false // As libpq: the user's own directory is not readable by others.
}

/// The password of the first line `host:port:database:user:password` that fits; `*` fits all, `\` takes a sign as it is.
fn password_of(text: &str, wanted: [&str; 4]) -> Option<Secret> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(fields).find_map(|fields| {
        let (password, names) = fields.split_last()?;
        let fits = |(name, wanted): (&String, &str)| name == "*" || name == wanted;
        (names.len() == 4 && names.iter().zip(wanted).all(fits))
            .then(|| Secret::new(password.clone()))
    })
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        let last = fields.last_mut().expect("there is one");
        match sign {
            '\\' => last.extend(signs.next()),
            ':' => fields.push(String::new()),
            sign => last.push(sign),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(url: &str, variables: &[(&str, &str)]) -> Result<Connector> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let environment = Environment {
            variable: &variable,
            home: None,
        };
        Connector::new(&Address::parse(url)?, &environment)
    }

    #[test]
    fn tls_is_on_unless_nothing_leaves_this_host() {
        let mode =
            |url: &str| connector(url, &[("USER", "u")]).map(|c| c.hosts[0].config.get_ssl_mode());
        for here in [
            "postgres://localhost/d",
            "postgres://127.0.0.1/d",
            "postgres://[::1]",
            "postgres:///d?host=/run/pg",
        ] {
            assert_eq!(mode(here).unwrap(), SslMode::Disable, "{here}");
        }
        assert_eq!(
            mode("postgres://h?sslmode=disable").unwrap(),
            SslMode::Disable
        );
        let refused = mode("postgres://h?sslmode=prefer").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        let missing = mode("postgres://h?sslrootcert=/none/there").unwrap_err();
        assert!(missing.message().contains("/none/there"), "{missing}");
    }

    #[test]
    fn certificate_and_key_go_together_and_turn_tls_on() {
        let said = |url: &str, variables: &[(&str, &str)]| {
            let refused = connector(url, &[&[("USER", "u")], variables].concat());
            refused.err().expect("refused").message().to_owned()
        };
        // Each file is looked for, so TLS is on.
        assert!(said("postgres://localhost?sslcert=/no/c&sslkey=/no/k", &[]).contains("/no/c"));
        let variables = [("PGSSLCERT", "/no/c"), ("PGSSLKEY", "/no/k")];
        assert!(said("postgres://h", &variables).contains("/no/c"));
        assert!(said("postgres://h?sslcert=/no/c", &[]).contains("sslkey="));
        assert!(said("postgres://h?sslkey=/no/k", &[]).contains("sslcert="));
        let off = "postgres://h?sslmode=disable&sslcert=/no/c";
        assert!(connector(off, &[("USER", "u")]).is_ok());
    }

    #[test]
    fn password_comes_from_url_then_variable_then_file() {
        let dir = std::env::temp_dir().join(format!("level-party-passfile-{}", std::process::id()));
        std::fs::write(&dir, "# c\nh:1:*:u:no\n*:5432:d\\:b:u:pass\\:word\n").unwrap();
        let file = [("PGPASSFILE", dir.to_str().unwrap())];
        let of = |url: &str, variables: &[(&str, &str)]| {
            let made = connector(url, variables).unwrap();
            let password = made.hosts[0]
                .config
                .get_password()
                .map(|p| String::from_utf8(p.to_vec()).unwrap());
            (password, made.warnings.len())
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(of("postgres://u@localhost/d%3ab", &file), (None, 1));
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert_eq!(
            of("postgres://u@localhost/d%3ab", &file),
            (Some("pass:word".into()), 0)
        );
        assert_eq!(of("postgres://u@localhost/d", &file), (None, 0));
        let both = [file[0], ("PGPASSWORD", "var")];
        assert_eq!(
            of("postgres://u@localhost/d%3ab", &both).0.as_deref(),
            Some("var")
        );
        assert_eq!(
            of("postgres://u:url@localhost/d", &both).0.as_deref(),
            Some("url")
        );
        std::fs::remove_file(&dir).unwrap();
    }
}
