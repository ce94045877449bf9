import sys
from pathlib import Path

# As when they are run: scripts find each other in their own folder.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
