"""What setup.cfg cannot say: the README, without links that lead nowhere outside of the tree."""

import re
from pathlib import Path

from setuptools import setup

_ELSEWHERE = re.compile(r"!?\[([^\]]*)\]\((?!https?://|#)[^)]*\)")

readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
setup(long_description=_ELSEWHERE.sub(r"\1", readme))
