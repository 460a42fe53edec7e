"""What every platform imports: the app for this process's settings."""

from api._start import start

app = start()
