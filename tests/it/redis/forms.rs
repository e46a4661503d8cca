//! Private Redis servers that belong together: one with TLS, a cluster, a master with its replica and sentinel.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{READY_MAX, Redis, Reply, until, write};
use crate::machine::free_port;

/// A server that also speaks TLS, and the certificate authority that vouches for it.
pub(crate) struct Tls {
    pub(crate) redis: Redis,
    pub(crate) port: u16,
}

impl Tls {
    pub(crate) fn start() -> Self {
        let port = free_port();
        let mut redis = Redis::start("");
        let directory = redis.keeper.directory.clone();
        certify(&directory);
        let lines = format!(
            "bind 127.0.0.1\nport {}\ntls-port {port}\nsave \"\"\nappendonly no\ntls-auth-clients no\n\
             tls-cert-file ./server.pem\ntls-key-file ./server.key\ntls-ca-cert-file ./ca.pem\n",
            redis.port
        );
        redis.stop();
        write(&redis.keeper, "redis.conf", lines.as_bytes());
        redis.start_again();
        Self { redis, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.redis.file("ca.pem")
    }

    /// Starts again with a certificate of another authority, which is in `ca.pem` from then on.
    pub(crate) fn certify_anew(&mut self) {
        self.redis.stop();
        certify(&self.redis.keeper.directory);
        self.redis.start_again();
    }
}

/// Makes `ca.pem`, `server.pem` and `server.key` in a directory.
fn certify(directory: &Path) {
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let name = ["-subj", "/CN=doorward test"];
    let ca = ["req", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
    let request = ["req", "-keyout", "server.key", "-out", "server.csr"];
    let sign = ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"];
    let signed = ["-CAcreateserial", "-out", "server.pem", "-extfile", "names"];
    if let Err(error) = std::fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    {
        panic!("{}: {error}", directory.display());
    }
    for arguments in [
        [&ca[..], &new_key, &name].concat(),
        [&request[..], &new_key, &name].concat(),
        [&sign[..], &signed].concat(),
    ] {
        let output = Command::new("openssl").args(arguments).current_dir(directory).output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("openssl failed: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => panic!("the tests need `openssl`: {error}"),
        }
    }
}

/// Three masters that share the slots.
pub(crate) fn cluster() -> Vec<Redis> {
    let nodes: Vec<_> = (0..3)
        .map(|_| {
            let bus = free_port();
            Redis::start(&format!("cluster-enabled yes\ncluster-port {bus}\ncluster-node-timeout 2000\ncluster-require-full-coverage no\n"))
        })
        .collect();
    let bus_of = |node: &Redis| {
        let conf = std::fs::read_to_string(node.file("redis.conf")).unwrap_or_default();
        conf.lines().find_map(|line| line.strip_prefix("cluster-port ")).unwrap_or_default().to_owned()
    };
    for (node, (first, last)) in nodes.iter().zip([("0", "5461"), ("5462", "10922"), ("10923", "16383")]) {
        assert_eq!(node.command(&["CLUSTER", "ADDSLOTSRANGE", first, last]), Reply::Text("OK".to_owned()));
    }
    for node in nodes.iter().skip(1) {
        let (port, bus) = (node.port.to_string(), bus_of(node));
        let met = nodes.first().map(|one| one.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]));
        assert_eq!(met, Some(Reply::Text("OK".to_owned())));
    }
    let is_whole = |node: &Redis| {
        let Reply::Bytes(Some(said)) = node.command(&["CLUSTER", "INFO"]) else { return false };
        let said = String::from_utf8_lossy(&said).into_owned();
        said.contains("cluster_state:ok") && said.contains("cluster_known_nodes:3")
    };
    until(READY_MAX, "the cluster is whole", || nodes.iter().all(is_whole));
    nodes
}

/// A master, its replica, and a sentinel that replaces the one by the other.
pub(crate) struct Watched {
    pub(crate) master: Redis,
    pub(crate) replica: Redis,
    pub(crate) sentinel: Redis,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let master = Redis::start("repl-diskless-sync-delay 0\n");
        let replica = Redis::start(&format!("replicaof 127.0.0.1 {}\n", master.port));
        let monitor = format!(
            "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 3000\n",
            master.port
        );
        let sentinel = Redis::start_as(&monitor, "--sentinel");
        let watched = Self { master, replica, sentinel };
        until(READY_MAX, "the sentinel knows the replica", || {
            let known = watched.sentinel.command(&["SENTINEL", "REPLICAS", "main"]);
            let linked = Reply::Bytes(Some(b"ok".to_vec()));
            matches!(known, Reply::List(replicas)
                if replicas.iter().any(|one| matches!(one, Reply::List(fields) if fields.contains(&linked))))
        });
        watched
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+sentinel://{}/main", self.sentinel.address())
    }

    /// Waits until the sentinel has made the replica the master.
    pub(crate) fn await_failover(&self) {
        let port = Reply::Bytes(Some(self.replica.port.to_string().into_bytes()));
        until(READY_MAX, "the replica is the master", || {
            let master = self.sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
            matches!(master, Reply::List(address) if address.contains(&port))
        });
    }
}
