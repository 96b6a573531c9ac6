"""Whose the images of each data source are, and under which terms, as far as their makers say."""

from __future__ import annotations

from typing import NamedTuple


class Origin(NamedTuple):
    """Where images come from, and their licence; `cited` is both as a checklist names them."""

    text: str
    licence: str
    cited: str


UNKNOWN = Origin(
    "images of your own",
    "not known to this package: say here whose they are and under which terms",
    "its licence is for the authors to name",
)

_DRAWN = "drawn by this package, no rights of others"
_MADE = "made by this program; none"

# By the last part of the source's class.
KNOWN = {
    "Digits": Origin(
        "handwritten digits of 43 people (the test part of *Optical Recognition of Handwritten Digits*, Alpaydin & "
        "Kaynak 1998, as scikit-learn has it), brought to 16×16 pixels",
        "CC BY 4.0, says the UCI Machine Learning Repository",
        "Optical Recognition of Handwritten Digits, Alpaydin and Kaynak 1998, UCI repository: CC BY 4.0",
    ),
    "Mnist": Origin(
        "handwritten digits (MNIST, LeCun, Cortes & Burges 1998)",
        "CC BY-SA 3.0 is what is commonly given",
        "LeCun, Cortes and Burges: CC BY-SA 3.0",
    ),
    "FashionMnist": Origin(
        "pieces of clothing (Fashion-MNIST, Xiao et al. 2017, arXiv:1708.07747)",
        "MIT",
        "Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747: MIT",
    ),
    "Kmnist": Origin(
        "cursive Japanese characters (KMNIST, Clanuwat et al. 2018, arXiv:1812.01718)",
        "CC BY-SA 4.0",
        "Clanuwat et al. 2018, arXiv:1812.01718: CC BY-SA 4.0",
    ),
    "Cifar10": Origin(
        "photographs of ten kinds (CIFAR-10, Krizhevsky 2009)",
        "none is stated by its authors",
        "Krizhevsky 2009; its authors state no licence",
    ),
    "Cifar100": Origin(
        "photographs of a hundred kinds (CIFAR-100, Krizhevsky 2009)",
        "none is stated by its authors",
        "Krizhevsky 2009; its authors state no licence",
    ),
    "Circles": Origin("points of a square as images of one pixel, inside or outside a circle", _DRAWN, _MADE),
    "GaussianCircle": Origin(
        "normally distributed points as images of one pixel, inside or outside a circle", _DRAWN, _MADE
    ),
    "Noise": Origin("Gaussian noise with random labels, from which nothing can be learned", _DRAWN, _MADE),
}

# Those whose images are digits or letters, of which a mirrored one is another one or none.
_CHARACTERS = frozenset({"Digits", "Mnist", "Kmnist"})


def is_of_characters(source: type) -> bool:
    """Whether the images of a source are known to be digits or letters."""
    return source.__module__.startswith("vision_baselines.") and source.__name__ in _CHARACTERS


def origin_of(target: str) -> Origin:
    """What is known of the images of a source, by the name of its class.

    >>> origin_of("vision_baselines.data.torchvision_source.FashionMnist").licence
    'MIT'
    """
    package, _, name = target.rpartition(".")
    return KNOWN.get(name, UNKNOWN) if package.startswith("vision_baselines.") else UNKNOWN
