//! A link to a server that can be made slow, or to swallow what it is given.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The link; connections through it outlive it.
pub(crate) struct Link {
    port: u16,
    delay: Arc<Mutex<Duration>>,
}

impl Link {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let delay = Arc::new(Mutex::new(Duration::ZERO));
        let every = Arc::clone(&delay);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let ends = near.try_clone().and_then(|near| Ok((near, far.try_clone()?)));
                let Ok((near_again, far_again)) = ends else { continue };
                let (there, back) = (Arc::clone(&every), Arc::clone(&every));
                let one = Arc::new(AtomicBool::new(false));
                let other = Arc::clone(&one);
                std::thread::spawn(move || carry(near, far, &there, &one));
                std::thread::spawn(move || carry(far_again, near_again, &back, &other));
            }
        });
        Self { port, delay }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on what is sent, both ways, arrives that much later; `Duration::MAX`: never.
    pub(crate) fn delay(&self, delay: Duration) {
        *self.delay.lock().expect("no panic") = delay;
    }
}

/// Once something was swallowed, nothing gets through any more: a stream with a gap is none.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: &Mutex<Duration>, is_lost: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        let delay = *delay.lock().expect("no panic");
        if delay == Duration::MAX || is_lost.load(Ordering::SeqCst) {
            is_lost.store(true, Ordering::SeqCst);
            continue;
        }
        std::thread::sleep(delay);
        if to.write_all(bytes.get(..length).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
