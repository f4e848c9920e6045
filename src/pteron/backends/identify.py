"""What a delegate's payload is, told from its first bytes, for every backend known.

Identification reads headers only. Markers and their releases come from each backend's runtime and serializer in
ExecuTorch's ``backends/`` folder (v0.1.0 … v1.5.1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from pteron.backends.interface import PayloadInfo
from pteron.backends.xnnpack import header as xnnpack_header
from pteron.errors import FormatError

Identifier = Callable[[memoryview], PayloadInfo]


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """A backend known by name: what it runs on, what would run its payloads, and how to read their markers."""

    id: str
    title: str
    runs_on: str
    identify: Identifier


def _ascii(payload: memoryview, start: int, length: int = 4) -> str:
    mark = bytes(payload[start : start + length])
    return mark.decode("ascii") if len(mark) == length and mark.isalnum() else ""


def _headered(header_magic: str) -> Identifier:
    """A 30-byte header (magic at byte 4, flatbuffer offset at 10), then a flatbuffer with its own identifier."""

    def identify(payload: memoryview) -> PayloadInfo:
        mark = _ascii(payload, 4)
        if mark != header_magic or len(payload) < 30:
            return PayloadInfo(mark or "unknown", description="a flatbuffer without header" if mark else "")
        offset, size, data_offset, data_size = struct.unpack_from("<IIIQ", payload, 10)
        inner = _ascii(payload, offset + 4)
        details = {"flatbuffer_bytes": size, "constant_bytes": data_size, "constant_offset": data_offset}
        return PayloadInfo(
            inner or "unknown", header_magic, f"{inner or 'unknown'} behind a {header_magic} header", details
        )

    return identify


def _xnnpack(payload: memoryview) -> PayloadInfo:
    """The identifier, and what the header says; ``unknown`` for a header that cannot be."""
    try:
        header = xnnpack_header.read_header(payload)
    except FormatError as error:
        return PayloadInfo("unknown", "", f"a damaged XH00 header: {error.problem}")
    start = header.flatbuffer_offset if header else 0
    mark = _ascii(payload, start + 4)
    if mark not in ("XN00", "XN01"):
        return PayloadInfo("unknown", "", f"identifier {mark!r} is not XNNPACK's" if mark else "")
    if header is None:
        return PayloadInfo(mark, "", "a flatbuffer without header", {"has_header": False})
    details = {
        "has_header": True,
        "flatbuffer_bytes": header.flatbuffer_size,
        "constant_bytes": header.constant_data_size,
        "constant_offset": header.constant_data_offset,
    }
    return PayloadInfo(mark, "", f"{mark} behind an XH00 header", details)


def _marked(mark: str, start: int, description: str = "") -> Identifier:
    def identify(payload: memoryview) -> PayloadInfo:
        found = bytes(payload[start : start + len(mark)]) == mark.encode()
        return PayloadInfo(mark if found else "unknown", description=description if found else "")

    return identify


def _qnn(payload: memoryview) -> PayloadInfo:
    if len(payload) >= 20:
        magic, _, size = struct.unpack_from("<IqQ", payload)
        if magic == 0x5678ABCD:
            return PayloadInfo("QNN context binary", "signed", "since 0.6", {"binary_bytes": size})
    return PayloadInfo("QNN context binary", "unsigned", "up to 0.5")


def _ethos_u(payload: memoryview) -> PayloadInfo:
    found = bytes(payload[:15]) == b"vela_bin_stream"
    return PayloadInfo("vela_bin_stream" if found else "unknown")


def _coreml(payload: memoryview) -> PayloadInfo:
    if bytes(payload[:4]) == b"CMJR":
        return PayloadInfo("CMJR", "", "a reference to a model in the named data")
    return PayloadInfo("in-memory file system", "", f"{len(payload):,} bytes")


def _neuropilot(payload: memoryview) -> PayloadInfo:
    if len(payload) < 13:
        return PayloadInfo("unknown")
    version, inputs, outputs, size = struct.unpack_from("<BIII", payload)
    return PayloadInfo("Neuropilot", str(version), "", {"inputs": inputs, "outputs": outputs, "network_bytes": size})


def _neutron(payload: memoryview) -> PayloadInfo:
    found = struct.pack("<I", 0x64434D6E) in bytes(payload[:4096])
    return PayloadInfo("Neutron microcode" if found else "unknown")


def _aoti(payload: memoryview) -> PayloadInfo:
    if len(payload) == 0:
        return PayloadInfo("AOTInductor", "1.1", "keys made from the method's name")
    return PayloadInfo("AOTInductor", "1.4", "keys named in the payload")


def _opaque(name: str) -> Identifier:
    return lambda payload: PayloadInfo(name, "", f"{len(payload):,} bytes")


KNOWN: dict[str, BackendFacts] = {
    facts.id: facts
    for facts in (
        BackendFacts("XnnpackBackend", "XNNPACK", "CPUs", _xnnpack),
        BackendFacts("VulkanBackend", "Vulkan", "GPUs with Vulkan (or WebGPU since 1.3)", _headered("VH00")),
        BackendFacts("QnnBackend", "Qualcomm AI Engine Direct", "Qualcomm NPUs", _qnn),
        BackendFacts("CoreMLBackend", "Core ML", "Apple devices", _coreml),
        BackendFacts("MPSBackend", "Metal Performance Shaders", "Apple GPUs", _marked("MP00", 4)),
        BackendFacts("ArmBackend", "Arm Ethos-U", "Ethos-U NPUs (id up to 0.5)", _ethos_u),
        BackendFacts("EthosUBackend", "Arm Ethos-U", "Ethos-U NPUs (id since 0.6)", _ethos_u),
        BackendFacts("VgfBackend", "Arm VGF", "Vulkan with ML extensions", _opaque("VGF")),
        BackendFacts("TOSABackend", "TOSA", "nothing: an interchange format of the Arm backends", _marked("TOSA", 4)),
        BackendFacts("OpenvinoBackend", "OpenVINO", "Intel CPUs, GPUs and NPUs", _opaque("OpenVINO model")),
        BackendFacts("NeuropilotBackend", "MediaTek NeuroPilot", "MediaTek NPUs", _neuropilot),
        BackendFacts("EnnBackend", "Samsung Exynos", "Exynos NPUs", _opaque("ENN model")),
        BackendFacts("NeutronBackend", "NXP eIQ Neutron", "NXP NPUs", _neutron),
        BackendFacts("CudaBackend", "CUDA (AOTInductor)", "NVIDIA GPUs", _aoti),
        BackendFacts("MetalBackend", "Metal (AOTInductor)", "Apple GPUs", _aoti),
        BackendFacts("MLXBackend", "MLX", "Apple silicon", _marked("MLX0", 4)),
    )
}


def identify_payload(backend_id: str, payload: memoryview) -> PayloadInfo:
    """What a payload is; its format is ``unknown`` for a backend nobody told Pteron about."""
    facts = KNOWN.get(backend_id)
    return facts.identify(payload) if facts else PayloadInfo("unknown", "", f"{len(payload):,} bytes")


def describe(backend_id: str, payload: memoryview) -> str:
    """One phrase for messages: ``XNNPACK payload XN01 behind a XH00 header, 12,345 bytes``."""
    facts = KNOWN.get(backend_id)
    info = identify_payload(backend_id, payload)
    title = facts.title if facts else backend_id
    form = info.format if info.format != "unknown" else "of unknown format"
    version = f" version {info.version}" if info.version else ""
    return f"{title} payload {form}{version}, {len(payload):,} bytes"
