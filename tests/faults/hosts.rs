//! Where sites run: all on this machine's loopback, or each behind a network interface of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use coffer_testkit::etcd::EtcdHost;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A connection that was not taken by then never is.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Host {
    /// For the other sites.
    pub(crate) address: Ipv4Addr,
    /// The command that runs another one there. Empty: here.
    pub(crate) enter: Vec<String>,
    namespace: Option<Arc<File>>,
}

impl Host {
    /// This machine, for a site among others.
    pub(crate) fn here() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, enter: Vec::new(), namespace: None }
    }

    /// The network namespace of a process.
    pub(crate) fn of_process(pid: u32, address: Ipv4Addr) -> Self {
        let file = format!("/proc/{pid}/ns/net");
        let namespace = Some(Arc::new(File::open(&file).unwrap()));
        Self { address, enter: vec!["nsenter".to_owned(), format!("--net={file}")], namespace }
    }

    pub(crate) fn for_etcd(&self) -> EtcdHost {
        EtcdHost { address: self.address, enter: self.enter.clone() }
    }

    /// Connects to the host's loopback: as a client that has a way to the site of its own, whatever befalls the ways
    /// between sites.
    pub(crate) fn connect(&self, port: u16, answers_within: Duration) -> Option<TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let connect = || TcpStream::connect_timeout(&address, CONNECT_WITHIN).ok();
        let stream = match &self.namespace {
            None => connect(),
            Some(there) => {
                let home = File::open("/proc/thread-self/ns/net").unwrap();
                let enter = |file: &File| {
                    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                };
                enter(there);
                let stream = connect();
                enter(&home);
                stream
            }
        }?;
        stream.set_read_timeout(Some(answers_within)).unwrap();
        Some(stream)
    }
}
