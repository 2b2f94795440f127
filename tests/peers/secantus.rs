//! SecantusDB, a server that speaks MongoDB's wire protocol, with SCRAM on: a real process for the tests of the MongoDB store. It is not
//! MongoDB itself, of which no registry that the tests may use has the program.

use mongodb::bson::doc;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Time for the server to answer after its start.
const START_MAX: Duration = Duration::from_secs(30);

/// With signs that must be escaped in a URI.
const PASSWORD: &str = "a p@ss/word of the tests";
const PASSWORD_ESCAPED: &str = "a%20p%40ss%2Fword%20of%20the%20tests";

/// Keeps the server as long as its input is open, so that it ends with the test process, however that ends. `exec` keeps the id.
const KEEPER: &str = r#""$0" "$@" <&- & echo $!; read _; kill -9 $! 2>&-"#;

/// Removes the folder when its input is closed and the server has ended.
const JANITOR: &str = r#"read _; sleep 1; rm -rf "$0""#;

pub struct Secantus {
    program: PathBuf,
    directory: PathBuf,
    port: u16,
    keeper: Option<Child>,
    pid: i32,
    /// Its input is what it waits for.
    _janitor: Child,
}

impl Secantus {
    /// Starts a server with an empty folder, on a free port.
    pub async fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Some(program) = std::env::var_os("SECANTUSD") else {
            panic!(
                "SECANTUSD must name the program secantusd-py, as it does under `make test`; by hand: \
                 export SECANTUSD=$(tests/run --secantus | tail -1)"
            );
        };
        let name = format!("aether-secantus-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).expect("a folder can be made");
        let janitor = Command::new("sh").args(["-c", JANITOR]).arg(&directory).stdin(Stdio::piped()).spawn().expect("sh can be started");
        let port = free_port();
        let mut server = Self { program: program.into(), directory, port, keeper: None, pid: 0, _janitor: janitor };
        // Users are made while nobody needs to be one.
        server.run(&[]).await;
        let client = mongodb::Client::with_uri_str(format!("mongodb://127.0.0.1:{port}/")).await.expect("the address is one");
        let roles = vec![doc! { "role": "readWriteAnyDatabase", "db": "admin" }];
        let user = doc! { "createUser": "aether", "pwd": PASSWORD, "roles": roles };
        client.database("admin").run_command(user).await.expect("a user can be made");
        client.shutdown().immediate(true).await;
        // Users, other than data, are there after the next start only when it was ended in peace.
        server.end().await;
        server.start_again().await;
        server
    }

    pub fn uri(&self) -> String {
        format!("mongodb://aether:{PASSWORD_ESCAPED}@127.0.0.1:{}/?authSource=admin", self.port)
    }

    /// Spellings of the password that must be nowhere.
    pub fn secrets(&self) -> [&'static str; 2] {
        [PASSWORD, PASSWORD_ESCAPED]
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // Its input is closed, and it ends the server.
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }

    /// SIGTERM, and waits for its end.
    async fn end(&mut self) {
        self.signal(libc::SIGTERM);
        let started = Instant::now();
        // Its keeper has not asked for its exit code yet, so that it stays, as a zombie.
        let stat = format!("/proc/{}/stat", self.pid);
        while !text(Path::new(&stat)).contains(") Z ") {
            assert!(started.elapsed() < START_MAX, "the server does not end:\n{}", text(&self.log()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
    }

    /// With the same data, on the same port.
    pub async fn start_again(&mut self) {
        self.run(&["--auth"]).await;
    }

    /// SIGSTOP: the connections stay, nothing is answered.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the keeper has not ended, so the id belongs to its child.
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }

    async fn run(&mut self, options: &[&str]) {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER]).arg(&self.program).args(["--host", "127.0.0.1", "--log-level", "ERROR", "--cache-size", "64M"]);
        command.arg("--port").arg(self.port.to_string()).arg("--storage-path").arg(self.directory.join("data")).args(options);
        let log = std::fs::File::create(self.log()).expect("the log can be made");
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().expect("sh can be started");
        let mut pid = String::new();
        BufReader::new(keeper.stdout.take().expect("it is piped")).read_line(&mut pid).expect("the keeper says the id");
        self.pid = pid.trim().parse().expect("the keeper says the id");
        self.keeper = Some(keeper);
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(started.elapsed() < START_MAX, "{} does not answer:\n{}", self.program.display(), text(&self.log()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Secantus {
    fn drop(&mut self) {
        self.thaw();
        self.kill();
    }
}

/// Below those that the system gives to outgoing connections (32768 to 60999): one of them could be taken while the server is away.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(61);
    loop {
        let port = 20_000 + (first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
