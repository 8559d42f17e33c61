"""Parent of our packages where their names are taken by other packages; see `locate`."""

import sys

from hodspectra.locate import ROOT, Aside

__all__: list[str] = []
__path__ = [str(ROOT)]
sys.meta_path.insert(0, Aside())
