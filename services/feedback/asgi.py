"""The app for platforms that import one: settings come from the environment."""

from services.feedback.app import create_app
from services.feedback.settings import load

app = create_app(load())
