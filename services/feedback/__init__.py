"""Was this right? Keeps what people correct, and turns it into photos to train on.

settings    the environment             database    engine, connections, migrations under a lock
schema      the table                   writer      rows of many requests in one transaction
photo       bytes → stripped JPEG       privacy     who sent it, as a keyed hash; deletion tokens
routes/     HTTP                        export      corrections → folders of photos
"""
