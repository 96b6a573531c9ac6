"""``python scripts/dev/publish.py run [NAME ...]``, then ``keep`` and ``page``: publish the experiments.

``run`` trains the experiments of conf/experiment, on a commit without changes, and what is missing of them where it was
stopped. ``keep`` writes of each that has finished its receipt (conf/experiment/NAME.json) and its figures
(docs/results/NAME.json). ``page`` makes docs/experiments.md from its .j2 and figures, and ends where
a sentence is not supported by them; ``page --check`` says where the page would differ.
"""

from publishing.command import main

if __name__ == "__main__":
    main()
