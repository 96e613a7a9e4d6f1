//! A receiver of remote write that answers as it is told, and keeps what it has taken.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Status and further headers for a body, by the number of the request.
type Judge = dyn Fn(usize, &[u8]) -> (u16, &'static str) + Send + Sync;

/// The receiver; it ends with the test's process.
pub struct Receiver {
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    requests: usize,
    refused: usize,
    taken: Vec<Vec<u8>>,
}

impl Receiver {
    pub fn start(judge: impl Fn(usize, &[u8]) -> (u16, &'static str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state: Arc<Mutex<State>> = Arc::default();
        let (judge, kept): (Arc<Judge>, _) = (Arc::new(judge), Arc::clone(&state));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (judge, kept) = (Arc::clone(&judge), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream.unwrap(), &*judge, &kept));
            }
        });
        Self { url, state }
    }

    pub fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }

    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// The numbers behind `prefix` in label values that were taken, and how many requests each was in.
    pub fn numbers(&self, prefix: &str) -> (BTreeSet<u64>, usize) {
        let (mut found, mut times) = (BTreeSet::new(), 0);
        for body in &self.state.lock().unwrap().taken {
            let text = String::from_utf8_lossy(body);
            for rest in text.split(prefix).skip(1) {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                found.insert(digits.parse().unwrap());
                times += 1;
            }
        }
        (found, times)
    }
}

fn serve(mut stream: TcpStream, judge: &Judge, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap_or_default();
        let mut state = state.lock().unwrap();
        let (status, headers) = judge(state.requests, &plain);
        state.requests += 1;
        match status {
            200..300 => state.taken.push(plain),
            _ => state.refused += 1,
        }
        drop(state);
        let _ = write!(stream, "HTTP/1.1 {status} x\r\n{headers}Content-Length: 4\r\n\r\ntold");
    }
}
