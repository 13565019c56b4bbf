"""Files that are written whole or not at all, as the C++ library's `atomic_file`."""

import contextlib
import os
import stat
from collections.abc import Iterator


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[str]:
    """The name of a file beside `path` to write to, which takes its place at the end; an exception leaves what was there.

    A symbolic link stays one, and what it leads to is replaced; the mode of a file that was there stays its mode.

    Raises OSError where something else than a file has the name.
    """
    target = os.path.realpath(path)
    mode = None
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(target).st_mode
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(f"{os.fspath(path)}: expected a regular file or none, got something else")
    partial = f"{target}.partial-{os.getpid()}"
    try:
        yield partial
        if mode is not None:
            os.chmod(partial, stat.S_IMODE(mode))
        os.replace(partial, target)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
