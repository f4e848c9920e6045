"""The habits of memory planners against the planners themselves, written down from their description in the sources."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from pteron.compat.plan_habits import PlanHabits, plan_habits
from pteron.format import schema
from pteron.format.scalar_type import ScalarType

ALIGN = 16


@dataclass
class Tensor:
    """``nbytes`` and the graph nodes that it lives from and to."""

    nbytes: int
    first: int
    last: int
    start: int = 0

    @property
    def size(self) -> int:
        return -(-self.nbytes // ALIGN) * ALIGN


@dataclass
class Shared:
    size: int
    last_used: int
    tensors: list[tuple[Tensor, int]] = field(default_factory=list)


def greedy_by_graph(tensors: list[Tensor]) -> int:
    """exir/memory_planning.py up to v0.5.0: the free object of the closest size, in the order of the graph."""
    objects: list[Shared] = []
    for tensor in tensors:
        picked: Shared | None = None
        for shared in objects:
            closer = picked is None or abs(shared.size - tensor.size) < abs(picked.size - tensor.size)
            if tensor.first > shared.last_used and closer:
                picked = shared
                shared.last_used = tensor.last
                shared.size = max(shared.size, tensor.size)
        if picked is None:
            picked = Shared(tensor.size, tensor.last)
            objects.append(picked)
        picked.tensors.append((tensor, 0))
    return lay_out(objects)


def greedy_by_size(tensors: list[Tensor]) -> int:
    """exir/memory_planning.py since v0.6.0: largest first, also beside tensors that live at the same time."""
    ordered = sorted(tensors, key=lambda tensor: tensor.size)
    ordered.reverse()
    objects: list[Shared] = []
    for tensor in ordered:
        for shared in objects:
            if not any(meets(tensor, other) for other, _ in shared.tensors):
                shared.tensors.append((tensor, 0))
                break
        else:
            for shared in objects:
                end = max(offset + other.size for other, offset in shared.tensors if meets(tensor, other))
                if end + tensor.size <= shared.size:
                    shared.tensors.append((tensor, end))
                    break
            else:
                objects.append(Shared(tensor.size, 0, [(tensor, 0)]))
    return lay_out(objects)


def naive(tensors: list[Tensor]) -> int:
    end = 0
    for tensor in tensors:
        tensor.start = end
        end += tensor.size
    return end


def meets(a: Tensor, b: Tensor) -> bool:
    return a.first <= b.last and b.first <= a.last


def lay_out(objects: list[Shared]) -> int:
    end = 0
    for shared in objects:
        for tensor, offset in shared.tensors:
            tensor.start = end + offset
        end += shared.size
    return end


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Tensor], schema.ExecutionPlan]:
    """A graph of up to three inputs and ten calls, each with up to three earlier tensors as arguments."""
    inputs = draw(st.integers(1, 3))
    calls = draw(st.integers(1, 10))
    sizes = draw(st.lists(st.integers(1, 80), min_size=inputs + calls, max_size=inputs + calls))
    # Inputs live from the first node on; up to 0.3 from their own.
    late = draw(st.booleans())
    tensors = [Tensor(size, index if late else 0, index) for index, size in enumerate(sizes[:inputs])]
    instructions = []
    for call in range(calls):
        # Two nodes per call, as in the exported graph: the allocation of the result, and the call.
        node = inputs + 2 * call
        arguments = draw(st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=3))
        for argument in arguments:
            tensors[argument].last = node + 1
        tensors.append(Tensor(sizes[inputs + call], node, node + 1))
        result = len(tensors) - 1
        instructions.append(schema.Instruction(schema.KernelCall(0, (*arguments, result, result))))
    outputs = draw(st.lists(st.integers(inputs, len(tensors) - 1), min_size=1, max_size=3, unique=True))
    for output in outputs:
        tensors[output].last = inputs + 2 * calls
    plan = schema.ExecutionPlan(
        name="forward",
        inputs=tuple(range(inputs)),
        outputs=tuple(outputs),
        chains=(schema.Chain((), (), tuple(instructions)),),
        operators=(schema.Operator("aten::add", "out"),),
    )
    return tensors, plan


def planned(plan: schema.ExecutionPlan, tensors: list[Tensor], total: int) -> schema.ExecutionPlan:
    values = tuple(
        schema.EValue(
            schema.Tensor(
                ScalarType.BYTE,
                sizes=(tensor.nbytes,),
                dim_order=(0,),
                allocation_info=schema.AllocationDetails(1, tensor.start),
            )
        )
        for tensor in tensors
    )
    fields = {name: getattr(plan, name) for name in ("name", "inputs", "outputs", "chains", "operators")}
    return schema.ExecutionPlan(**fields, values=values, non_const_buffer_sizes=(0, total))


@settings(max_examples=1500, deadline=None)
@given(graphs())
def test_no_planner_is_mistaken_for_the_other(graph: tuple[list[Tensor], schema.ExecutionPlan]) -> None:
    tensors, plan = graph
    by_graph = plan_habits(planned(plan, tensors, greedy_by_graph(tensors)))
    assert by_graph.not_by_graph is None
    for tensor in tensors[: len(plan.inputs or ())]:
        tensor.first = 0
    by_size = plan_habits(planned(plan, tensors, greedy_by_size(tensors)))
    assert by_size.not_by_size is None


@settings(max_examples=500, deadline=None)
@given(graphs())
def test_a_naive_plan_says_nothing_unless_the_greedy_one_is_the_same(
    graph: tuple[list[Tensor], schema.ExecutionPlan],
) -> None:
    tensors, plan = graph
    total = naive(tensors)
    starts = [tensor.start for tensor in tensors]
    found = plan_habits(planned(plan, tensors, total))
    assert found.not_by_graph is None
    if found.not_by_size is not None:
        greedy_by_graph(tensors)
        assert [tensor.start for tensor in tensors] == starts


def test_both_habits_are_seen() -> None:
    """Two equal inputs and a result: the first input leads in the order of the graph, the result by size."""
    tensors = [Tensor(32, 0, 3), Tensor(32, 1, 3), Tensor(32, 2, 4)]
    call = schema.Instruction(schema.KernelCall(0, (0, 1, 2, 2)))
    plan = schema.ExecutionPlan(
        inputs=(0, 1),
        outputs=(2,),
        chains=(schema.Chain((), (), (call,)),),
        operators=(schema.Operator("aten::add", "out"),),
    )
    assert plan_habits(planned(plan, tensors, greedy_by_graph(tensors))) == PlanHabits(not_by_size=2)
    assert plan_habits(planned(plan, tensors, greedy_by_size(tensors))) == PlanHabits(not_by_graph=1)


def test_branches_holes_and_further_buffers_say_nothing() -> None:
    tensors = [Tensor(32, 0, 3), Tensor(32, 1, 3), Tensor(32, 2, 4)]
    jump = schema.Instruction(schema.JumpFalseCall(0, 0))
    call = schema.Instruction(schema.KernelCall(0, (0, 1, 2, 2)))
    plan = schema.ExecutionPlan(
        inputs=(0, 1),
        outputs=(2,),
        chains=(schema.Chain((), (), (call, jump)),),
        operators=(schema.Operator("aten::add", "out"),),
    )
    total = greedy_by_graph(tensors)
    assert plan_habits(planned(plan, tensors, total)) == PlanHabits()
    plan = schema.ExecutionPlan(inputs=(0, 1), outputs=(2,), chains=(schema.Chain((), (), (call,)),), operators=())
    tensors[2].start += 16
    assert plan_habits(planned(plan, tensors, total + 16)) == PlanHabits()
    tensors[2].start -= 16
    assert plan_habits(planned(plan, tensors, total)) != PlanHabits()
    assert plan_habits(planned(plan, tensors, total + 16)) == PlanHabits()
