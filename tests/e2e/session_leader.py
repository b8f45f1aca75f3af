"""The shell of a `Terminal` (see conftest.py), as far as its program can tell.

    python session_leader.py REPORT CONTROL PROGRAM...

Leads the session of the terminal on descriptor 0 and gives it to PROGRAM's process group, as a shell
does with a job in the foreground. Writes "started PID", "stopped SIGNAL" and "ended STATUS" to REPORT.
A byte on CONTROL is `fg`; its end means that the window was closed. SIGUSR1 has it take the terminal.
"""

import fcntl
import os
import signal
import sys
import termios


def main() -> None:
    report, control = int(sys.argv[1]), int(sys.argv[2])
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # What the keyboard sends is for the job; and a shell takes the terminal from the background.
    mine = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU)
    for number in mine:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: os.tcsetpgrp(0, os.getpgrp()))
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())
        for number in mine:
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, 1024)
        os.execvp(sys.argv[3], sys.argv[3:])
    os.write(report, b"started %d\n" % pid)
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        os.tcsetpgrp(0, os.getpgrp())
        if not os.WIFSTOPPED(status):
            break
        os.write(report, b"stopped %d\n" % os.WSTOPSIG(status))
        if os.read(control, 1):
            os.tcsetpgrp(0, pid)
            os.killpg(pid, signal.SIGCONT)
    os.write(report, b"ended %d\n" % os.waitstatus_to_exitcode(status))
    os.read(control, 1)


main()
