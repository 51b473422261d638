"""Makes the tests' model and mixture in a folder, for tests in other languages: fixture.py FOLDER"""

import sys
from pathlib import Path

from conftest import EXAMPLES, make_base, write_mixture

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    make_base(folder / "base")
    write_mixture(folder, EXAMPLES[:6], EXAMPLES[6:])
