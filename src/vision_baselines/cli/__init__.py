"""The command lines: one module a verb, each with a `main` that reads the arguments, runs the verb and exits."""

VERBS = {
    "train": "vision_baselines.cli.train",
    "compare": "vision_baselines.cli.compare",
    "evaluate": "vision_baselines.cli.evaluate",
    "predict": "vision_baselines.cli.predict",
    "export": "vision_baselines.cli.export",
    "reproduce": "vision_baselines.cli.reproduce",
    "receipt": "vision_baselines.cli.receipt",
    "status": "vision_baselines.cli.status",
    "collect": "vision_baselines.cli.collect",
    "clean": "vision_baselines.cli.clean",
    "filters": "vision_baselines.cli.filters",
    "mistakes": "vision_baselines.cli.mistakes",
    "inspect": "vision_baselines.cli.inspect_model",
    "conv-arithmetic": "vision_baselines.cli.conv_arithmetic",
    "edge-demo": "vision_baselines.cli.edge_demo",
}
