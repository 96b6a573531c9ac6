"""Kill runs at random moments and resume them: ``python scripts/stress_resume.py --kills 100``."""

from vision_baselines.stress.command import main

if __name__ == "__main__":
    main()
