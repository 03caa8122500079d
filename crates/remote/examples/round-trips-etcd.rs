//! What a call costs on etcd beside the floor of the same run: a bare range and a bare put by gRPC, on three nodes on loopback.
//!
//! `cargo run --release -p level-party-remote --features etcd,servers --example round-trips-etcd`. Needs Debian's `etcd-server`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use level_party_remote::address::Address;
use level_party_remote::{
    Call, KeyRange, Remote, Result, Scan, Settings, Start, Wait, Write, etcd,
};
use level_party_testkit::Etcd;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

const ROUNDS: usize = 20;
const CALLS: usize = 50;

/// `RangeRequest` and `PutRequest`, as far as they are needed: both have the key first, and a put its value second.
#[derive(Clone, PartialEq, prost::Message)]
struct Asked {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    value: Option<Vec<u8>>,
}

/// `TxnRequest` of one range that compares one key, as ours are: that it was put since revision 0.
#[derive(Clone, PartialEq, prost::Message)]
struct Txn {
    #[prost(message, repeated, tag = "1")]
    compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    success: Vec<Op>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Compare {
    #[prost(int32, tag = "1")]
    result: i32,
    #[prost(int32, tag = "2")]
    target: i32,
    #[prost(bytes = "vec", tag = "3")]
    key: Vec<u8>,
    #[prost(int64, optional, tag = "6")]
    mod_revision: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Op {
    #[prost(message, optional, tag = "1")]
    range: Option<Asked>,
}

fn asked(value: Option<&[u8]>) -> Asked {
    Asked {
        key: b"bare".to_vec(),
        value: value.map(<[u8]>::to_vec),
    }
}

fn txn() -> Txn {
    Txn {
        compare: vec![Compare {
            result: 1,
            target: 2,
            key: b"bare".to_vec(),
            mod_revision: Some(0),
        }],
        success: vec![Op {
            range: Some(asked(None)),
        }],
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answered {}

/// The floor: gRPC, with nothing of ours.
struct Bare {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
}

impl Bare {
    fn new(port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("a URL");
        let channel = runtime.block_on(endpoint.tcp_nodelay(true).connect());
        Bare {
            channel: channel.expect("it listens"),
            runtime,
        }
    }

    fn ask<Q: prost::Message + 'static>(&self, path: &'static str, asked: Q) {
        let mut grpc = Grpc::new(self.channel.clone());
        let answer = self.runtime.block_on(async move {
            grpc.ready().await.expect("connected");
            let path = PathAndQuery::from_static(path);
            grpc.unary(
                tonic::Request::new(asked),
                path,
                ProstCodec::<Q, Answered>::default(),
            )
            .await
        });
        answer.expect("answered");
    }
}

fn call(wait: Wait) -> Call {
    Call {
        wait,
        deadline: Instant::now() + Duration::from_secs(60),
        retry: true,
    }
}

fn put(key: &str, value: &[u8]) -> Write {
    Write {
        ops: vec![(key.into(), Some(value.to_vec()))],
        ..Write::default()
    }
}

/// Microseconds of each call.
fn timed(samples: &mut Vec<f64>, mut one: impl FnMut()) {
    for _ in 0..CALLS {
        let begun = Instant::now();
        one();
        samples.push(begun.elapsed().as_secs_f64() * 1e6);
    }
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Puts a second by so many tasks at once.
fn puts_a_second(remote: &dyn Remote, at_once: usize) -> f64 {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let task = call(Wait::Task);
        let mut writes: Vec<_> = (0..at_once)
            .map(|n| remote.write(&task, put(&format!("many/{n}"), b"value")))
            .collect();
        // Begun all, then waited for one by one.
        let undone: Vec<_> = writes
            .drain(..)
            .filter_map(|mut write| match write.as_mut().poll(&mut context) {
                std::task::Poll::Ready(answer) => {
                    answer.expect("written");
                    None
                }
                std::task::Poll::Pending => Some(write),
            })
            .collect();
        for write in undone {
            pollster::block_on(write).expect("written");
        }
        count += at_once;
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

fn page(remote: &dyn Remote) -> Result<usize> {
    let scan = Scan {
        range: KeyRange {
            lower: std::ops::Bound::Included(b"page/".to_vec()),
            upper: std::ops::Bound::Excluded(b"page0".to_vec()),
        },
        reverse: false,
        keys_only: false,
        limit_bytes: 1 << 20,
        limit_entries: 1000,
        hold: false,
    };
    let chunk = pollster::block_on(remote.scan(&call(Wait::Thread), scan, None))?;
    Ok(chunk.items.len())
}

fn main() -> Result<()> {
    let cluster = Etcd::start(3);
    let settings = Settings {
        open_timeout: Duration::from_secs(30),
        create_if_missing: true,
        error_if_exists: false,
        fills: false,
    };
    let remote: Arc<dyn Remote> = etcd::open(&Address::parse(&cluster.url())?, &settings)?;
    let bare = Bare::new(cluster.ports().next().expect("a node"));
    let value = [b'v'; 100];
    let thread = || call(Wait::Thread);
    for part in 0..10 {
        let ops = (0..100).map(|n| {
            (
                format!("page/{part}/{n:03}").into_bytes(),
                Some(value.to_vec()),
            )
        });
        let write = Write {
            ops: ops.collect(),
            ..Write::default()
        };
        pollster::block_on(remote.write(&thread(), write))?;
    }
    bare.ask("/etcdserverpb.KV/Put", asked(Some(&value)));
    pollster::block_on(remote.write(&thread(), put("key", &value)))?;
    let everything = KeyRange {
        lower: std::ops::Bound::Unbounded,
        upper: std::ops::Bound::Unbounded,
    };
    let mut feed = pollster::block_on(remote.feed(&thread(), Start::Now, everything))?;
    let task = || call(Wait::Task);
    let names = [
        "bare range",
        "bare transaction of a range",
        "get",
        "get of a task",
        "bare put",
        "put",
        "put of a task",
        "put until a feed tells it",
        "page of 1,000 entries of 100 bytes",
    ];
    let mut rows = names.map(|name| (name, Vec::new()));
    for _ in 0..ROUNDS {
        timed(&mut rows[0].1, || {
            bare.ask("/etcdserverpb.KV/Range", asked(None));
        });
        timed(&mut rows[1].1, || bare.ask("/etcdserverpb.KV/Txn", txn()));
        timed(&mut rows[2].1, || {
            pollster::block_on(remote.get(&thread(), b"key", None)).expect("read");
        });
        timed(&mut rows[3].1, || {
            pollster::block_on(remote.get(&task(), b"key", None)).expect("read");
        });
        timed(&mut rows[4].1, || {
            bare.ask("/etcdserverpb.KV/Put", asked(Some(&value)));
        });
        timed(&mut rows[5].1, || {
            pollster::block_on(remote.write(&thread(), put("key", &value))).expect("written");
        });
        timed(&mut rows[6].1, || {
            pollster::block_on(remote.write(&task(), put("key", &value))).expect("written");
        });
        while feed.next(Instant::now())?.is_some() {}
        timed(&mut rows[7].1, || {
            let written = pollster::block_on(remote.write(&thread(), put("key", &value)));
            let sequence = written.expect("written").expect("no conditions");
            while feed.through().sequence < sequence {
                feed.next(thread().deadline).expect("told");
            }
        });
        timed(&mut rows[8].1, || {
            assert_eq!(page(&*remote).expect("a page"), 1000);
        });
    }
    for (name, samples) in &mut rows {
        println!("{name:40} {:9.0} us", median(samples));
    }
    for at_once in [1, 16, 256] {
        let a_second = puts_a_second(&*remote, at_once);
        println!("puts a second, {at_once} at once {a_second:>20.0}");
    }
    remote.close();
    Ok(())
}
