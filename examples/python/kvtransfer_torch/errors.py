"""What is raised where a cache's frame forbids what is asked."""


class FrameError(ValueError):
    """A move, a cut or a forward pass that the frame of a cache cannot justify."""

    def __init__(self, where: str, what: str, expected: str, got: str):
        super().__init__(f"{where}: {what}: expected {expected}, got {got}")
