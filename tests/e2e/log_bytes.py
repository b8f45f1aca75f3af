"""A program in raw mode that logs the bytes it gets (see the fixture `byte_log`).

    python log_bytes.py LOG

Prints "ready", then "got HEX;" for each read, and ends with "bye" behind the bytes "END!".
"""

import os
import sys
import tty


def main() -> None:
    tty.setraw(0)
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(1, b"ready\r\n")
    tail = b""
    while tail != b"END!":
        data = os.read(0, 1 << 16)
        os.write(log, data)
        os.write(1, b"got %b;\r\n" % data.hex().encode())
        tail = (tail + data)[-4:]
    os.write(1, b"bye\r\n")


main()
