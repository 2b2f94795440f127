//! A real mail server for the tests, aiosmtpd: see `smtp.py`.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Who may hand letters over.
pub const USER: &str = "aether";
pub const PASSWORD: &str = "a mail password, \"quoted\" & long";

pub struct MailServer {
    child: Child,
    letters: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    /// Starts it with the pair `cert.pem` and `key.pem` of a folder.
    pub fn start(port: u16, directory: &Path) -> Self {
        Self::launch("starttls", port, directory)
    }

    /// The same, with TLS from the first byte.
    pub fn start_with_tls(port: u16, directory: &Path) -> Self {
        Self::launch("tls", port, directory)
    }

    fn launch(tls: &str, port: u16, directory: &Path) -> Self {
        let Some(program) = std::env::var_os("SECANTUSD") else {
            panic!(
                "SECANTUSD must name a program of the Python environment of the tests, as it does under `make test`; by hand: \
                 export SECANTUSD=$(tests/run --secantus | tail -1)"
            );
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/smtp.py");
        let mut command = Command::new(Path::new(&program).with_file_name("python"));
        command
            .args(["-W", "ignore"])
            .arg(script)
            .arg(tls)
            .arg(port.to_string())
            .arg(directory.join("cert.pem"))
            .arg(directory.join("key.pem"))
            .args([USER, PASSWORD]);
        // It ends when its input is closed, so with the test process, however that ends.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the environment has a python");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("ready"), "the mail server does not start");
        let letters = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&letters);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                taken.lock().expect("nobody panics here").push(serde_json::from_str(&line).expect("a line is JSON"));
            }
        });
        Self { child, letters }
    }

    /// What it has taken so far.
    pub fn letters(&self) -> Vec<Value> {
        self.letters.lock().expect("nobody panics here").clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Where nobody listens yet.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port is free").port()
}
