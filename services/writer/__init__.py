"""The writer: drafts of adoption texts and e-mails from notes, by a language model of your own.

docs/WRITER.md explains it. It depends on nothing else of this project: it needs requirements.txt of this folder alone.
"""

VERSION = "1.0.0"
