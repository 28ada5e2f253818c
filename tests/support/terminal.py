"""Runs a command on a terminal of its own and writes what the terminal gets to stdout.

Arguments: columns, a file for the command's standard output (or `-`: the terminal), the command. Exits as the command does.
"""

import fcntl
import os
import pty
import struct
import sys
import termios

columns, out, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
leader, follower = pty.openpty()
fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
    os.dup2(follower, 0)
    os.dup2(follower if out == "-" else os.open(out, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 1)
    os.dup2(follower, 2)
    os.execv(command[0], command)
os.close(follower)
while True:
    try:
        text = os.read(leader, 65536)
    except OSError:  # the last process that had the terminal is gone
        break
    if not text:
        break
    os.write(1, text)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
