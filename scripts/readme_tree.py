"""Put the README's tree right after files came or went: ``python scripts/readme_tree.py``."""

from vision_baselines.commands.tree import main

if __name__ == "__main__":
    main()
