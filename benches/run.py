#!/usr/bin/env python3
"""Measures Aether beside its comparison servers, one after the other on the same cores, and prints one table of ratios.

`make bench` runs it; docs/benchmarks.md says how to read it. Every figure comes from `aether bench`, whatever the server. Settings by
environment:

    QUICK=1             one short run of each instead of three: to see that everything works, not to quote
    ROUNDS=3            runs of each; the table shows medians
    ONLY=fanout-1000,…  only these loads (names: see LOADS)
    SERVERS=aether,bare only these servers
    AETHER=path         a binary that is already built; it is also the load tool, unless TOOL names another
"""

import dataclasses
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCHES = ROOT / "benches"
WORK = ROOT / "target" / "bench"
RESULTS = WORK / "results"
API_KEY = "bench"
READY_SECONDS = 15
STOP_SECONDS = 10
# No single load takes longer than this; one that does is broken.
LOAD_SECONDS_MAX = 300
# A run beside which others used more than this, in cores, is repeated, and of the repetitions the quietest counts.
OTHERS_CORES_MAX = 0.05
REPEATS_MAX = 2
# Repeating ends after so much time in all.
REPEAT_SECONDS_MAX = 360

QUICK = os.environ.get("QUICK", "") not in ("", "0")
FAULTS = ("lost", "duplicated", "reordered", "closed", "refused")
ROUNDS = int(os.environ.get("ROUNDS", "1" if QUICK else "3"))


def split_cores():
    """Server and load tool never share a core when there are two: half for each."""
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    return set(cores[:half]), set(cores[half:]) or set(cores)


SERVER_CORES, TOOL_CORES = split_cores()


class Failure(Exception):
    """A server or a load that could not be run; its rows stay empty and the others go on."""


# --- Servers ---------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Running:
    process: subprocess.Popen
    port: int
    pids: list


class Server:
    name = ""
    protocol = "raw-ws"

    def missing(self):
        """Why it cannot run here, or None."""
        return None

    def command(self, port, directory, is_secure):
        raise NotImplementedError

    def pids(self, process):
        return [process.pid]

    def url(self, port, is_secure):
        raise NotImplementedError

    def publish_url(self, port):
        return None

    def start(self, load):
        directory = WORK / "servers" / self.name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        port = free_port()
        log = open(directory / "log", "wb")
        process = subprocess.Popen(
            self.command(port, directory, load.is_secure), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory, preexec_fn=on_cores(SERVER_CORES)
        )
        log.close()
        running = Running(process, port, [])
        end = time.monotonic() + READY_SECONDS
        try:
            while not self.is_ready(port, load.is_secure):
                if process.poll() is not None:
                    raise Failure(f"{self.name} ended: {tail(directory / 'log')}")
                if time.monotonic() > end:
                    raise Failure(f"{self.name} was not ready in {READY_SECONDS} s: {tail(directory / 'log')}")
                time.sleep(0.05)
            running.pids = self.pids(process)
        except BaseException:
            self.stop(running)
            raise
        return running

    def is_ready(self, port, _is_secure):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stop(self, running):
        process = running.process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Aether(Server):
    name = "aether"
    protocol = "centrifuge-json"

    def __init__(self, binary):
        self.binary = binary

    def command(self, port, directory, is_secure):
        config = directory / "aether.toml"
        text = (BENCHES / "aether.toml").read_text()
        if is_secure:
            make_certificate(WORK / "certificate")
            text += f'\n[http_server.tls]\nenabled = true\ncert_pem_file = "{WORK}/certificate/cert.pem"\nkey_pem_file = "{WORK}/certificate/key.pem"\n'
        config.write_text(text.replace("@PORT@", str(port)).replace("@DIRECTORY@", str(directory)).replace("@API_KEY@", API_KEY))
        return [str(self.binary), "serve", "--config", str(config)]

    def is_ready(self, port, is_secure):
        if is_secure:
            return super().is_ready(port, is_secure)
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).status == 200
        except OSError:
            return False

    def url(self, port, is_secure):
        return f"{'wss' if is_secure else 'ws'}://127.0.0.1:{port}"


class Bare(Server):
    name = "bare"
    binary = WORK / "bare" / "release" / "bench-bare"

    def command(self, port, directory, is_secure):
        return [str(self.binary), str(port), str(len(SERVER_CORES))]

    def url(self, port, is_secure):
        return f"ws://127.0.0.1:{port}/ws?topic={{channel}}"

    def publish_url(self, port):
        return f"ws://127.0.0.1:{port}/pub"


class Bun(Bare):
    name = "bun"
    # The package's start-up script is a link to this or a small program beside it, depending on the version; the measured process must be Bun itself.
    binary = BENCHES / "bun" / "node_modules" / ".bin" / "bun"

    def missing(self):
        return None if self.binary.exists() else "npm ci in benches/bun did not install it"

    def command(self, port, directory, is_secure):
        return [str(self.binary), str(BENCHES / "bun" / "server.ts"), str(port)]


class Nchan(Server):
    name = "nchan"
    workers = 2

    def missing(self):
        if shutil.which("nginx") is None or not (self.modules() / "ngx_nchan_module.so").exists():
            return "not installed (Debian: nginx and libnginx-mod-nchan)"
        return None

    def modules(self):
        said = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=False).stderr
        paths = [word.partition("=")[2] for word in said.split() if word.startswith("--modules-path=")]
        return pathlib.Path(paths[0] if paths else "/usr/lib/nginx/modules")

    def command(self, port, directory, is_secure):
        config = directory / "nginx.conf"
        text = (BENCHES / "nchan" / "nginx.conf").read_text()
        for key, value in {"MODULES": self.modules(), "PORT": port, "DIRECTORY": directory, "WORKERS": self.workers}.items():
            text = text.replace(f"@{key}@", str(value))
        config.write_text(text)
        return ["nginx", "-c", str(config), "-p", str(directory)]

    def pids(self, process):
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            workers = [int(pid) for pid in children if b"worker process" in read_quietly(f"/proc/{pid}/cmdline")]
            if len(workers) == self.workers:
                return workers
            time.sleep(0.05)
        raise Failure("nginx did not start its workers")

    def url(self, port, is_secure):
        return f"ws://127.0.0.1:{port}/sub/{{channel}}"

    def publish_url(self, port):
        return f"http://127.0.0.1:{port}/pub/{{channel}}"


# --- Loads -----------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Load:
    name: str
    scenario: str
    arguments: list
    servers: list
    is_secure: bool = False
    # Only for servers that know these.
    aether_arguments: list = dataclasses.field(default_factory=list)


SECONDS = "3s" if QUICK else "8s"
WARM_UP = "1s" if QUICK else "2s"
STAY = "3s" if QUICK else "8s"
TIMES = ["--duration", SECONDS, "--warmup", WARM_UP]

LOADS = [
    Load("fanout-1000", "fanout", ["--connections", "1000", "--rate", "100", *TIMES], ["aether", "bare", "bun"]),
    Load("fanout-5000", "fanout", ["--connections", "5000", "--rate", "20", *TIMES], ["aether", "bare", "bun"]),
    Load("flat-out", "fanout", ["--connections", "1000", "--rate", "max", *TIMES], ["aether", "bare", "bun"]),
    Load("connect", "connect", ["--connections", "5000"], ["aether", "bare", "bun", "nchan"]),
    Load("http-publish", "http-publish", ["--connections", "5000", *TIMES], ["aether", "nchan"], aether_arguments=["--api-key", API_KEY]),
    Load("recovery", "recovery", ["--connections", "2000", "--missed", "100", "--channel", "history:bench"], ["aether"]),
    Load("idle", "idle", ["--connections", "10000", "--duration", STAY], ["aether", "bun", "nchan", "bare"]),
    Load("idle-tls", "idle", ["--connections", "10000", "--duration", STAY], ["aether"], is_secure=True),
]


def run_load(server, load, tool):
    running = server.start(load)
    try:
        command = [str(tool), "bench", load.scenario, "--json", "--protocol", server.protocol, "--url", server.url(running.port, load.is_secure)]
        command += ["--pid", ",".join(map(str, running.pids)), *load.arguments]
        if server.name == "aether":
            command += load.aether_arguments + (["--insecure"] if load.is_secure else [])
        elif server.publish_url(running.port) and load.scenario in ("fanout", "http-publish"):
            command += ["--publish-url", server.publish_url(running.port)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_SECONDS_MAX, check=False, preexec_fn=on_cores(TOOL_CORES))
        except subprocess.TimeoutExpired:
            raise Failure(f"{load.name} on {server.name} did not end in {LOAD_SECONDS_MAX} s") from None
    finally:
        server.stop(running)
    try:
        result = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise Failure(f"{load.name} on {server.name}: {(done.stderr or done.stdout).strip()}") from None
    return result


def run_quiet_load(server, load, tool, round_number, patience):
    """Runs a load until nobody else used the machine meanwhile, or until there is no more time for it."""
    best = None
    for attempt in range(1 + REPEATS_MAX):
        began = time.monotonic()
        result = run_load(server, load, tool)
        result["attempts"] = attempt + 1
        if best is None or result["others_cores"] < best["others_cores"]:
            best = result
        # A loss is a loss, however noisy the run was.
        for kind in FAULTS:
            best["integrity"][kind] = max(best["integrity"][kind], result["integrity"][kind])
        if best["others_cores"] <= OTHERS_CORES_MAX or patience.seconds <= 0:
            break
        patience.seconds -= time.monotonic() - began
    (RESULTS / f"{load.name}.{server.name}.{round_number}.json").write_text(json.dumps(best, indent=1) + "\n")
    return best


@dataclasses.dataclass
class Patience:
    seconds: float


# --- The table -------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Row:
    what: str
    load: str
    figure: str
    unit: str
    peer: str
    # At most so many times the peer's figure, or at most so much.
    ratio_max: float = None
    value_max: float = None


ROWS = [
    Row("CPU per delivery, 100,000/s to 1,000", "fanout-1000", "delivery.server_cpu_us_per_delivery", "µs", "bare", ratio_max=1.10),
    Row("CPU per delivery, 100,000/s to 5,000", "fanout-5000", "delivery.server_cpu_us_per_delivery", "µs", "bare", ratio_max=1.15),
    Row("CPU per delivery, flat out to 1,000", "flat-out", "delivery.server_cpu_us_per_delivery", "µs", "bun", ratio_max=1.0),
    Row("p99 latency, 100,000/s to 1,000", "fanout-1000", "delivery.latency_us.p99", "µs", "bun", ratio_max=0.8),
    Row("p99 latency, 100,000/s to 5,000", "fanout-5000", "delivery.latency_us.p99", "µs", "bun", ratio_max=1.0),
    Row("memory per idle connection", "idle", "memory.kib_per_connection", "KiB", "bun", value_max=4.0),
    Row("… still resident after all left", "idle", "memory.kib_per_connection_kept", "KiB", "bun", value_max=0.4),
    Row("memory per idle TLS connection", "idle-tls", "memory.kib_per_connection", "KiB", "", value_max=24.0),
    Row("… still resident after all left", "idle-tls", "memory.kib_per_connection_kept", "KiB", "", value_max=2.4),
    Row("CPU per connect + subscribe", "connect", "connect.server_cpu_us_each", "µs", "bare", ratio_max=2.0),
    Row("CPU per HTTP publish + 1 delivery", "http-publish", "delivery.server_cpu_us_per_publication", "µs", "nchan", ratio_max=1.0),
    Row("CPU per client, 2,000 back × 100 missed", "recovery", "recovery.server_cpu_us_per_client", "µs", "", value_max=60.0),
]
# For orientation, without a goal.
ALSO = [
    ("deliveries/s flat out", "flat-out", "delivery.deliveries_per_second"),
    ("HTTP publications/s", "http-publish", "delivery.publications_per_second"),
    ("p50 µs, 100,000/s to 1,000", "fanout-1000", "delivery.latency_us.p50"),
    ("p50 µs, 100,000/s to 5,000", "fanout-5000", "delivery.latency_us.p50"),
    ("CPU µs per delivery, 100,000/s to 1,000", "fanout-1000", "delivery.server_cpu_us_per_delivery"),
    ("CPU µs per delivery, 100,000/s to 5,000", "fanout-5000", "delivery.server_cpu_us_per_delivery"),
    ("CPU µs per connect", "connect", "connect.server_cpu_us_each"),
    ("KiB per idle connection", "idle", "memory.kib_per_connection"),
    ("seconds of the recovery storm", "recovery", "recovery.seconds"),
]
SERVER_ORDER = ["aether", "bare", "bun", "nchan"]


def median(results, load, server, figure):
    values = []
    for result in results.get((load, server), []):
        value = result
        for key in figure.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            values.append(value)
    return statistics.median(values) if values else None


def show(value, unit=""):
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def print_table(results):
    header = ("what", "Aether", "peer", "ratio", "goal", "met")
    lines = []
    for row in ROWS:
        if not any(load == row.load for load, _ in results):
            continue
        own = median(results, row.load, "aether", row.figure)
        peer = median(results, row.load, row.peer, row.figure) if row.peer else None
        ratio = own / peer if own is not None and peer else None
        if row.ratio_max is not None:
            goal, met = f"≤ {row.ratio_max:.2f} × {row.peer}", None if ratio is None else ratio <= row.ratio_max
        else:
            goal, met = f"≤ {show(row.value_max, row.unit)}", None if own is None else own <= row.value_max
        lines.append(
            (
                row.what,
                show(own, row.unit),
                f"{row.peer} {show(peer, row.unit)}" if row.peer else "",
                "–" if ratio is None else f"{ratio:.2f}",
                goal,
                "?" if met is None else "yes" if met else "NO",
            )
        )
    faults = integrity(results, "aether")
    if any(server == "aether" for _, server in results):
        lines.append(("lost, duplicated, reordered, closed, refused", str(faults), "", "", "0", "yes" if faults == 0 else "NO"))
    print_columns([header, *lines])

    print("\nFor orientation:")
    orientation = [("", *SERVER_ORDER)]
    for what, load, figure in ALSO:
        values = [median(results, load, server, figure) for server in SERVER_ORDER]
        if any(value is not None for value in values):
            orientation.append((what, *map(show, values)))
    print_columns(orientation)
    return faults


def integrity(results, server):
    """Everything that went wrong with any message or connection, over all runs of a server."""
    return sum(result["integrity"][kind] for (_, name), runs in results.items() if name == server for result in runs for kind in FAULTS)


def print_columns(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths))))
        if number == 0:
            print("  ".join("-" * width for width in widths))


# --- The machine -----------------------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_cores(cores):
    def prepare():
        os.sched_setaffinity(0, cores)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    return prepare


def make_certificate(directory):
    if (directory / "cert.pem").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", directory / "key.pem", "-out", directory / "cert.pem"]
    run_quietly(command)


def read_quietly(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def tail(path):
    return read_quietly(path).decode(errors="replace").strip()[-600:] or "it said nothing"


def run_quietly(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failure(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")


def build():
    """Everything that is measured, in its fastest form. Returns Aether's binary."""
    note("building")
    given = os.environ.get("AETHER")
    if given is None:
        run_quietly(["cargo", "build", "--release", "--locked"], cwd=ROOT)
    run_quietly(["cargo", "build", "--release", "--locked", "--target-dir", WORK / "bare"], cwd=BENCHES / "bare")
    lock, installed = BENCHES / "bun" / "package-lock.json", BENCHES / "bun" / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        try:
            run_quietly(["npm", "ci", "--no-audit", "--no-fund"], cwd=BENCHES / "bun")
        except (Failure, OSError) as failure:
            note(f"Bun is left out: {failure}")
    return pathlib.Path(given).resolve() if given else ROOT / "target" / "release" / "aether"


def note(text):
    print(f"· {text}", file=sys.stderr, flush=True)


def chosen(name, every):
    wanted = [word for word in os.environ.get(name, "").split(",") if word]
    unknown = set(wanted) - set(every)
    if unknown:
        sys.exit(f"{name}: {', '.join(sorted(unknown))} not known; there are {', '.join(every)}")
    return wanted or every


def main():
    loads = chosen("ONLY", [load.name for load in LOADS])
    names = chosen("SERVERS", SERVER_ORDER)
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    try:
        aether = build()
    except (Failure, OSError) as failure:
        sys.exit(f"cannot build: {failure}")
    tool = pathlib.Path(os.environ.get("TOOL", aether)).resolve()
    servers = {}
    for server in (Aether(aether), Bare(), Bun(), Nchan()):
        reason = server.missing()
        if server.name in names and reason is None:
            servers[server.name] = server
        elif server.name in names:
            note(f"{server.name} is left out: {reason}")

    began, results, failures = time.monotonic(), {}, []
    patience = Patience(0 if QUICK else REPEAT_SECONDS_MAX)
    for load in LOADS:
        if load.name not in loads:
            continue
        comparable = [servers[name] for name in load.servers if name in servers]
        for round_number in range(1, ROUNDS + 1):
            # In turn, and every other time the other way round: what the machine does over time hits all alike.
            for server in comparable if round_number % 2 else reversed(comparable):
                note(f"{load.name}, round {round_number} of {ROUNDS}: {server.name}")
                try:
                    results.setdefault((load.name, server.name), []).append(run_quiet_load(server, load, tool, round_number, patience))
                except Failure as failure:
                    failures.append(str(failure))
                    note(str(failure))

    listed = lambda cores: ",".join(map(str, sorted(cores)))
    print(f"\nServers on core {listed(SERVER_CORES)}, load tool on core {listed(TOOL_CORES)}, medians of {ROUNDS}, {time.monotonic() - began:.0f} s in all.")
    others = [result["others_cores"] for runs in results.values() for result in runs]
    if others:
        noisy = sum(share > OTHERS_CORES_MAX for share in others)
        print(f"Others used {statistics.median(others):.2f} cores meanwhile (median of the runs; at most {max(others):.2f}), in {noisy} of {len(others)} runs more than {OTHERS_CORES_MAX}.")
    print()
    faults = print_table(results)
    if failures:
        print("\nCould not be measured:")
        for failure in failures:
            print(f"  {failure}")
    print(f"\nAll figures of all runs: {RESULTS.relative_to(ROOT)}/")
    # A goal that is missed is a finding; a lost message or a load that did not run is a fault.
    return 1 if faults or failures else 0


if __name__ == "__main__":
    sys.exit(main())
