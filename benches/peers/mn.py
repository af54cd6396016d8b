#!/usr/bin/python3
"""The bridged lab in mininet with Linux bridges; prints {"up", "down": ms, "ping": bool} by its own clock.   N"""
import json
import sys
import time

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge

setLogLevel("error")
count = int(sys.argv[1])
start = time.monotonic()
net = Mininet(switch=LinuxBridge, controller=None, waitConnected=False, build=False, ipBase="10.0.0.0/8")
switches = [net.addSwitch(f"s{h}", stp=False) for h in (1, 2)]
net.addLink(*switches)
for c in range(count):
    address = c + 2
    host = net.addHost(f"c{c}", ip=f"10.{address >> 16}.{(address >> 8) & 255}.{address & 255}/8")
    net.addLink(host, switches[c & 1])
net.build()
net.start()
up = time.monotonic()
last = count + 1
answer = net.hosts[0].cmd(f"ping -c1 -W2 10.{last >> 16}.{(last >> 8) & 255}.{last & 255}")
before = time.monotonic()
net.stop()
end = time.monotonic()
print(json.dumps({"up": (up - start) * 1e3, "down": (end - before) * 1e3, "ping": " 0% packet loss" in answer}))
