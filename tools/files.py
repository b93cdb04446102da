"""Whole files, written with one clear sentence when that fails: what tools/files.h is to the `sepal` command."""

import os
import tempfile


class BadInput(Exception):
    """What the user gave cannot be used: one sentence, for stderr, before exit status 2."""


def write_file(path, content):
    """Writes text or bytes to a new file beside `path`, which then takes its place: the file is either as before or complete."""
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise BadInput(f"{path}: cannot be written: it is not a regular file")
    temporary = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=os.path.dirname(target), delete=False) as file:
            temporary = file.name
            file.write(content.encode() if isinstance(content, str) else content)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except OSError as e:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise BadInput(f"{path}: cannot be written: {e.strerror}")
