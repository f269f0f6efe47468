"""Makes this folder importable, for `twin`."""

import signal

# a shell that starts the suite in the background may ignore Ctrl-C for it: tests that send it would wait for ever
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
