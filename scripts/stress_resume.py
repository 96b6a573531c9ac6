"""Kill runs at random moments and resume them: ``python scripts/stress_resume.py --kills 100``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "dev"))
from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("stress.command")
