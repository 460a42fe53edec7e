"""The servers that are compared, all with the same network."""

from benchmarks._servers import Contender

PURRDICT = Contender("Purrdict", ("{python}", "-m", "api", "serve", "--port", "{port}"))

# The replaced service with its own network, and the same program with this project's network.
CLASSROOM = Contender(
    "FastAPI + PyTorch, classroom's network",
    ("{python}", "-m", "benchmarks.contenders.classroom", "{port}", "classic"),
    needs=("torch",),
)
CLASSROOM_SAME = Contender(
    "FastAPI + PyTorch, same network",
    ("{python}", "-m", "benchmarks.contenders.classroom", "{port}"),
    needs=("torch",),
)

SAME_FILE = (
    Contender(
        "FastAPI + onnxruntime, obvious", ("{python}", "-m", "benchmarks.contenders.obvious", "{port}")
    ),
    Contender(
        "BentoML",
        ("{python}", "-m", "bentoml", "serve", "benchmarks.contenders.bento:Classifier", "--port", "{port}"),
        needs=("bentoml",),
    ),
    Contender("LitServe", ("{python}", "-m", "benchmarks.contenders.lit", "{port}"), needs=("litserve",)),
)
