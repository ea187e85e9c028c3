"""`python -m evalkit`: the same as the command `evalkit`."""

import os
import sys

if sys.path[:1] in ([""], [os.getcwd()]):  # `python -m` looks first in the folder in which it was called
    del sys.path[0]

from evalkit.cli import main

if __name__ == "__main__":
    main()
