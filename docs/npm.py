"""Files out of packages of npm, which the site needs: pinned, checked, and kept between builds."""

import base64
import hashlib
import os
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from datagen.files import atomic

__all__ = ["CHROMIUM", "MATHJAX", "ONNXRUNTIME", "Package", "UnreachableError"]

_REGISTRY = "https://registry.npmjs.org"
_SECONDS = 60  # without an answer


class UnreachableError(OSError):
    """A package that could not be fetched; the message says from where, and why."""


@dataclass(frozen=True)
class Package:
    """A package at one version.

    Attributes:
        name: Its name on npm.
        version: Its version.
        sha512: Of its tarball, in base64, as npm has it (``npm view NAME@VERSION dist.integrity``).
    """

    name: str
    version: str
    sha512: str

    @property
    def url(self) -> str:
        """Where its tarball is: in ``$npm_config_registry``, else in npm's own registry."""
        registry = os.environ.get("npm_config_registry", "")  # noqa: SIM112 (npm's own name)
        registry = (registry or _REGISTRY).rstrip("/")
        return f"{registry}/{self.name}/-/{self.name.rpartition('/')[2]}-{self.version}.tgz"

    def tarball(self) -> Path:
        """Its tarball in the user's cache, fetched if it is not there.

        Raises:
            UnreachableError: The registry cannot be reached, or gives something else.
        """
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        path = cache / "hodspectra" / "npm" / f"{self.name.replace('/', '-')}-{self.version}.tgz"
        if path.is_file() and self._is(path.read_bytes()):
            return path
        try:
            with urllib.request.urlopen(self.url, timeout=_SECONDS) as answer:
                content = answer.read()
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise UnreachableError(f"{self.url} cannot be reached ({reason})") from None
        if not self._is(content):
            raise UnreachableError(f"{self.url} is not the file whose SHA-512 is {self.sha512}")
        with atomic(path) as partial:
            partial.write_bytes(content)
        return path

    def files(self, *members: str) -> dict[str, bytes]:
        """Contents of some of its files, by their paths in the package.

        Raises:
            KeyError: There is no such file.
            UnreachableError: See `tarball`.
        """
        with tarfile.open(self.tarball()) as archive:
            found = {}
            for member in archive:
                name = member.name.partition("/")[2]
                if name in members and (file := archive.extractfile(member)):
                    found[name] = file.read()
                    if len(found) == len(members):
                        return found
        raise KeyError(f"{self.name} {self.version} has no {', '.join({*members} - {*found})}")

    def _is(self, content: bytes) -> bool:
        return base64.b64encode(hashlib.sha512(content).digest()).decode() == self.sha512


ONNXRUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
MATHJAX = Package(
    "mathjax",
    "3.2.2",  # the last one whose script has its fonts in it; later ones load them from elsewhere
    "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
)
CHROMIUM = Package(
    "@sparticuz/chromium",
    "147.0.0",
    "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ==",
)
