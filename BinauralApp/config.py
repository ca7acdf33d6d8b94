"""Settings of the page."""

from dataclasses import dataclass

from DiffBinaural.configs.fields import option, positive

HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class AppConfig:
    """The page on which a video is dropped and heard."""

    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0: other machines may use the page too")
    port: int = option(7860, "port to listen on; 0: any free one")
    longest: float = option(180.0, "longest video that the page takes, seconds")
    largest: float = option(300.0, "largest video that the page takes, megabytes")
    visitors: int = option(20, "videos that are kept at a time; who comes later is asked to wait")
    keep: float = option(20.0, "minutes without a sign of the visitor after which a video is deleted")
    open: bool = option(True, "open the page in the browser, where it listens on this machine alone")

    def __post_init__(self):
        positive(self, "longest", "largest", "visitors", "keep")
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"--port is {self.port}; expected 0 to {(1 << 16) - 1}")

    @property
    def alone(self) -> bool:
        """Whether only this machine reaches the page."""
        return self.host in HERE
