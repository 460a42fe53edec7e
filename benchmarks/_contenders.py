"""The servers that are compared, all with the same network."""

from benchmarks._measure import Contender

PURRDICT = Contender("Purrdict", ("{python}", "-m", "api", "serve", "--port", "{port}"))

CLASSROOM = Contender(
    "FastAPI + PyTorch fp32",
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
