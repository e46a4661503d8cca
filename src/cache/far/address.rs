//! Where Redis is, as a URL says it: knows its forms, and connects to nothing. What it says of a URL names no host.

use super::Problem;

/// The port of a Redis, and of a sentinel.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What a URL says.
pub(super) struct Address {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
}

/// What is at the hosts.
pub(super) enum Kind {
    /// One Redis.
    One,
    /// Some nodes of a cluster.
    Cluster,
    /// Sentinels, which know where the master is.
    Sentinel {
        /// The name of the master.
        master: String,
        /// As whom to speak to the sentinels themselves.
        user: Option<String>,
        password: Option<String>,
    },
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Problem> {
        let (scheme, rest) = url.split_once("://").ok_or(Problem::Url("it has no `://`"))?;
        let (tls, kind) = match scheme {
            "redis" => (false, ""),
            "rediss" => (true, ""),
            "redis+cluster" => (false, "cluster"),
            "rediss+cluster" => (true, "cluster"),
            "redis+sentinel" => (false, "sentinel"),
            "rediss+sentinel" => (true, "sentinel"),
            _ => {
                return Err(Problem::Url(
                    "its scheme is none of redis, rediss, redis+cluster, redis+sentinel",
                ));
            }
        };
        if rest.contains('#') {
            return Err(Problem::Url("it has a fragment (a `#` in a password is written %23)"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query = Query::parse(query)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let (user, password) = credentials(login)?;
        let port = if kind == "sentinel" { SENTINEL_PORT } else { PORT };
        let hosts: Vec<_> = hosts.split(',').map(|host| self::host(host, port)).collect::<Result<_, _>>()?;
        if kind.is_empty() && hosts.len() != 1 {
            return Err(Problem::Url("only a cluster or sentinels have several hosts"));
        }
        let (kind, database) = of_path(kind, path, query)?;
        Ok(Self { kind, tls, hosts, user, password, database })
    }
}

#[derive(Default)]
struct Query {
    sentinel_user: Option<String>,
    sentinel_password: Option<String>,
}

impl Query {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut parsed = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match (name, value) {
                ("protocol", "resp3") => {}
                ("sentinel_user", user) => parsed.sentinel_user = Some(decoded(user)?),
                ("sentinel_password", password) => parsed.sentinel_password = Some(decoded(password)?),
                _ => return Err(Problem::Url("its query has what is not understood")),
            }
        }
        Ok(parsed)
    }
}

fn of_path(kind: &str, path: &str, query: Query) -> Result<(Kind, i64), Problem> {
    if kind == "sentinel" {
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        let master = decoded(master)?;
        if master.is_empty() {
            return Err(Problem::Url("sentinels need the name of a master after the hosts"));
        }
        let (user, password) = (query.sentinel_user, query.sentinel_password);
        return Ok((Kind::Sentinel { master, user, password }, self::database(database)?));
    }
    if query.sentinel_user.is_some() || query.sentinel_password.is_some() {
        return Err(Problem::Url("only redis+sentinel has sentinels"));
    }
    match (kind, self::database(path)?) {
        ("cluster", 0) => Ok((Kind::Cluster, 0)),
        ("cluster", _) => Err(Problem::Url("a cluster has the database 0 only")),
        (_, database) => Ok((Kind::One, database)),
    }
}

fn database(path: &str) -> Result<i64, Problem> {
    let number = path.trim_end_matches('/');
    let number = if number.is_empty() { Ok(0) } else { number.parse::<u16>() };
    number.map(i64::from).map_err(|_| Problem::Url("its database is no number"))
}

fn credentials(login: Option<&str>) -> Result<(Option<String>, Option<String>), Problem> {
    let Some(login) = login else {
        return Ok((None, None));
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let given = |text: &str| if text.is_empty() { Ok(None) } else { decoded(text).map(Some) };
    Ok((given(user)?, given(password)?))
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn host(text: &str, port: u16) -> Result<(String, u16), Problem> {
    let (host, rest) = match text.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((host, rest)) => (host, rest),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0),
        None => rest.is_empty().then_some(port),
    };
    let port = port.ok_or(Problem::Url("a port is not one"))?;
    let good = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:%".contains(&b));
    if good { Ok((host.to_owned(), port)) } else { Err(Problem::Url("a host is not one")) }
}

/// With `%40` as `@`, and so on.
fn decoded(text: &str) -> Result<String, Problem> {
    let broken = Problem::Url("a `%` is not followed by two hexadecimal digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            return Err(broken);
        };
        bytes.push(byte);
        bytes.extend(piece.bytes().skip(2));
    }
    String::from_utf8(bytes).map_err(|_| Problem::Url("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Address::parse(url).err().map(|problem| problem.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_form_is_understood() {
        let one = Address::parse("redis://cache").unwrap();
        assert!(matches!(one.kind, Kind::One) && !one.tls && one.password.is_none());
        assert_eq!((one.hosts, one.database), (vec![("cache".to_owned(), 6379)], 0));
        let one = Address::parse("rediss://ann:p%40ss@w@[::1]:7000/3?protocol=resp3").unwrap();
        assert_eq!((one.user.as_deref(), one.password.as_deref()), (Some("ann"), Some("p@ss@w")));
        assert_eq!((one.tls, one.hosts, one.database), (true, vec![("::1".to_owned(), 7000)], 3));
        let cluster = Address::parse("redis+cluster://:pw@a,b:7001,[fe80::1]").unwrap();
        assert!(matches!(cluster.kind, Kind::Cluster) && cluster.user.is_none());
        assert_eq!(cluster.hosts.len(), 3);
        let url = "rediss+sentinel://a,b:1/mymaster/2?sentinel_user=u&sentinel_password=x%2Fy";
        let sentinel = Address::parse(url).unwrap();
        assert_eq!((sentinel.hosts[0].1, sentinel.hosts[1].1, sentinel.database), (26379, 1, 2));
        let Kind::Sentinel { master, user, password } = sentinel.kind else { panic!("no sentinel") };
        assert_eq!(
            (master.as_str(), user.as_deref(), password.as_deref()),
            ("mymaster", Some("u"), Some("x/y"))
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_repeated() {
        for url in [
            "",
            "redis",
            "http://verbatim",
            "redis://",
            "redis://verbatim:0",
            "redis://verbatim:x",
            "redis://verbatim:70000",
            "redis://verbatim/x",
            "redis://verbatim/-1",
            "redis://verbatim,verbatim",
            "redis://verbatim#insecure",
            "redis://verbatim?x=y",
            "redis://%zz@verbatim",
            "redis://a:%4@verbatim",
            "redis://a:%ff@verbatim",
            "redis://[::1",
            "redis://ver batim",
            "redis://verbatim?sentinel_user=a",
            "redis+cluster://verbatim/1",
            "redis+cluster://verbatim,",
            "redis+sentinel://verbatim",
            "redis+sentinel://verbatim/",
            "redis+sentinel://verbatim/m/x",
        ] {
            let said = refused(url);
            assert!(said.starts_with("redis.url is not understood: "), "{url}: {said}");
            assert!(!said.contains("verbatim"), "{said}");
        }
    }
}
