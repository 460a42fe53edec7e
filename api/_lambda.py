"""AWS Lambda's entry: the same app behind Mangum. A module of its own, because other platforms take `handler` first."""

from mangum import Mangum

from api.index import app

# With lifespan on, start-up would run at every invocation; this app has none.
handler = Mangum(app, lifespan="off")
