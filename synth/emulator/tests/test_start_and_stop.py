"""The process: version check, ports, ready file, and an end that leaves nothing behind."""

import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import support  # first: it makes the package importable
from support import Emulator, TestCase, eventually

from tandem_emulator import MINISTACK_VERSION
from tandem_emulator import __main__ as launcher

NAME = "who-am-i"
SOURCE = """
import os
def handler(event, context):
    return {"pid": os.getpid(), "names": sorted(os.environ)}
"""


class VersionCheck(TestCase):
    def test_installed_version_fits(self) -> None:
        self.assertIsNone(launcher.version_problem())

    def test_other_version_is_refused_with_the_repair(self) -> None:
        with mock.patch.object(importlib.metadata, "version", return_value="1.5.34"):
            problem = launcher.version_problem()
        self.assertEqual(
            problem, f"ministack 1.5.34 is installed; install ministack=={MINISTACK_VERSION}"
        )

    def test_exit_code_of_a_wrong_version(self) -> None:
        code = (
            "import importlib.metadata, runpy, sys\n"
            "importlib.metadata.version = lambda name: '0.0.1'\n"
            "sys.argv = ['tandem_emulator']\n"
            "runpy.run_module('tandem_emulator', run_name='__main__')\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(support.PACKAGE_FOLDER)}
        result = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
        )
        self.assertEqual(result.returncode, 2)
        self.assertIn("error: ministack 0.0.1 is installed", result.stderr)


class Ports(TestCase):
    def test_taken_port_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            environment = {**os.environ, "PYTHONPATH": str(support.PACKAGE_FOLDER)}
            result = subprocess.run(
                [sys.executable, "-m", "tandem_emulator", "--port", str(port)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=20,
            )
        self.assertEqual(result.returncode, 3)
        self.assertIn(f"cannot listen on 127.0.0.1:{port}", result.stderr)


class LocalAddresses(TestCase):
    def test_health_and_version(self) -> None:
        health = support.shared().local("GET", "/_local/health")
        self.assertEqual(health, {"status": "ok", "pid": support.shared().process.pid, "iam": True})
        version = support.shared().local("GET", "/_local/version")
        self.assertEqual(version["ministack"], MINISTACK_VERSION)

    def test_resource_types_tell_real_ones_from_placeholders(self) -> None:
        types = support.shared().local("GET", "/_local/resource-types")
        self.assertIn("AWS::KMS::ReplicaKey", types["provisioned"])
        self.assertIn("AWS::Route53::HealthCheck", types["placeholders"])
        self.assertEqual(set(types["provisioned"]) & set(types["placeholders"]), set())


class End(TestCase):
    def start_with_function(self) -> tuple[Emulator, dict[str, Any]]:
        emulator = Emulator()
        self.addCleanup(emulator.stop, signal.SIGKILL)
        role_arn = emulator.client("iam").create_role(
            RoleName="function",
            AssumeRolePolicyDocument=json.dumps(support.trust("lambda.amazonaws.com")),
        )["Role"]["Arn"]
        functions = emulator.client("lambda")
        functions.create_function(
            FunctionName=NAME,
            Runtime="python3.11",
            Handler="index.handler",
            Role=role_arn,
            Code={"ZipFile": support.zipped("index.py", SOURCE)},
        )
        answer = functions.invoke(FunctionName=NAME)["Payload"].read()
        return emulator, json.loads(answer)

    def test_sigterm_ends_functions_and_removes_the_data(self) -> None:
        emulator, answer = self.start_with_function()
        data = Path(emulator.ready["data_dir"])
        self.assertTrue(data.is_dir())
        self.assertEqual(emulator.stop(), 0)
        self.assertFalse(is_running(answer["pid"]))
        self.assertFalse(data.exists())

    @unittest.skipUnless(sys.platform == "linux", "needs PR_SET_PDEATHSIG")
    def test_sigkill_leaves_no_function_process(self) -> None:
        emulator, answer = self.start_with_function()
        self.assertTrue(is_running(answer["pid"]))
        emulator.stop(signal.SIGKILL)
        eventually(lambda: not is_running(answer["pid"]), "the function process dies")

    def test_functions_see_neither_the_callers_nor_the_launchers_variables(self) -> None:
        _emulator, answer = self.start_with_function()
        self.assertIn("AWS_ENDPOINT_URL", answer["names"])
        self.assertEqual(
            {"LEAKED", "AUTH", "STATE_DIR", "GATEWAY_PORT"} & set(answer["names"]), set()
        )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or ") Z" not in status.read_text()


if __name__ == "__main__":
    unittest.main()
