"""Makes this folder importable, for `twin`."""

import signal

from hypothesis import HealthCheck, settings

# no test depends on time
settings.register_profile("fastmlp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fastmlp")

# a shell that starts the suite in the background may ignore Ctrl-C for it: tests that send it would wait for ever
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
