"""The programs in a model card: each runs an exported file on pictures without this package."""

from __future__ import annotations

from vision_baselines.evaluation.export_formats import INPUT, METADATA, OUTPUT
from vision_baselines.evaluation.exported import Exported

_OPEN = {
    ".pt2": """\
extra = {{"{metadata}": ""}}
net = torch.export.load({name}, extra_files=extra).module()
metadata = json.loads(extra["{metadata}"])
""",
    ".onnx": """\
session = onnxruntime.InferenceSession({name}, providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
""",
}
_RUN = {
    ".pt2": "net(torch.from_numpy(images)).detach().numpy()",
    ".onnx": 'session.run(["{output}"], {{"{input}": images}})[0]',
}
_LIBRARY = {".pt2": "torch", ".onnx": "onnxruntime"}

_PREPARED = '''

def prepared(path):
    """A picture file as the net takes it: uint8 ({channels}, {height}, {width})."""
    with Image.open(path) as image:
        image.draft("RGB", ({draft}, {draft}))
        if image.mode[0] in "IF":
            raise SystemExit(f"{{path}}: expected 8 bits a channel")
        image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        image = {fitted}
        return np.asarray(image).reshape({height}, {width}, {channels}).transpose(2, 0, 1)


images = np.stack([prepared(path) for path in sys.argv[1:]])
'''
_ARRAY = """
images = np.load(sys.argv[1])  # uint8 (N, {channels}, {height}, {width})
"""
_PRINTED = """
for index, row in enumerate(probabilities):
    print({what}, class_names[row.argmax()], f"{{row.max():.4f}}", sep="\\t")
"""


def snippet(exported: Exported, *, crop: bool) -> str:
    """A program that prints the likeliest class of each picture, to be started in the file's folder.

    Args:
        exported: The file.
        crop: Whether pictures keep their shape and their centre is cropped, or they are stretched.
    """
    suffix, name = exported.format.suffix, repr(exported.path.name)
    channels, height, width = exported.image_shape
    is_picture = channels in (1, 3)
    size = {"channels": channels, "height": height, "width": width, "draft": 2 * max(height, width)}
    plain = f'image.convert("{"RGB" if channels == 3 else "L"}")'
    fitted = (
        f"ImageOps.fit({plain}, ({width}, {height}), method=Image.Resampling.BILINEAR)"
        if crop
        else f"{plain}.resize(({width}, {height}), Image.Resampling.BILINEAR)"
    )
    libraries = sorted(["import numpy as np", f"import {_LIBRARY[suffix]}"])
    return "".join(
        [
            "import json\nimport sys\n\n",
            "\n".join([*libraries, *["from PIL import Image, ImageOps"] * is_picture]),
            "\n\n",
            _OPEN[suffix].format(metadata=METADATA, name=name),
            'class_names = json.loads(metadata["class_names"])\n',
            (_PREPARED if is_picture else _ARRAY).format(**size, fitted=fitted),
            f"probabilities = {_RUN[suffix].format(input=INPUT, output=OUTPUT)}",
            _PRINTED.format(what="sys.argv[1 + index]" if is_picture else "index"),
        ]
    )
