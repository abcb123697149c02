#!/usr/bin/env python3
"""Five sites with distances between them, where the kernel has no netem. As root:

    benches/wan.py NAME DELAY_MS [SITES]

makes a network namespace NAME1, NAME2 … for each site (10.77.0.1, 10.77.0.2 …), joined by this process, which passes
every packet on after DELAY_MS / 2: so DELAY_MS is the round trip between any two sites. Prints "ready"; ends, and
takes the namespaces with it, at SIGTERM or when its standard input ends."""

import fcntl
import heapq
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, stderr=None if check else subprocess.DEVNULL)


def attach(name: str, site: int) -> int:
    """A namespace with one interface, whose packets come and go through the file descriptor."""
    namespace, device = f"{name}{site}", f"{name[:8]}tun{site}"  # 15 bytes at most
    ip("netns", "del", namespace, check=False)
    ip("netns", "add", namespace)
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    ip("link", "set", device, "netns", namespace)
    ip("-n", namespace, "link", "set", "lo", "up")
    ip("-n", namespace, "address", "add", f"10.77.0.{site}/24", "dev", device)
    ip("-n", namespace, "link", "set", device, "txqueuelen", "5000", "up")
    return descriptor


def carry(ways: dict[int, int], delay: float) -> None:
    """Until standard input ends."""
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    selector = selectors.DefaultSelector()
    for site, descriptor in ways.items():
        selector.register(descriptor, selectors.EVENT_READ, site)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            try:
                os.write(ways[to], packet)
            except BlockingIOError:
                pass  # As a full queue anywhere: it is lost.
        # A poll's timeout is rounded to whole milliseconds; the last one is waited for by looking.
        until = waiting[0][0] - now if waiting else None
        for key, _ in selector.select(None if until is None else max(0.0, until - 0.001)):
            if key.data is None:
                if not os.read(sys.stdin.fileno(), 1024):
                    return
                continue
            for _ in range(64):
                try:
                    packet = os.read(key.fd, 65535)
                except BlockingIOError:
                    break
                if packet[0] >> 4 == 4 and packet[16:19] == bytes([10, 77, 0]) and packet[19] in ways:
                    count += 1
                    heapq.heappush(waiting, (time.monotonic() + delay, count, packet[19], packet))


def main() -> None:
    name, round_trip = sys.argv[1], float(sys.argv[2]) / 1000
    sites = range(1, int(sys.argv[3] if len(sys.argv) > 3 else 5) + 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        ways = {site: attach(name, site) for site in sites}
        print("ready", flush=True)
        carry(ways, round_trip / 2)
    finally:
        for site in sites:
            ip("netns", "del", f"{name}{site}", check=False)


if __name__ == "__main__":
    main()
