// nginx, a real one, before a hub: in a folder of its own, with what a test gives it to serve, and ended with the test.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const NGINX = '/usr/sbin/nginx';
const DEADLINE_MS = 20_000;

const answers = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy() && true));
    socket.on('error', () => resolve(false));
  });

/** A certificate for localhost that nobody vouches for: `cert.pem` and `key.pem` in the folder. */
function makeCertificate(folder) {
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', join(folder, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', ...key, '-days', '2', ...subject, '-out', join(folder, 'cert.pem')], { stdio: 'ignore' });
}

/**
 * Starts nginx with what `http(folder)` says in the section of that name, where it listens at `port`. `files` are put into its folder, by name. The
 * configuration is tested first, as an operator would.
 */
export async function startNginx(port, http, files = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'aether-nginx-'));
  makeCertificate(folder);
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o644 });
  const configuration = `user root;
    daemon off;
    worker_processes 1;
    pid nginx.pid;
    error_log stderr;
    events { worker_connections 512; }
    http {
      access_log off;
      default_type text/html;
      client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
      ${http(folder)}
    }`;
  await writeFile(join(folder, 'nginx.conf'), configuration);
  const options = ['-p', folder, '-e', 'stderr', '-c', 'nginx.conf'];
  const tested = execFileSync(NGINX, ['-t', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  const child = spawn(NGINX, options, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = tested.toString();
  child.stderr.on('data', (text) => (log += text));
  const exited = new Promise((resolve) => child.once('exit', resolve));
  process.once('exit', () => child.kill('SIGTERM'));
  const end = Date.now() + DEADLINE_MS;
  while (!(await answers(port))) {
    if (Date.now() > end || child.exitCode !== null) throw new Error(`nginx does not listen:\n${log}`);
    await sleep(10);
  }
  return {
    async end() {
      child.kill('SIGTERM');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A port that is free now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
