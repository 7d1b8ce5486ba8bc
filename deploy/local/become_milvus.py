"""Runs Milvus standalone out of its wheel in the place of this process: become_milvus.py DATA_DIR PORT.

The wheel's own launcher starts the server as a child and ends it after one second; here the process is the server,
so whoever started it can signal it.
"""

import os
import shutil
import socket
import sys
from pathlib import Path

import milvus

LOOPBACK = "127.0.0.1"
ETCD = """\
listen-client-urls: http://{host}:{client}
advertise-client-urls: http://{host}:{client}
listen-peer-urls: http://{host}:{peer}
initial-advertise-peer-urls: http://{host}:{peer}
initial-cluster: default=http://{host}:{peer}
"""
COMPONENTS = ("rootCoord", "proxy", "queryCoord", "queryNode", "indexCoord", "indexNode", "dataCoord", "dataNode")


def main(data_dir: str, port: int) -> None:
    """Unpacks the server on the first start, writes its configuration, and becomes it."""
    data = Path(data_dir)
    config = milvus.MilvusServerConfig(data_dir=str(data))
    config.set("proxy_port", port)
    # The etcd inside has ports of its own, which are fixed unless a file says otherwise.
    client, peer = _free_ports(2)
    (data / "etcd.yaml").write_text(ETCD.format(host=LOOPBACK, client=client, peer=peer))
    # Started again after a kill it waits twice as long as this until its own former life is over.
    config.extra_configs = {f"{component}.ip": LOOPBACK for component in COMPONENTS} | {"common.session.ttl": 5}
    config.resolve()
    config.set("proxy_port", port)  # it takes the next one while connections of a killed server linger
    config.write_config()
    if not (data / "unpacked").exists():
        milvus._initialize_data_files(str(data))
        (data / "unpacked").touch()
    metrics, reserved = config.resolve_port(9091)
    reserved.close()
    program = shutil.which("milvus", path=str(data / "bin")) or sys.exit(f"{data}/bin has no milvus")
    environment = {
        "DEPLOY_MODE": "STANDALONE",
        "ETCD_CONFIG_PATH": str(data / "etcd.yaml"),
        "METRICS_PORT": str(metrics),
        "MILVUS_RUN_DIR": str(data / "run"),
        "LD_LIBRARY_PATH": str(data / "bin"),
    }
    os.chdir(data)
    os.execve(program, [program, "run", "standalone"], {**os.environ, **environment})


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [int(opened.getsockname()[1]) for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
