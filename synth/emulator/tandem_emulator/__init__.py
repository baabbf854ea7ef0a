"""An AWS of two regions in one local process.

MiniStack emulates the services; the modules of this package restore, one AWS behaviour each, what
the stock emulator leaves out and the system relies on. Every module has one `apply()` that changes
MiniStack's own modules in place, and says in its first lines what AWS does, what the stock emulator
does, and how the difference is closed.

The package does not work with any other version of MiniStack than the one named here: it replaces
internals, which may change with every release.
"""

MINISTACK_VERSION = "1.5.33"
"""The only release of MiniStack that these modules fit."""
