"""Asks a device for the scores of a picture: host/docs/link.md, in Python.

link_reader.py HOST PORT PICTURE: PICTURE holds H*W*C bytes, channels in the
model's order. Prints one line of JSON. Only the standard library is used.
"""

import json
import os
import socket
import struct
import sys
import time

VERSION, CHUNK = 1, 448
HELLO, INFO, BEGIN_PICTURE, PICTURE_CHUNK, CLASSIFY, POLL, READ = 0, 1, 6, 7, 9, 13, 15
R_HELLO, R_FAULT, R_INFO, R_HAVE, R_STARTED, R_RUNNING, R_ENDED, R_PART = 0, 1, 3, 4, 5, 6, 7, 8


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def stuff(data):
    out, run = bytearray(), bytearray()
    for byte in data + b"\0":
        if byte:
            run.append(byte)
        if not byte or len(run) == 254:
            out.append(len(run) + 1)
            out += run
            run = bytearray()
    return bytes(out)


def unstuff(data):
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        out += data[at + 1 : at + code]
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out)


def frame(message):
    body = stuff(struct.pack("<H", len(message)) + message)
    crc = crc32c(body)
    return b"\0" + body + bytes(0x80 | crc >> 7 * i & 0x7F for i in range(5)) + b"\0"


def message(frame):
    """The message of a frame without its delimiters, None if it is damaged."""
    body, tail = frame[:-5], frame[-5:]
    if len(frame) < 6 or frame[-5:] != bytes(0x80 | crc32c(body) >> 7 * i & 0x7F for i in range(5)):
        return None
    plain = unstuff(body)
    return plain[2:] if struct.unpack("<H", plain[:2])[0] == len(plain) - 2 else None


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes(out + bytes([number]))


class Reader:
    """Takes numbers, byte strings and text from the front of a message."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        head, self.data = self.data[:count], self.data[count:]
        return head

    def number(self):
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def bytes(self):
        return self.take(self.number())


class Device:
    def __init__(self, line):
        self.line, self.sequence, self.waiting = line, 0, b""
        self.session = int.from_bytes(os.urandom(4), "little")

    def ask(self, kind, arguments, expected):
        """Repeats the request every 0.3 s until its reply comes, for 2 s."""
        self.sequence += 1
        head = varint(self.session) + varint(self.sequence)
        request, begun = frame(head + varint(kind) + arguments), time.monotonic()
        while time.monotonic() - begun < 2:
            self.line.sendall(request)
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                found = self.listen()
                if found and found.number() == self.session and found.number() == self.sequence:
                    kind = found.number()
                    if kind not in expected:
                        sys.exit(f"the device replied {kind}: {found.data.hex()}")
                    return kind, found
        sys.exit("the device has not answered for 2 s")

    def listen(self):
        if b"\0" not in self.waiting:
            try:
                self.waiting += self.line.recv(4096)
            except TimeoutError:
                pass
        piece, zero, rest = self.waiting.partition(b"\0")
        if not zero:
            return None
        self.waiting = rest
        found = message(piece)
        return None if found is None else Reader(found)

    def read(self, source):
        content, total = b"", 1
        while len(content) < total:
            _, part = self.ask(READ, varint(source) + varint(len(content)), [R_PART])
            total = part.number()
            content += part.bytes()
        return content


def main(host, port, path):
    line = socket.create_connection((host, int(port)))
    line.settimeout(0.05)
    device = Device(line)
    _, hello = device.ask(HELLO, varint(VERSION), [R_HELLO])
    version = hello.number()
    _, info = device.ask(INFO, b"", [R_INFO])
    board, firmware = info.bytes().decode(), info.bytes().decode()
    info.take(32)
    info.number()
    for _ in range(3):
        slot = [info.number(), info.number(), info.number()], info.take(1), info.take(32)
    info.take(1)
    shape = [info.number() for _ in range(3)]
    picture = open(path, "rb").read()
    _, have = device.ask(BEGIN_PICTURE, b"\0" + b"".join(map(varint, shape)), [R_HAVE])
    at = have.number()
    while at < len(picture):
        chunk = picture[at : at + CHUNK]
        arguments = varint(at) + varint(len(chunk)) + chunk
        at = device.ask(PICTURE_CHUNK, arguments, [R_HAVE])[1].number()
    device.ask(CLASSIFY, b"\1", [R_STARTED])
    while (kind := device.ask(POLL, b"", [R_RUNNING, R_ENDED]))[0] == R_RUNNING:
        time.sleep(0.05)
    ended = kind[1]
    work, end, target = ended.number(), ended.number(), ended.number()
    scores = [v for (v,) in struct.iter_unpack("<f", device.read(0))]
    answer = {"board": board, "version": version, "firmware": firmware, "shape": shape}
    print(json.dumps(answer | {"model": slot[2].hex(), "end": end, "target": target, "scores": scores}))


if __name__ == "__main__":
    main(*sys.argv[1:])
