"""What is raised where a cache's frame forbids what is asked."""


class FrameError(ValueError):
    """A move, a cut or a forward pass that the frame of a cache cannot justify. Its text is one line, whatever a file's text holds."""

    def __init__(self, where: str, what: str, expected: str, got: str):
        text = f"{where}: {what}: expected {expected}, got {got}"
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))
