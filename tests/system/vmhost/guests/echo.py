#!/usr/bin/env python3
"""Answers what comes to its input and sends it to its output, too; "exit N" ends it with status N.

What it can learn about its node it tells when asked: "uid", "clock", "resolve", "foreign NAME", "param NAME".
"""

import os
import sys
import time

import dipronn_guest as dipronn

incoming, outgoing = dipronn.register("in"), dipronn.register("out")
while True:
    data, source = dipronn.receive(incoming)
    match data.decode().split(" "):
        case ["exit", status]:
            sys.exit(int(status))
        case ["uid"]:
            answer = str(os.getuid())
        case ["clock"]:
            answer = str(time.get_clock_info("monotonic").resolution)
        case ["resolve"]:
            answer = repr(dipronn.resolve("in"))
        case ["foreign", name]:
            try:
                answer = dipronn.ask(f"REGISTER {name} udp 9999")
            except dipronn.Refused as refused:
                answer = str(refused.code)
        case ["param", name]:
            answer = dipronn.param(name, "none")
        case _:
            answer = data.decode()
    incoming.sendto(answer.encode(), source)
    dipronn.send(outgoing, answer.encode())
