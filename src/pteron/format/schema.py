"""The PTE schema: ``program.fbs`` of every release, one record per table.

Slots never moved and no union member was ever added from 0.1 to 1.5; fields were appended and two renamed. Releases
are ExecuTorch's tags (schema/program.fbs and schema/scalar_type.fbs at v0.1.0 … v1.5.1).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from pteron.format.declare import FlatbufferSchema, slot, table
from pteron.format.scalar_type import ScalarType

SCHEMA = FlatbufferSchema("program", identifiers=("ET12",))


class TensorShapeDynamism(IntEnum):
    """Whether a tensor's sizes may change at run time."""

    STATIC = 0
    DYNAMIC_BOUND = 1
    DYNAMIC_UNBOUND = 2


class TensorDataLocation(IntEnum):
    """Where a tensor's initial data is: in this file, or in a .ptd file."""

    SEGMENT = 0
    EXTERNAL = 1


class DataLocation(IntEnum):
    """Where a delegate's payload is."""

    INLINE = 0
    SEGMENT = 1


class DeviceType(IntEnum):
    """The device that a buffer lives on."""

    CPU = 0
    CUDA = 1


SCHEMA.enum(
    ScalarType,
    "byte",
    since={
        "HALF": "0.2.0",
        "BITS16": "0.5.0",
        "FLOAT8_E5M2": "0.5.0",
        "FLOAT8_E4M3FN": "0.5.0",
        "FLOAT8_E5M2FNUZ": "0.5.0",
        "FLOAT8_E4M3FNUZ": "0.5.0",
        "UINT16": "0.5.0",
        "UINT32": "0.5.0",
        "UINT64": "0.5.0",
        "BFLOAT16": "1.2.0",
    },
)
SCHEMA.enum(TensorShapeDynamism, "byte")
SCHEMA.enum(TensorDataLocation, "byte")
SCHEMA.enum(DataLocation, "byte")
SCHEMA.enum(DeviceType, "byte")


@table(SCHEMA, since="0.1.0")
class ContainerMetadata:
    encoded_inp_str: str | None = slot(0, "string", default=None, since="0.1.0")
    encoded_out_str: str | None = slot(1, "string", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Null:
    pass


@table(SCHEMA, since="0.1.0")
class AllocationDetails:
    """Place in the memory plan: a 1-based buffer number and a byte offset split in two halves."""

    memory_id: int = slot(0, "uint", default=0, since="0.1.0")
    memory_offset_low: int = slot(1, "uint", default=0, since="0.1.0", was="memory_offset")
    memory_offset_high: int = slot(2, "uint", default=0, since="0.2.0")

    @property
    def memory_offset(self) -> int:
        """Byte offset in the planned buffer."""
        return self.memory_offset_high << 32 | self.memory_offset_low


@table(SCHEMA, since="0.4.0")
class ExtraTensorInfo:
    mutable_data_segments_idx: int = slot(0, "ulong", default=0, since="0.4.0")
    fully_qualified_name: str | None = slot(1, "string", default=None, since="0.4.0")
    location: TensorDataLocation = slot(2, "TensorDataLocation", default=TensorDataLocation.SEGMENT, since="0.5.0")
    device_type: DeviceType = slot(3, "DeviceType", default=DeviceType.CPU, since="1.3.0")
    device_index: int = slot(4, "byte", default=0, since="1.3.0")


@table(SCHEMA, since="0.1.0")
class Tensor:
    """``sizes`` are upper bounds where dynamic; ``dim_order`` lists dimensions from outermost to innermost."""

    scalar_type: ScalarType = slot(0, "ScalarType", default=ScalarType.BYTE, since="0.1.0")
    storage_offset: int = slot(1, "int", default=0, since="0.1.0")
    sizes: tuple[int, ...] | None = slot(2, "[int]", default=None, since="0.1.0")
    dim_order: tuple[int, ...] | None = slot(3, "[ubyte]", default=None, since="0.1.0")
    requires_grad: bool = slot(4, "bool", default=False, since="0.1.0")
    data_buffer_idx: int = slot(5, "uint", default=0, since="0.1.0", was="constant_buffer_idx")
    allocation_info: AllocationDetails | None = slot(6, "AllocationDetails", default=None, since="0.1.0")
    layout: int = slot(7, "byte", default=0, since="0.1.0")
    shape_dynamism: TensorShapeDynamism = slot(
        8, "TensorShapeDynamism", default=TensorShapeDynamism.STATIC, since="0.1.0"
    )
    extra_tensor_info: ExtraTensorInfo | None = slot(9, "ExtraTensorInfo", default=None, since="0.4.0")


@table(SCHEMA, since="0.1.0")
class Int:
    int_val: int = slot(0, "long", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Bool:
    bool_val: bool = slot(0, "bool", default=False, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Double:
    double_val: float = slot(0, "double", default=0.0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class String:
    string_val: str | None = slot(0, "string", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class IntList:
    """``items`` are indices into the plan's values, not integers."""

    items: tuple[int, ...] | None = slot(0, "[long]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class DoubleList:
    items: tuple[float, ...] | None = slot(0, "[double]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class BoolList:
    items: tuple[bool, ...] | None = slot(0, "[bool]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class TensorList:
    """``items`` are indices into the plan's values."""

    items: tuple[int, ...] | None = slot(0, "[int]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class OptionalTensorList:
    """``items`` are indices into the plan's values; -1 is a null entry."""

    items: tuple[int, ...] | None = slot(0, "[int]", default=None, since="0.1.0")


KernelTypes: TypeAlias = (
    Null | Int | Bool | Double | Tensor | String | IntList | DoubleList | BoolList | TensorList | OptionalTensorList
)
SCHEMA.union(
    "KernelTypes",
    Null=1,
    Int=2,
    Bool=3,
    Double=4,
    Tensor=5,
    String=6,
    IntList=7,
    DoubleList=8,
    BoolList=9,
    TensorList=10,
    OptionalTensorList=11,
)


@table(SCHEMA, since="0.1.0")
class EValue:
    val: KernelTypes | None = slot(1, "KernelTypes", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Operator:
    name: str | None = slot(0, "string", default=None, since="0.1.0")
    overload: str | None = slot(1, "string", default=None, since="0.1.0")

    @property
    def qualified_name(self) -> str:
        """``aten::add.out``; without a dot where the overload is empty."""
        return f"{self.name}.{self.overload}" if self.overload else self.name or ""


@table(SCHEMA, since="0.1.0")
class KernelCall:
    op_index: int = slot(0, "int", default=0, since="0.1.0")
    args: tuple[int, ...] | None = slot(1, "[int]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class DelegateCall:
    delegate_index: int = slot(0, "int", default=0, since="0.1.0")
    args: tuple[int, ...] | None = slot(1, "[int]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class MoveCall:
    move_from: int = slot(0, "int", default=0, since="0.1.0")
    move_to: int = slot(1, "int", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class JumpFalseCall:
    cond_value_index: int = slot(0, "int", default=0, since="0.1.0")
    destination_instruction: int = slot(1, "int", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class FreeCall:
    value_index: int = slot(0, "int", default=0, since="0.1.0")


InstructionArguments: TypeAlias = KernelCall | DelegateCall | MoveCall | JumpFalseCall | FreeCall
SCHEMA.union("InstructionArguments", KernelCall=1, DelegateCall=2, MoveCall=3, JumpFalseCall=4, FreeCall=5)


@table(SCHEMA, since="0.1.0")
class Instruction:
    instr_args: InstructionArguments | None = slot(1, "InstructionArguments", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Frame:
    filename: str | None = slot(0, "string", default=None, since="0.1.0")
    lineno: int = slot(1, "int", default=0, since="0.1.0")
    name: str | None = slot(2, "string", default=None, since="0.1.0")
    context: str | None = slot(3, "string", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class FrameList:
    items: tuple[Frame, ...] | None = slot(0, "[Frame]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class BackendDelegateDataReference:
    location: DataLocation = slot(0, "DataLocation", default=DataLocation.INLINE, since="0.1.0")
    index: int = slot(1, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class CompileSpec:
    key: str | None = slot(0, "string", default=None, since="0.1.0")
    value: memoryview | None = slot(1, "bytes", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class BackendDelegate:
    id: str | None = slot(0, "string", default=None, since="0.1.0")
    processed: BackendDelegateDataReference | None = slot(
        1, "BackendDelegateDataReference", default=None, since="0.1.0"
    )
    compile_specs: tuple[CompileSpec, ...] | None = slot(2, "[CompileSpec]", default=None, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Chain:
    inputs: tuple[int, ...] | None = slot(0, "[int]", default=None, since="0.1.0")
    outputs: tuple[int, ...] | None = slot(1, "[int]", default=None, since="0.1.0")
    instructions: tuple[Instruction, ...] | None = slot(2, "[Instruction]", default=None, since="0.1.0")
    stacktrace: tuple[FrameList, ...] | None = slot(3, "[FrameList]", default=None, since="0.1.0")


@table(SCHEMA, since="1.3.0")
class NonConstBufferDevice:
    buffer_idx: int = slot(0, "int", default=0, since="1.3.0")
    device_type: DeviceType = slot(1, "DeviceType", default=DeviceType.CPU, since="1.3.0")
    device_index: int = slot(2, "byte", default=0, since="1.3.0")


@table(SCHEMA, since="0.1.0")
class ExecutionPlan:
    """One method. ``non_const_buffer_sizes`` are the planned buffers in bytes; entry 0 is reserved."""

    name: str | None = slot(0, "string", default=None, since="0.1.0")
    container_meta_type: ContainerMetadata | None = slot(1, "ContainerMetadata", default=None, since="0.1.0")
    values: tuple[EValue, ...] | None = slot(2, "[EValue]", default=None, since="0.1.0")
    inputs: tuple[int, ...] | None = slot(3, "[int]", default=None, since="0.1.0")
    outputs: tuple[int, ...] | None = slot(4, "[int]", default=None, since="0.1.0")
    chains: tuple[Chain, ...] | None = slot(5, "[Chain]", default=None, since="0.1.0")
    operators: tuple[Operator, ...] | None = slot(6, "[Operator]", default=None, since="0.1.0")
    delegates: tuple[BackendDelegate, ...] | None = slot(7, "[BackendDelegate]", default=None, since="0.1.0")
    non_const_buffer_sizes: tuple[int, ...] | None = slot(8, "[long]", default=None, since="0.1.0")
    non_const_buffer_device: tuple[NonConstBufferDevice, ...] | None = slot(
        9, "[NonConstBufferDevice]", default=None, since="1.3.0"
    )


@table(SCHEMA, since="0.1.0")
class Buffer:
    storage: memoryview | None = slot(0, "bytes", default=None, since="0.1.0", align=16)


@table(SCHEMA, since="0.1.0")
class BackendDelegateInlineData:
    data: memoryview | None = slot(0, "bytes", default=None, since="0.1.0", align=16)


@table(SCHEMA, since="0.1.0")
class DataSegment:
    """``offset`` counts from the header's segment_base_offset; ``size`` leaves padding out. Both in bytes."""

    offset: int = slot(0, "ulong", default=0, since="0.1.0")
    size: int = slot(1, "ulong", default=0, since="0.1.0")


@table(SCHEMA, since="0.2.0")
class SubsegmentOffsets:
    segment_index: int = slot(0, "uint", default=0, since="0.2.0")
    offsets: tuple[int, ...] | None = slot(1, "[ulong]", default=None, since="0.2.0")


@table(SCHEMA, since="0.6.0")
class NamedData:
    key: str | None = slot(0, "string", default=None, since="0.6.0")
    segment_index: int = slot(1, "uint", default=0, since="0.6.0")


@table(SCHEMA, since="0.1.0")
class Program:
    """The root table of a PTE file."""

    version: int = slot(0, "uint", default=0, since="0.1.0")
    execution_plan: tuple[ExecutionPlan, ...] | None = slot(1, "[ExecutionPlan]", default=None, since="0.1.0")
    constant_buffer: tuple[Buffer, ...] | None = slot(2, "[Buffer]", default=None, since="0.1.0")
    backend_delegate_data: tuple[BackendDelegateInlineData, ...] | None = slot(
        3, "[BackendDelegateInlineData]", default=None, since="0.1.0"
    )
    segments: tuple[DataSegment, ...] | None = slot(4, "[DataSegment]", default=None, since="0.1.0")
    constant_segment: SubsegmentOffsets | None = slot(5, "SubsegmentOffsets", default=None, since="0.2.0")
    mutable_data_segments: tuple[SubsegmentOffsets, ...] | None = slot(
        6, "[SubsegmentOffsets]", default=None, since="0.4.0"
    )
    named_data: tuple[NamedData, ...] | None = slot(7, "[NamedData]", default=None, since="0.6.0")
