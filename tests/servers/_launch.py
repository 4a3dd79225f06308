"""
Become a server that ends when the thread that started this program ends, however that comes about.

    python _launch.py PARENT SIGNAL USER PROGRAM NAME [ARGUMENT...]

PARENT is the process id of the starter, SIGNAL the number of the signal that the server gets when the starter is gone
(Linux only), USER either "uid:gid" or empty, PROGRAM the path of the server and NAME its first argument.

1. Other modules do not import this one: it runs with the standard library alone, as whoever runs the tests.
2. The user changes first: the kernel forgets the signal when the user changes.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, signal_number, user, program, *arguments = sys.argv[1:]
    if user:
        uid, gid = map(int, user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number))
    if os.getppid() != int(parent):  # it ended before the kernel was told
        raise SystemExit(1)
    os.execv(program, arguments)  # noqa: S606  # the program is the server
