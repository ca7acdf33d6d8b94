import os

os.environ.setdefault("TQDM_DISABLE", "1")  # the page has a progress bar of its own
