"""What a session asks of the node beyond the graph: order, merging, quality."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from controller.program.complaints import Complaints
from dipronn.v1 import session_pb2 as pb

MAX_DURATION_SECONDS = 3600
MAX_BRANCHES = 65535


class PromiseCheck(Complaints):
    """``check_promises`` runs them all."""

    def check_promises(self) -> None:
        for index, output in enumerate(self.program.outputs):
            self.order(f"outputs[{index}].order", output)
            self.merge(f"outputs[{index}].merge", output)
            self.token(f"outputs[{index}].by", output)
        seen: set[str] = set()
        for index, quality in enumerate(self.program.qualities):
            self.quality(f"qualities[{index}]", quality)
            if quality.program in seen:
                self.error(f"qualities[{index}]", f"the quality of program `{quality.program}` stands twice")
            seen.add(quality.program)

    def order(self, path: str, output: pb.Output) -> None:
        if output.order not in pb.Order.values():
            self.error(path, f"output `{output.name}` has an order of an unknown number, {output.order}")
        elif output.order == pb.ORDER_WINDOW:
            self.duration(path, f"the window of output `{output.name}`", output.order_window)
        elif output.HasField("order_window"):
            self.error(path, f"output `{output.name}` has a window, but its order is another")

    def merge(self, path: str, output: pb.Output) -> None:
        k, n = output.merge_k, output.merge_n
        if output.merge not in pb.Merge.values():
            self.error(path, f"output `{output.name}` has a merge of an unknown number, {output.merge}")
        elif output.merge == pb.MERGE_K_OF_N:
            if not 1 <= k <= n <= MAX_BRANCHES:
                hint = "1 ≤ K ≤ N in `merge K of N`"
                self.error(path, f"output `{output.name}` cannot merge {k} of {n}", hint)
        elif k or n:
            self.error(path, f"output `{output.name}` has `{k} of {n}`, but its merge is another")

    def token(self, path: str, output: pb.Output) -> None:
        if output.token not in pb.OrderToken.values():
            what = f"output `{output.name}` has an order token of an unknown number"
            self.error(path, f"{what}, {output.token}")
        elif output.token and not output.order and not output.merge:
            hint = "add `order window 5ms`, or leave out `by`"
            self.error(path, f"output `{output.name}` has `by`, but neither an order nor a merge", hint)

    def quality(self, path: str, quality: pb.Quality) -> None:
        if quality.program not in self.programs:
            self.unknown(path, "program", quality.program, self.programs)
        if quality.service_class not in pb.ServiceClass.values():
            self.error(path, f"a class of an unknown number, {quality.service_class}")
        elif not quality.service_class and not quality.HasField("latency"):
            hint = "write `class realtime;` or `latency 20ms;`"
            self.error(path, f"the quality of program `{quality.program}` says nothing", hint)
        if quality.HasField("latency"):
            self.duration(path, f"the latency of program `{quality.program}`", quality.latency)

    def duration(self, path: str, what: str, duration: Duration) -> None:
        nanoseconds = duration.seconds * 10**9 + duration.nanos
        if not 0 < nanoseconds <= MAX_DURATION_SECONDS * 10**9 or nanoseconds % 1000:
            limits = f"whole microseconds, more than 0 and at most {MAX_DURATION_SECONDS} s"
            self.error(path, f"{what} is {nanoseconds} ns", f"it is stated in {limits}")
