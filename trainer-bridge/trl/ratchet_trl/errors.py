"""How a job ends. The codes are sysexits(3)'s: the driver gives up at once at those that no repetition can mend."""

USAGE = 64
DATA = 65  # the mixture
NO_INPUT = 66  # the base model, the manifest
TRANSIENT = 75
STOPPED = 143  # by SIGTERM, as a shell reports it


class JobError(Exception):
    """An error with the exit code that tells the driver what to do."""

    code = TRANSIENT


class BadMixture(JobError):
    code = DATA


class NoInput(JobError):
    code = NO_INPUT


class BadUsage(JobError):
    code = USAGE


class Stopped(BaseException):
    """SIGTERM. No Exception, so that no library takes it for a failure of its own and goes on."""
