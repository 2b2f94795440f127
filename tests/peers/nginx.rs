//! nginx, a real one: as a proxy before a hub or a feed, and with the nchan module as a server that is not ours. Started in a folder of its own, on
//! a free port, and ended with the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const NGINX: &str = "/usr/sbin/nginx";
const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Time for nginx to listen after its start.
const START_MAX: Duration = Duration::from_secs(30);

pub struct Nginx {
    pub address: SocketAddr,
    /// With its configuration, its log, and what the test has put there for it.
    pub directory: TempDir,
    process: Child,
}

/// What nginx is to do.
#[derive(Default)]
pub struct Setup<'a> {
    /// What stands in its `server` section, and what more in the `http` section around it.
    pub server: &'a str,
    pub http: &'a str,
    pub has_nchan: bool,
    /// Where it is to live; `None`: in a new folder.
    pub directory: Option<TempDir>,
}

impl Nginx {
    /// `None`, said aloud, where it is not installed.
    pub fn start(setup: Setup<'_>) -> Option<Self> {
        let Setup { server, http, has_nchan, directory } = setup;
        let modules: &[&str] = if has_nchan { &[NCHAN] } else { &[] };
        if !modules.iter().chain([&NGINX]).all(|file| Path::new(file).exists()) {
            eprintln!("skipped: {NGINX} {modules:?} is not installed (Debian: nginx, libnginx-mod-nchan)");
            return None;
        }
        let directory = directory.unwrap_or_else(|| tempfile::tempdir().expect("a folder can be made"));
        // The port is free now and hardly taken by another in the moment until nginx has it; a restart needs the same one.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port is free");
        let modules: String = modules.iter().map(|module| format!("load_module {module};\n")).collect();
        let configuration = format!(
            "{modules}user root;
            daemon off;
            worker_processes 1;
            pid nginx.pid;
            error_log stderr notice;
            events {{ worker_connections 256; }}
            http {{
                access_log off;
                client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                {http}
                server {{
                    listen {address};
                    {server}
                }}
            }}"
        );
        std::fs::write(directory.path().join("nginx.conf"), configuration).expect("a file can be written");
        let process = spawn(directory.path());
        let mut nginx = Self { address, directory, process };
        nginx.await_ready();
        Some(nginx)
    }

    fn await_ready(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let lives = matches!(self.process.try_wait(), Ok(None));
            assert!(lives && begun.elapsed() < START_MAX, "nginx does not listen:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// To the master and its workers.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill(2) touches no memory of ours; the group is that of a child which has not been waited for.
        assert_eq!(unsafe { libc::kill(-(self.process.id() as libc::pid_t), signal) }, 0);
    }

    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.process.wait().expect("it is our child");
    }

    /// With the same configuration, on the same port.
    #[allow(dead_code, reason = "not all who share this file restart it")]
    pub fn restart(&mut self) {
        self.process = spawn(self.directory.path());
        self.await_ready();
    }
}

fn spawn(directory: &Path) -> Child {
    let log = std::fs::File::create(directory.join("log")).expect("a file can be made");
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(directory).args(["-e", "stderr", "-c", "nginx.conf"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).spawn().expect("it runs")
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.kill();
        }
    }
}
