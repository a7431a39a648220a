"""The unit agent: makes one unit be what the control unit ordered, and reports what happens there.

``python -m vmhost.agent --config FILE`` runs it, inside the unit's network namespace.
"""

import os

# The agent forks only to execute QEMU and such; gRPC's own preparations for a fork would only complain there.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
