"""Other programs that bring a backend behind them to visitors before them, as yardsticks where they are installed."""

import dataclasses
import getpass
import os
import pathlib
import typing

from lab import APP, DOMAIN, Way, find_tool, free_port, run_quietly


def write(path, text):
    path.write_text(text)
    return path


def start_ssh(lab, backend_port):
    """ssh -R through an sshd of our own. It knows no HTTP: bytes go as they come."""
    port, front_port = free_port(), free_port()
    host_key, user_key = lab.folder / "ssh-host", lab.folder / "ssh-user"
    for key in (host_key, user_key):
        run_quietly([find_tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key])
    config = write(lab.folder / "sshd.conf", "\n".join([
        f"ListenAddress 127.0.0.1:{port}", f"HostKey {host_key}", f"AuthorizedKeysFile {user_key}.pub", "PidFile none",
        "StrictModes no", "UsePAM no", "PasswordAuthentication no", "PermitRootLogin prohibit-password", ""]))
    if os.geteuid() == 0:  # sshd insists; the service that would make it need not run.
        pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = lab.start("sshd", [find_tool("sshd"), "-D", "-e", "-f", config])
    lab.await_port(server, port)
    client = lab.start("ssh", [
        find_tool("ssh"), "-F", "none", "-N", "-R", f"127.0.0.1:{front_port}:127.0.0.1:{backend_port}", "-p", port,
        "-i", user_key, *(f"-o{option}" for option in (
            "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes",
            "ExitOnForwardFailure=yes")), f"{getpass.getuser()}@127.0.0.1"])
    return Way("ssh -R", front_port, [server, client])


def start_chisel(lab, backend_port):
    port, front_port = free_port(), free_port()
    server = lab.start("chisel-server", [find_tool("chisel"), "server", "--host", "127.0.0.1", "--port", port, "--reverse"])
    lab.await_port(server, port)
    client = lab.start("chisel-client", [find_tool("chisel"), "client", f"http://127.0.0.1:{port}",
                                         f"R:127.0.0.1:{front_port}:127.0.0.1:{backend_port}"])
    return Way("chisel", front_port, [server, client])


def start_frp(lab, backend_port):
    """It routes by Host, as we do, and its tunnel is under TLS by default."""
    port, front_port = free_port(), free_port()
    server_config = write(lab.folder / "frps.toml", f'bindAddr = "127.0.0.1"\nbindPort = {port}\n'
                          f'proxyBindAddr = "127.0.0.1"\nvhostHTTPPort = {front_port}\n')
    client_config = write(lab.folder / "frpc.toml", f'serverAddr = "127.0.0.1"\nserverPort = {port}\n\n'
                          f'[[proxies]]\nname = "bench"\ntype = "http"\nlocalPort = {backend_port}\n'
                          f'customDomains = ["{APP}.{DOMAIN}"]\n')
    server = lab.start("frps", [find_tool("frps"), "-c", server_config])
    lab.await_port(server, port)
    client = lab.start("frpc", [find_tool("frpc"), "-c", client_config])
    return Way("frp", front_port, [server, client])


def start_rathole(lab, backend_port):
    """It knows no HTTP: bytes go as they come, in clear by default."""
    port, front_port = free_port(), free_port()
    server_config = write(lab.folder / "rathole-server.toml", f'[server]\nbind_addr = "127.0.0.1:{port}"\n'
                          f'[server.services.bench]\ntoken = "bench"\nbind_addr = "127.0.0.1:{front_port}"\n')
    client_config = write(lab.folder / "rathole-client.toml", f'[client]\nremote_addr = "127.0.0.1:{port}"\n'
                          f'[client.services.bench]\ntoken = "bench"\nlocal_addr = "127.0.0.1:{backend_port}"\n')
    server = lab.start("rathole-server", [find_tool("rathole"), "--server", server_config])
    lab.await_port(server, port)
    client = lab.start("rathole-client", [find_tool("rathole"), "--client", client_config])
    return Way("rathole", front_port, [server, client])


@dataclasses.dataclass(frozen=True)
class Yardstick:
    name: str
    encrypts: bool  # Its tunnel, by default.
    programs: tuple
    install: str
    start: typing.Callable  # (lab, backend_port) -> Way

    def missing(self):
        return ", ".join(program for program in self.programs if not find_tool(program))


YARDSTICKS = (
    Yardstick("ssh", True, ("ssh", "ssh-keygen", "sshd"), "apt-get install openssh-client openssh-server", start_ssh),
    Yardstick("chisel", True, ("chisel",), "go install github.com/jpillora/chisel@latest", start_chisel),
    Yardstick("frp", True, ("frps", "frpc"), "go install github.com/fatedier/frp/cmd/...@latest", start_frp),
    Yardstick("rathole", False, ("rathole",), "cargo install rathole", start_rathole),
)
