"""Facts of the declaration, as backends/xnnpack in ExecuTorch's tags v0.1.0 … v1.4.1 has them."""

from pteron.backends.xnnpack import nodes
from pteron.backends.xnnpack.schema import SCHEMA
from pteron.backends.xnnpack.values import XNNDatatype

# Numbers that came after 0.1, which had 1 … 35.
LATER_NODES = {
    36: ("XNNScaledDotProductAttention", "0.2.0", "0.6.0"),
    37: ("XNNBatchMatrixMultiply", "0.4.0", ""),
    38: ("XNNConcatenate5", "0.6.0", ""),
    39: ("XNNConvTranspose2d", "0.6.0", ""),
    40: ("XNNReciprocalSquareRoot", "0.6.0", ""),
    41: ("XNNLog", "0.7.0", ""),
    42: ("XNNGelu", "0.7.0", ""),
    43: ("XNNTanh", "0.7.0", ""),
    44: ("XNNExp", "0.7.0", ""),
    45: ("XNNSin", "1.1.0", ""),
    46: ("XNNCopy", "1.1.0", ""),
    47: ("XNNCos", "1.1.0", ""),
}

LATER_FIELDS = {
    ("XNNGraph", "constant_data"): (8, "0.2.0", ""),
    ("ConstantDataOffset", "named_key"): (2, "0.6.0", ""),
    ("_XNNCat", "input5_id"): (7, "0.6.0", ""),
    ("PerChannelQuant", "scale_buffer_idx"): (2, "0.7.0", ""),
    ("PerChannelQuant", "num_scales"): (3, "0.7.0", ""),
    ("PerChannelGroupQuant", "scale_bf16"): (3, "0.4.0", "0.6.0"),
    ("PerChannelGroupQuant", "scale_buffer_idx"): (4, "0.7.0", ""),
    ("PerChannelGroupQuant", "num_scales"): (5, "0.7.0", ""),
}


def test_the_nodes_after_0_1_and_the_one_that_was_dropped() -> None:
    members = SCHEMA.unions["XNodeUnion"].members
    assert sorted(members) == list(range(1, 48))
    specs = {number: SCHEMA.tables[name] for number, name in members.items()}
    dated = {number: (spec.name, spec.since, spec.until) for number, spec in specs.items()}
    assert {number: fact for number, fact in dated.items() if fact[1:] != ("0.1.0", "")} == LATER_NODES
    assert (members[1], members[2], members[7], members[24], members[35]) == (
        "XNNAdd", "XNNFullyConnected", "XNNConv2d", "XNNHardswish", "XNNStaticSlice",
    )  # fmt: skip


def test_the_fields_after_their_tables() -> None:
    later = {
        (spec.name, field.name): (field.slot, field.since, field.until)
        for spec in SCHEMA.tables.values()
        for field in spec.fields
        if (field.since > spec.since or field.until) and not spec.name.startswith("XNNConcatenate")
    }
    assert later == LATER_FIELDS


def test_the_datatypes_by_number_and_release() -> None:
    names = "invalid fp32 fp16 qint8 quint8 qint32 qcint8 qcint32 qcint4 qdint8 qbint4 qpint8 int32 pfp32 bf16"
    assert [datatype.short for datatype in XNNDatatype] == names.split()
    assert [int(datatype) for datatype in XNNDatatype] == list(range(15))
    since = SCHEMA.enums["XNNDatatype"].since
    first = [since.get(datatype.name, "0.1.0") for datatype in XNNDatatype]
    assert first == ["0.1.0"] * 8 + ["0.2.0"] * 3 + ["0.7.0"] * 4


def test_the_unions_of_quantisation_and_values() -> None:
    assert SCHEMA.unions["XNNQuantParams"].members == {
        1: "PerChannelQuant", 2: "PerTensorQuant", 3: "PerTokenDynamicQuant", 4: "PerChannelGroupQuant",
    }  # fmt: skip
    assert SCHEMA.unions["XValueUnion"].members == {1: "XNNTensorValue", 2: "XNNQuantizedTensorValue"}
    assert [SCHEMA.tables[name].since for name in SCHEMA.unions["XNNQuantParams"].members.values()] == [
        "0.1.0", "0.1.0", "0.2.0", "0.2.0",
    ]  # fmt: skip


def test_a_concatenation_takes_as_many_values_as_its_name_says() -> None:
    kinds = (nodes.XNNConcatenate2, nodes.XNNConcatenate3, nodes.XNNConcatenate4, nodes.XNNConcatenate5)
    assert [kind(0, 1, 2, 3, 4, 9, 0, 5).inputs for kind in kinds] == [(1, 2), (1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4, 5)]


def test_a_layer_without_bias_takes_two_values() -> None:
    layer = nodes.XNNFullyConnected(input1_id=4, filter_id=5, bias_id=0xFFFFFFFF, output_id=6)
    assert (layer.inputs, layer.outputs) == ((4, 5), (6,))


def test_every_node_names_fields_that_it_has() -> None:
    for name in SCHEMA.unions["XNodeUnion"].members.values():
        spec = SCHEMA.tables[name]
        fields = {field.name for field in spec.fields}
        assert fields >= {*spec.record.reads, *spec.record.writes, *spec.record.optional, "flags"}
