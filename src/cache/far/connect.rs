//! Connections to whatever a URL names: one Redis, a cluster, or the master that sentinels know. It knows how to open
//! one, and not when.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    Pipeline, ProtocolVersion, RedisConnectionInfo, RedisResult, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

use super::Problem;
use super::address::{Address, Kind};

/// How long a host may take to be connected to.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How often a command is sent to another node of a cluster, when it has moved.
const CLUSTER_RETRIES: u32 = 3;
/// How many commands wait for the socket, before their senders do.
const WAITING_MAX: usize = 512;

/// Opens connections.
pub(super) struct Connector {
    address: Address,
    ca_file: Option<PathBuf>,
    means: ArcSwap<Trusting>,
}

/// What opens connections, and the authorities that it trusts.
struct Trusting {
    authorities: Option<Vec<u8>>,
    means: Means,
}

/// What opens connections.
enum Means {
    /// To one Redis.
    One(Client),
    /// To a cluster, by some of its nodes.
    Cluster { client: ClusterClient, nodes: Vec<Client>, next: AtomicUsize },
    /// To the master that sentinels know.
    Sentinel(Mutex<SentinelClient>),
}

/// An open connection for commands.
#[derive(Clone)]
pub(super) enum Wire {
    /// To one Redis.
    One(MultiplexedConnection),
    /// To a cluster: it connects to its nodes again by itself.
    Cluster(ClusterConnection),
}

impl Wire {
    /// The answers to commands, each its own success or failure.
    pub(super) async fn ask(&self, pipeline: &Pipeline) -> RedisResult<Vec<RedisResult<Value>>> {
        match self.clone() {
            Self::One(mut connection) => pipeline.query_async(&mut connection).await,
            Self::Cluster(mut connection) => pipeline.query_async(&mut connection).await,
        }
    }

    /// The answer to one command.
    pub(super) async fn tell<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self.clone() {
            Self::One(mut connection) => command.query_async(&mut connection).await,
            Self::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }
}

impl Connector {
    /// A connector to an address, which trusts the certificates of a file, or else the system's. It opens nothing.
    pub(super) fn over(address: Address, ca_file: Option<&Path>) -> Result<Self, Problem> {
        let authorities = ca_file.map(authorities).transpose()?;
        if authorities.is_some() && !address.tls {
            return Err(Problem::Url("redis.ca_file is given, and its scheme is not rediss"));
        }
        let means = ArcSwap::from_pointee(Trusting::over(&address, authorities)?);
        Ok(Self { address, ca_file: ca_file.map(Path::to_owned), means })
    }

    /// What opens the next connection: it trusts what the file says now. A file that is of no use changes nothing.
    fn now(&self) -> Arc<Trusting> {
        let known = self.means.load_full();
        let Some(path) = &self.ca_file else { return known };
        match authorities(path).map(Some) {
            Ok(read) if read == known.authorities => known,
            Ok(read) => match Trusting::over(&self.address, read) {
                Ok(trusting) => {
                    tracing::info!(ca_file = %path.display(), "redis is trusted by other authorities now");
                    self.means.store(Arc::new(trusting));
                    self.means.load_full()
                }
                Err(problem) => {
                    tracing::warn!(%problem, "redis is trusted by the authorities known before");
                    known
                }
            },
            Err(problem) => {
                tracing::warn!(%problem, "redis is trusted by the authorities known before");
                known
            }
        }
    }

    /// A connection for commands, and where it leads to, for [`Connector::stands`].
    pub(super) async fn open(&self) -> RedisResult<(Wire, Option<ConnectionAddr>)> {
        match &self.now().means {
            Means::One(client) => {
                let connection = client.get_multiplexed_async_connection_with_config(&config()).await?;
                Ok((Wire::One(connection), None))
            }
            Means::Cluster { client, .. } => Ok((Wire::Cluster(client.get_async_connection().await?), None)),
            Means::Sentinel(sentinels) => {
                let client = sentinels.lock().await.async_get_client().await?;
                let connection = client.get_multiplexed_async_connection_with_config(&config()).await?;
                Ok((Wire::One(connection), Some(client.get_connection_info().addr().clone())))
            }
        }
    }

    /// A connection of its own for what is published; in a cluster, to one of the nodes in turn.
    pub(super) async fn listen(
        &self,
        heard: impl AsyncPushSender,
    ) -> RedisResult<(MultiplexedConnection, Option<ConnectionAddr>)> {
        let config = config().set_push_sender(heard);
        let (client, leads_to) = match &self.now().means {
            Means::One(client) => (client.clone(), None),
            Means::Cluster { nodes, next, .. } => {
                let turn = next.fetch_add(1, Ordering::Relaxed) % nodes.len().max(1);
                let node = nodes.get(turn).cloned();
                (node.ok_or((redis::ErrorKind::Client, "a cluster without nodes"))?, None)
            }
            Means::Sentinel(sentinels) => {
                let client = sentinels.lock().await.async_get_client().await?;
                let leads_to = client.get_connection_info().addr().clone();
                (client, Some(leads_to))
            }
        };
        Ok((client.get_multiplexed_async_connection_with_config(&config).await?, leads_to))
    }

    /// Whether a connection that leads there is still the right one. Sentinels may know another master by now; where
    /// they cannot be asked, it stays.
    pub(super) async fn stands(&self, leads_to: Option<&ConnectionAddr>) -> bool {
        let trusting = self.means.load_full();
        let (Means::Sentinel(sentinels), Some(leads_to)) = (&trusting.means, leads_to) else {
            return true;
        };
        let master = sentinels.lock().await.async_get_client().await;
        master.map_or(true, |master| same(master.get_connection_info().addr(), leads_to))
    }

    /// Whether what is published on a connection reaches all others: a node may have lost its cluster.
    pub(super) async fn hears(&self, connection: &mut MultiplexedConnection) -> RedisResult<bool> {
        match &self.means.load_full().means {
            Means::One(_) | Means::Sentinel(_) => {
                redis::cmd("PING").query_async::<Value>(connection).await.map(|_| true)
            }
            Means::Cluster { .. } => {
                let said: String = redis::cmd("CLUSTER").arg("INFO").query_async(connection).await?;
                Ok(said.lines().any(|line| line.trim_end() == "cluster_state:ok"))
            }
        }
    }
}

impl Trusting {
    fn over(address: &Address, authorities: Option<Vec<u8>>) -> Result<Self, Problem> {
        let certificates =
            authorities.clone().map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem) });
        // Its words may hold a host.
        let built = match &address.kind {
            Kind::One => one(address, certificates),
            Kind::Cluster => cluster(address, certificates),
            Kind::Sentinel { master, user, password } => {
                let login = (user.as_deref(), password.as_deref());
                sentinel(address, certificates, master, login)
            }
        };
        Ok(Self { authorities, means: built.map_err(|_| Problem::Refused)? })
    }
}

fn same(one: &ConnectionAddr, other: &ConnectionAddr) -> bool {
    one.to_string() == other.to_string()
}

fn config() -> AsyncConnectionConfig {
    // Whoever asks has a time limit of its own.
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_MAX))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(WAITING_MAX)
}

fn authorities(path: &Path) -> Result<Vec<u8>, Problem> {
    let pem = std::fs::read(path)
        .map_err(|cause| Problem::CaFile { path: path.to_owned(), cause: cause.kind().to_string() })?;
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(Problem::CaFile { path: path.to_owned(), cause: "it holds no certificate".to_owned() });
    }
    Ok(pem)
}

fn addresses(address: &Address) -> impl Iterator<Item = ConnectionAddr> {
    address.hosts.iter().map(|(host, port)| match address.tls {
        false => ConnectionAddr::Tcp(host.clone(), *port),
        true => ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None },
    })
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn informed(addr: ConnectionAddr, address: &Address) -> RedisResult<ConnectionInfo> {
    let mut login =
        RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_db(address.database);
    if let Some(user) = &address.user {
        login = login.set_username(user);
    }
    if let Some(password) = &address.password {
        login = login.set_password(password);
    }
    Ok(addr.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp()))
}

fn clients(address: &Address, certificates: Option<&TlsCertificates>) -> RedisResult<Vec<Client>> {
    let client = |addr| {
        let info = informed(addr, address)?;
        match certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    };
    addresses(address).map(client).collect()
}

fn one(address: &Address, certificates: Option<TlsCertificates>) -> RedisResult<Means> {
    let client = clients(address, certificates.as_ref())?.into_iter().next();
    Ok(Means::One(client.ok_or((redis::ErrorKind::InvalidClientConfig, "no host"))?))
}

fn cluster(address: &Address, certificates: Option<TlsCertificates>) -> RedisResult<Means> {
    let nodes = clients(address, certificates.as_ref())?;
    let infos: Vec<_> = addresses(address).map(|addr| informed(addr, address)).collect::<Result<_, _>>()?;
    let mut builder = ClusterClientBuilder::new(infos)
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(CONNECT_MAX)
        .response_timeout(CONNECT_MAX)
        .retries(CLUSTER_RETRIES)
        .tcp_settings(tcp());
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    Ok(Means::Cluster { client: builder.build()?, nodes, next: AtomicUsize::new(0) })
}

fn sentinel(
    address: &Address,
    certificates: Option<TlsCertificates>,
    master: &str,
    (user, password): (Option<&str>, Option<&str>),
) -> RedisResult<Means> {
    let mut builder = SentinelClientBuilder::new(addresses(address), master, SentinelServerType::Master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_db(address.database)
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if address.tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    if let Some(user) = &address.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &address.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = user {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    Ok(Means::Sentinel(Mutex::new(builder.build()?)))
}
