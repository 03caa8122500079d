//! A cluster of etcd on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{Process, run};
use super::{Certificates, STARTS, free_ports, http};

/// A cluster, whose nodes can be killed, stopped and started again. Dropping it ends all of them.
#[derive(Debug)]
pub struct Etcd {
    nodes: Vec<Node>,
    dir: TempDir,
    certificates: Option<Certificates>,
    flags: Vec<String>,
}

#[derive(Debug)]
struct Node {
    client: u16,
    peer: u16,
    /// Where it is asked how it is; without TLS.
    metrics: u16,
    process: Option<Process>,
}

impl Etcd {
    /// Starts a cluster of so many nodes; returns when each of them answers.
    ///
    /// # Panics
    /// If they do not start.
    pub fn start(nodes: usize) -> Self {
        Self::start_with(nodes, &[], false)
    }

    /// The same with further flags of `etcd`, and with `tls` only for clients that speak TLS.
    ///
    /// # Panics
    /// If they do not start.
    pub fn start_with(nodes: usize, flags: &[&str], tls: bool) -> Self {
        let mut said = String::new();
        for _ in 0..STARTS {
            let dir = tempfile::tempdir().expect("a directory");
            let ports = free_ports(nodes * 3);
            let mut cluster = Etcd {
                certificates: tls.then(|| Certificates::make(dir.path())),
                flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
                dir,
                nodes: ports
                    .chunks(3)
                    .map(|ports| Node {
                        client: ports[0],
                        peer: ports[1],
                        metrics: ports[2],
                        process: None,
                    })
                    .collect(),
            };
            for node in 0..nodes {
                cluster.begin(node);
            }
            match (0..nodes).try_for_each(|node| cluster.wait_until_ready(node)) {
                Ok(()) => return cluster,
                Err(words) if words.contains("address already in use") => said = words,
                Err(words) => panic!("etcd did not start; {words}"),
            }
        }
        panic!("each time another program took a port of etcd; {said}");
    }

    /// The database's URL for level-party: all nodes.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self
            .ports()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        format!("etcd://{}", hosts.join(","))
    }

    /// The ports of the nodes for clients.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.nodes.iter().map(|node| node.client)
    }

    /// What a client of a cluster with TLS trusts.
    pub fn authority(&self) -> Option<&Path> {
        self.certificates
            .as_ref()
            .map(|made| made.authority.as_path())
    }

    /// Starts a node again that has ended; returns when it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_node(&mut self, node: usize) {
        self.begin(node);
        if let Err(words) = self.wait_until_ready(node) {
            panic!("etcd did not start again; {words}");
        }
    }

    /// Ends a node as `kill -9` does.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut process) = self.nodes[node].process.take() {
            process.end(Signal::KILL);
        }
    }

    /// Stops a node as it stands (`SIGSTOP`): its connections stay open, and nothing answers.
    pub fn stop(&self, node: usize) {
        self.process(node).signal(Signal::STOP);
    }

    /// Lets a stopped node go on.
    pub fn resume(&self, node: usize) {
        self.process(node).signal(Signal::CONT);
    }

    /// The node that leads, as the others say. Asks until one does; nodes that are stopped or ended are not asked.
    ///
    /// # Panics
    /// If nobody answers.
    pub fn leader(&self, but: Option<usize>) -> usize {
        for _ in 0..ASKED {
            let asked = (0..self.nodes.len())
                .filter(|node| Some(*node) != but && self.nodes[*node].process.is_some());
            let answers: Vec<(usize, Value)> = asked
                .filter_map(|node| {
                    Some((
                        node,
                        self.post(node, "/v3/maintenance/status", &json!({})).ok()?,
                    ))
                })
                .collect();
            let leads = answers
                .iter()
                .find(|(_, said)| said["leader"] == said["header"]["member_id"]);
            if let Some((node, _)) = leads {
                return *node;
            }
            // Waits for an election: a linearizable read is answered once there is a leader, or has failed.
            if let Some((node, _)) = answers.first() {
                let _ = self.post(*node, "/v3/kv/range", &json!({"key": "AA=="}));
            }
        }
        panic!("no node of etcd leads");
    }

    /// The newest revision.
    ///
    /// # Panics
    /// If node 0 does not tell.
    pub fn revision(&self) -> u64 {
        let answer = self.ask(0, "/v3/kv/range", &json!({"key": "AA=="}));
        answer["header"]["revision"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a revision")
    }

    /// Forgets the history before a revision, and waits until that has been done.
    ///
    /// # Panics
    /// If node 0 does not.
    pub fn compact(&self, revision: u64) {
        self.ask(
            0,
            "/v3/kv/compaction",
            &json!({"revision": revision.to_string(), "physical": true}),
        );
    }

    /// Puts a value by the gateway.
    ///
    /// # Panics
    /// If node 0 does not.
    pub fn put(&self, key: &str, value: &str) {
        self.ask(
            0,
            "/v3/kv/put",
            &json!({"key": base64(key), "value": base64(value)}),
        );
    }

    /// How many keys begin with `prefix`.
    ///
    /// # Panics
    /// If node 0 does not tell.
    pub fn count_prefix(&self, prefix: &str) -> usize {
        let answer = self.ask(
            0,
            "/v3/kv/range",
            &json!({"key": base64(prefix), "range_end": base64_end(prefix), "count_only": true}),
        );
        answer["count"]
            .as_str()
            .map_or(0, |count| count.parse().expect("a number"))
    }

    /// Removes all keys that begin with `prefix`.
    ///
    /// # Panics
    /// If node 0 does not.
    pub fn delete_prefix(&self, prefix: &str) {
        self.ask(
            0,
            "/v3/kv/deleterange",
            &json!({"key": base64(prefix), "range_end": base64_end(prefix)}),
        );
    }

    /// Has the cluster let in a user by a password, and nobody without one. The user must be `root`.
    ///
    /// # Panics
    /// If node 0 does not.
    pub fn enable_users(&self, user: &str, password: &str) {
        self.ask(
            0,
            "/v3/auth/user/add",
            &json!({"name": user, "password": password}),
        );
        self.ask(0, "/v3/auth/role/add", &json!({"name": user}));
        self.ask(
            0,
            "/v3/auth/user/grant",
            &json!({"user": user, "role": user}),
        );
        self.ask(0, "/v3/auth/enable", &json!({}));
    }

    /// Saves a backup of node 0, by `etcdctl`.
    ///
    /// # Panics
    /// If it does not.
    pub fn save_backup(&self) -> PathBuf {
        let backup = self.dir.path().join(format!("backup.{}", self.revision()));
        run(self.etcdctl().args(["snapshot", "save"]).arg(&backup));
        backup
    }

    /// Kills a cluster of one node, and starts it anew with what is in a backup, on the same ports, as another cluster.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restore_backup(&mut self, backup: &Path) {
        self.restore(backup, "restored");
    }

    /// The same with the token of the first cluster, on which etcd gives the cluster the same id.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restore_backup_of_the_same_name(&mut self, backup: &Path) {
        self.restore(backup, &self.token());
    }

    fn restore(&mut self, backup: &Path, token: &str) {
        self.kill(0);
        let data = self.dir.path().join("0");
        std::fs::remove_dir_all(&data).expect("its data");
        let peer = format!("http://127.0.0.1:{}", self.nodes[0].peer);
        run(self
            .etcdctl()
            .args([
                "snapshot",
                "restore",
                "--name",
                "n0",
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &format!("n0={peer}"), "--data-dir"])
            .arg(&data)
            .args(["--initial-cluster-token", token])
            .arg(backup));
        self.start_node(0);
    }

    /// What tells this cluster from others of the same nodes.
    fn token(&self) -> String {
        self.dir.path().display().to_string()
    }

    fn etcdctl(&self) -> Command {
        let mut command = Command::new("etcdctl");
        let endpoint = format!("--endpoints=http://127.0.0.1:{}", self.nodes[0].client);
        command.env("ETCDCTL_API", "3").arg(endpoint);
        command
    }

    fn process(&self, node: usize) -> &Process {
        self.nodes[node]
            .process
            .as_ref()
            .expect("the node was killed")
    }

    fn post(&self, node: usize, path: &str, body: &Value) -> std::io::Result<Value> {
        http::ask(self.nodes[node].client, path, Some(body))
    }

    fn ask(&self, node: usize, path: &str, body: &Value) -> Value {
        self.post(node, path, body)
            .unwrap_or_else(|error| panic!("etcd: {error}; {}", self.process(node).words()))
    }

    fn begin(&mut self, number: usize) {
        let node = &self.nodes[number];
        let dir = self.dir.path().join(number.to_string());
        let cluster: Vec<String> = (0..)
            .zip(&self.nodes)
            .map(|(n, node)| format!("n{n}=http://127.0.0.1:{}", node.peer))
            .collect();
        let scheme = if self.certificates.is_some() {
            "https"
        } else {
            "http"
        };
        let client = format!("{scheme}://127.0.0.1:{}", node.client);
        let peer = format!("http://127.0.0.1:{}", node.peer);
        let mut args: Vec<String> = [
            ("--name", format!("n{number}")),
            ("--data-dir", dir.display().to_string()),
            ("--listen-client-urls", client.clone()),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer.clone()),
            ("--initial-advertise-peer-urls", peer),
            (
                "--listen-metrics-urls",
                format!("http://127.0.0.1:{}", node.metrics),
            ),
            ("--initial-cluster", cluster.join(",")),
            ("--initial-cluster-token", self.token()),
            ("--logger", "zap".into()),
            ("--log-outputs", "stderr".into()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        if let Some(made) = &self.certificates {
            for (flag, path) in [
                ("--cert-file", &made.certificate),
                ("--key-file", &made.key),
            ] {
                args.extend([flag.to_owned(), path.display().to_string()]);
            }
        }
        args.extend(self.flags.iter().cloned());
        let started = Process::start(&format!("etcd node {number}"), None, "etcd", &args);
        self.nodes[number].process = Some(started);
    }

    /// It is ready when it says so and then answers a linearizable read, which is what its health is.
    fn wait_until_ready(&self, node: usize) -> Result<(), String> {
        let process = self.process(node);
        process.wait_for_line("serving client traffic")?;
        let asked = || http::ask(self.nodes[node].metrics, "/health", None);
        let healthy = (0..ASKED).any(|_| asked().is_ok_and(|said| said["health"] == "true"));
        match healthy {
            true => Ok(()),
            false => Err(format!(
                "it is not healthy: {:?}; {}",
                asked(),
                process.words()
            )),
        }
    }
}

/// Questions that wait at the server, until one is answered as it is waited for: a minute or more of them.
const ASKED: usize = 60;

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// The end of the keys that begin with `prefix`, which ends with no byte 255.
fn base64_end(prefix: &str) -> String {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix") += 1;
    BASE64_STANDARD.encode(end)
}
