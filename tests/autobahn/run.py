"""Autobahn's cases against the hub's WebSocket frames.

`run.py BINARY`: BINARY is the example `ws_echo`. Runs groups 1-7, 9 and 10 (limits, fragments, UTF-8, closing, volume); groups 12 and 13
are about compression, which the hub does not offer. Ends with `N passed, N failed`; the exit code is 1 when a case failed.
"""

import asyncio
import pathlib
import socket
import subprocess
import sys

import kosoku

GROUPS = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
# Cases of these groups, so that a selection that silently runs nothing cannot pass.
CASES = 301
ACCEPTED = {"OK", "NON-STRICT", "INFORMATIONAL"}
START_SECONDS = 30
RUN_SECONDS = 600


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def run(binary: str) -> list:
    port = free_port()
    echo = await asyncio.create_subprocess_exec(
        str(pathlib.Path(binary).resolve()), str(port), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        ready = await asyncio.wait_for(echo.stdout.readline(), START_SECONDS)
        assert b"ready" in ready, f"the echo server said {ready!r}"
        try:
            return await asyncio.wait_for(kosoku.run_fuzzingclient(f"ws://127.0.0.1:{port}", cases=GROUPS), RUN_SECONDS)
        except kosoku.FailureError as failure:
            return failure.results
    finally:
        if echo.returncode is None:
            echo.kill()
        await echo.wait()


def main() -> int:
    results = asyncio.run(run(sys.argv[1]))
    failed = []
    for result in results:
        verdicts = {result.behavior.value, result.behavior_close.value}
        if not verdicts <= ACCEPTED:
            failed.append(result)
            print(f"case {result.case_id}: {result.behavior.value}, {result.result} close: {result.behavior_close.value}, {result.result_close}")
    missing = max(0, CASES - len(results))
    if missing:
        print(f"{missing} of {CASES} cases did not run")
    print(f"{len(results) - len(failed)} passed, {len(failed) + missing} failed")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
