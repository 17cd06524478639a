"""A long link: a network namespace behind two TUN devices, between which every packet is held back.

It is the kernel's TCP on both sides, so windows, slow start and acknowledgements are real. Needs root and /dev/net/tun.
(`tc netem` does the same where the kernel has it; many a virtual machine's has not.)"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
CLONE_NEWNET = 0x40000000
MTU = 65000  # Few packets: this is about windows, not about their number.


def why_not():
    """None, or what is missing for it."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"no /dev/net/tun: {error}"
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True)
    return None if done.returncode == 0 else "no network namespaces"


class LongLink:
    """`one_way_s`: the delay of each packet in each direction. here: the address on this side, there: on the other.
    prefix: what to put before a command that is to run on the other side."""

    def __init__(self, one_way_s):
        self.one_way_s = one_way_s
        self.namespace = f"ee-link-{os.getpid()}"
        self.here, self.there = "10.213.77.1", "10.213.77.2"
        self.prefix = ("ip", "netns", "exec", self.namespace)
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        self._near = self._device("ee-near", self.here)
        self._far = self._in_namespace(lambda: self._device("ee-far", self.there))
        self._stop = os.pipe()
        self._threads = [threading.Thread(target=self._carry, args=pair, daemon=True)
                         for pair in ((self._near, self._far), (self._far, self._near))]
        for thread in self._threads:
            thread.start()

    def close(self):
        os.close(self._stop[1])
        for thread in self._threads:
            thread.join(5)
        for fd in (self._near, self._far, self._stop[0]):
            os.close(fd)
        subprocess.run(["ip", "netns", "del", self.namespace], check=True)

    @staticmethod
    def _device(name, address):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
        for command in (["link", "set", "lo", "up"], ["addr", "add", address + "/30", "dev", name],
                        ["link", "set", name, "mtu", str(MTU), "txqueuelen", "10000", "up"]):
            subprocess.run(["ip", *command], check=True)
        return fd

    def _in_namespace(self, work):
        """A thread of its own moves there: this process's others stay."""
        made = []

        def run():
            libc = ctypes.CDLL(None, use_errno=True)
            target = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY)
            if libc.setns(target, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            os.close(target)
            made.append(work())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return made[0]

    def _carry(self, source, target):
        waiting = collections.deque()
        while True:
            left = None if not waiting else max(0.0, waiting[0][0] - time.monotonic())
            readable, _, _ = select.select([source, self._stop[0]], [], [], left)
            if self._stop[0] in readable:
                return
            now = time.monotonic()
            while source in readable:
                try:
                    waiting.append((now + self.one_way_s, os.read(source, 65536)))
                except BlockingIOError:
                    break
            while waiting and waiting[0][0] <= now:
                try:
                    os.write(target, waiting.popleft()[1])
                except OSError:  # Its queue is full, or the device is going: a packet lost, as on any link.
                    pass
