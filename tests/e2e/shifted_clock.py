"""Wall clocks of programs that are ahead of the machine's: clock_shift.cpp is preloaded into them."""

import struct

from simulated_platform import binary


def _preloaded():
    return {"LD_PRELOAD": binary("libee_clock_shift.so"), "ASAN_OPTIONS": "verify_asan_link_order=0"}


def ahead_by(seconds):
    """Settings of a program whose clock is ahead by so many whole seconds."""
    return {**_preloaded(), "CLOCK_SHIFT_SECONDS": round(seconds)}


class ShiftedClock:
    """One that a test sets while programs with its `settings` run."""

    def __init__(self, folder):
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("=q", 0))
        self.settings = {**_preloaded(), "CLOCK_SHIFT_FILE": self._file}

    def set_ahead(self, seconds):
        """By so many seconds; less than nothing: behind."""
        with open(self._file, "r+b") as mapped:  # It is never shorter than what is read.
            mapped.write(struct.pack("=q", seconds))
