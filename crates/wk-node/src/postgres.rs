//! SQL for clients that speak PostgreSQL's protocol, such as `psql` and Grafana: the same statements with the same
//! limits as `POST /api/v1/sql`. A token is the password; who comes from elsewhere than loopback must use TLS.
//!
//! The library writes messages and reads what comes before a session. The session itself is here: the library's own
//! takes messages of a gigabyte before a client has signed in, makes room for as many rows as a client names, and
//! panics at messages that are cut short.

mod catalog;
mod extended;
mod failure;
mod frontend;
mod session;
mod split;
mod startup;
mod values;
mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_lake::Cancel;

use self::failure::{Failure, Refusal, code};
use self::session::Session;
use self::startup::Key;
use self::wire::Wire;
use crate::node::Node;
use crate::sql_clients::SqlClients;

/// Most connections served at once; further ones are told so.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take to sign in.
const STARTUP_MAX: Duration = Duration::from_secs(10);
/// How long one that is turned away may take to say anything.
const TURN_AWAY_MAX: Duration = Duration::from_secs(1);
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
struct Server {
    node: Arc<Node>,
    acceptor: Option<TlsAcceptor>,
    counts: Arc<SqlClients>,
    next_process: AtomicI32,
    /// The sessions, with what stops their statements.
    sessions: Mutex<HashMap<Key, Arc<Mutex<Cancel>>>>,
}

/// Serves the listener until the node stops.
pub async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, node: Arc<Node>, stop: CancellationToken) {
    let counts = Arc::clone(&node.sql_clients);
    let server =
        Arc::new(Server { node, acceptor, counts, next_process: AtomicI32::new(1), sessions: Mutex::default() });
    let [slots, doors] = [(); 2].map(|()| Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept a PostgreSQL client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let server = Arc::clone(&server);
        let (slot, door) = (Arc::clone(&slots).try_acquire_owned(), Arc::clone(&doors));
        tasks.spawn(async move {
            let served = match slot {
                Ok(_slot) => server.connection(tcp, peer).await,
                Err(_) => server.turn_away(tcp, &door).await,
            };
            match served {
                Ok(()) => {}
                Err(Failure::Refused(refusal)) => {
                    tracing::debug!(%peer, code = refusal.code, "a PostgreSQL client was refused");
                }
                Err(Failure::Broken(error)) => {
                    tracing::debug!(%peer, %error, "the connection of a PostgreSQL client ended");
                }
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

impl Server {
    async fn connection(&self, tcp: TcpStream, peer: SocketAddr) -> Result<(), Failure> {
        tcp.set_nodelay(true)?;
        let opened = tokio::select! {
            () = self.node.stop.cancelled() => return Ok(()),
            opened = tokio::time::timeout(STARTUP_MAX, startup::open(self, tcp, peer)) => opened,
        };
        let Ok(opened) = opened else {
            self.counts.refuse();
            return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        };
        let Some(client) = opened? else { return Ok(()) };
        let registered = Registered::new(self, client.key.clone());
        Session::new(self, client, Arc::clone(&registered.current)).run().await
    }

    /// Tells a client for which there is no room; where very many come at once, some are left without a word.
    async fn turn_away(&self, tcp: TcpStream, door: &Semaphore) -> Result<(), Failure> {
        self.counts.refuse();
        let Ok(_door) = door.try_acquire() else { return Ok(()) };
        let what = format!("{CONNECTIONS_MAX} clients are connected, which is the most; let one of them go");
        let mut wire = Wire::new(tcp);
        // What has come is read, so that closing does not undo the answer.
        let _ = tokio::time::timeout(TURN_AWAY_MAX, wire.startup()).await;
        wire.end(&Refusal::new(code::TOO_MANY_CONNECTIONS, what)).await
    }

    /// A key of which the process number is not in use and the secret cannot be guessed.
    fn new_key(&self) -> Result<Key, Refusal> {
        let mut secret = vec![0; 4];
        getrandom::fill(&mut secret).map_err(|error| Refusal::new(code::INTERNAL_ERROR, error.to_string()))?;
        Ok(Key { process: self.next_process.fetch_add(1, Ordering::Relaxed), secret })
    }

    /// Stops the statement of a session, where the key is right.
    fn cancel(&self, key: &Key) {
        let current = self.sessions().get(key).cloned();
        if let Some(current) = current {
            current.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Key, Arc<Mutex<Cancel>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that can be found by its key, as long as it lasts.
struct Registered<'a> {
    server: &'a Server,
    key: Key,
    current: Arc<Mutex<Cancel>>,
}

impl<'a> Registered<'a> {
    fn new(server: &'a Server, key: Key) -> Self {
        let current = Arc::default();
        server.sessions().insert(key.clone(), Arc::clone(&current));
        server.counts.connect();
        Self { server, key, current }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.server.sessions().remove(&self.key);
        self.server.counts.leave();
    }
}
