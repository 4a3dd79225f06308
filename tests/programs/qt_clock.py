"""Qt, with a job in the thread of the interface that may touch widgets, and one in a thread that may take its time.

python qt_clock.py
"""

from __future__ import annotations

import signal
import sys

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QApplication, QLabel

from apsched.schedulers.qt import QtScheduler

scheduler = QtScheduler()


class Window(QLabel):
    fetched = Signal(int)

    def __init__(self) -> None:
        super().__init__("starting")
        self.ticks = 0
        self.fetched.connect(self.show_news)
        scheduler.add_job(self.tick, "interval", seconds=0.1, executor="qt-gui")
        scheduler.add_job(self.fetch, "interval", seconds=0.2)

    def tick(self) -> None:
        self.ticks += 1
        self.setText(f"tick {self.ticks}")

    def fetch(self) -> None:
        self.fetched.emit(self.ticks)  # from a thread: Qt hands it over

    def show_news(self, ticks: int) -> None:
        print(f"{ticks} ticks were fetched, the label says {self.text()!r}", flush=True)


if __name__ == "__main__":
    app = QApplication(sys.argv)
    window = Window()
    window.show()
    scheduler.start()
    signal.signal(signal.SIGTERM, lambda *_: app.quit())
    code = app.exec()
    scheduler.shutdown()
    sys.exit(code)
