"""FTDI boards: URLs, errors as sentences, and a chip on a virtual USB below the real pyftdi and pyusb."""

from array import array
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyftdi.ftdi import Ftdi, FtdiError
from pyftdi.usbtools import UsbTools, UsbToolsError
from usb.backend import IBackend
from usb.core import USBError, USBTimeoutError

from qlink.firmware_bridge.board import Board
from qlink.firmware_bridge.errors import TransportError
from qlink.firmware_bridge.ftdi import Address, FoundBoard, explain, list_boards, open_url, parse, strip_status
from qlink.firmware_bridge.link import Patience
from qlink.firmware_bridge.transport import open_transport

PACKET = 512
IN, OUT = 0x81, 0x02


# -- URLs


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ftdi://ftdi:2232h/2", Address("ftdi://ftdi:2232h/2", 2, "uart", 3_000_000)),
        ("ftdi:///", Address("ftdi:///1", 1, "uart", 3_000_000)),
        ("ftdi://", Address("ftdi:///1", 1, "uart", 3_000_000)),
        ("ftdi://ftdi:232h:FT1A/1?mode=fifo", Address("ftdi://ftdi:232h:FT1A/1", 1, "fifo", 3_000_000)),
        ("ftdi://::FTXYZ/1?baud=12000000&mode=uart", Address("ftdi://::FTXYZ/1", 1, "uart", 12_000_000)),
    ],
)
def test_a_url_names_chip_interface_and_mode(url: str, address: Address) -> None:
    assert parse(urlsplit(url)) == address


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("ftdi:///1?speed=9", "there is no option 'speed', only mode and baud"),
        ("ftdi:///1?mode=spi", "mode is uart or fifo, not 'spi'"),
        ("ftdi:///1?baud=fast", "baud is a number of bits a second, not 'fast'"),
        ("ftdi:///1?baud=0", "baud is a number"),
        ("ftdi:///1?baud=", "baud is a number"),
        ("ftdi:///B", "the interface is 1 to 4, not 'B'"),
    ],
)
def test_a_bad_url_is_named(url: str, names: str) -> None:
    with pytest.raises(TransportError, match=names):
        parse(urlsplit(url))


# -- errors


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("No backend available"), "libusb is missing.*apt install libusb-1.0-0"),
        (ValueError("The device has no langid (permission issue, ...)"), "no permission .*udev/rules.d"),
        (USBError("Access denied (insufficient permissions)", -3, 13), "no permission .*udev/rules.d"),
        (FtdiError("UsbError: [Errno 16] Resource busy"), "in use: close the other program"),
        (UsbToolsError("No USB device matches URL ftdi:///1"), "no board at URL: is it plugged in"),
        (OSError("Device not found"), "no board at URL: is it plugged in"),
        (FtdiError("UsbError: [Errno 19] No such device (it may have been disconnected)"), "URL was unplugged"),
        (UsbToolsError("2 USB devices match URL 'ftdi:///1'"), "more than one board matches"),
        (FtdiError("No such FTDI port: 3"), "no such interface"),
        (ValueError("Baudrate tolerance exceeded: 33%"), "cannot make this baud rate: Baudrate tolerance exceeded"),
        (USBError("Pipe error", -9, 32), "URL: .*Pipe error"),
    ],
)
def test_every_failure_is_one_sentence(error: Exception, sentence: str) -> None:
    said = explain(error, "URL")
    with pytest.raises(TransportError, match=sentence):
        raise said
    assert "\n" not in str(said)
    assert "{" not in str(said).replace("ATTR{idVendor}", "")


def test_without_libusb_or_a_board_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine as it is: whatever is missing first."""
    with pytest.raises(TransportError, match=r"apt install libusb-1.0-0|no board at|no permission"):
        open_transport("ftdi://ftdi:232h:no-such-serial/1")


# -- packets


@given(st.binary(max_size=3000), st.sets(st.integers(0, 5)))
def test_status_bytes_are_stripped_and_overruns_counted(payload: bytes, faulty: set[int]) -> None:
    room = PACKET - 2
    pieces = [payload[at : at + room] for at in range(0, len(payload), room)] or [b""]
    transfer = b"".join(bytes([1, 0x62 if n in faulty else 0x60]) + piece for n, piece in enumerate(pieces))
    stripped, overruns, faults = strip_status(transfer, PACKET)
    assert stripped == payload
    assert overruns == faults == len(faulty & set(range(len(pieces))))


def test_no_transfer_is_no_payload() -> None:
    assert strip_status(b"", PACKET) == (b"", 0, 0)


# -- a chip on a virtual USB


class VirtualUsb(IBackend):  # type: ignore[misc]
    """A bus with FT2232H chips on it; interface 2 of each is wired to a `Peer`."""

    def __init__(self, peer: Any, serials: tuple[str, ...] = ("FT1A",)) -> None:
        super().__init__()
        self.peer = peer
        self.serials = serials
        self.requests: list[tuple[int, int, int]] = []
        self.failure: USBError | None = None
        self.overrun = False

    def enumerate_devices(self) -> Iterator[int]:
        return iter(range(len(self.serials)))

    def get_parent(self, dev: int) -> None:
        return None

    def get_device_descriptor(self, dev: int) -> Any:
        return SimpleNamespace(
            bLength=18, bDescriptorType=1, bcdUSB=0x200, bDeviceClass=0, bDeviceSubClass=0, bDeviceProtocol=0,
            bMaxPacketSize0=64, idVendor=0x0403, idProduct=0x6010, bcdDevice=0x0700, iManufacturer=1, iProduct=2,
            iSerialNumber=3, bNumConfigurations=1, address=dev + 4, bus=1, port_number=dev, port_numbers=(dev,),
            speed=3,
        )  # fmt: skip

    def get_configuration_descriptor(self, dev: int, config: int) -> Any:
        return SimpleNamespace(
            bLength=9, bDescriptorType=2, wTotalLength=55, bNumInterfaces=2, bConfigurationValue=1, iConfiguration=0,
            bmAttributes=0x80, bMaxPower=250, extra_descriptors=[],
        )  # fmt: skip

    def get_interface_descriptor(self, dev: int, intf: int, alt: int, config: int) -> Any:
        if alt or intf > 1:
            raise IndexError
        return SimpleNamespace(
            bLength=9, bDescriptorType=4, bInterfaceNumber=intf, bAlternateSetting=0, bNumEndpoints=2,
            bInterfaceClass=255, bInterfaceSubClass=255, bInterfaceProtocol=255, iInterface=2, extra_descriptors=[],
        )  # fmt: skip

    def get_endpoint_descriptor(self, dev: int, ep: int, intf: int, alt: int, config: int) -> Any:
        address = (IN, OUT)[ep] + 2 * intf
        return SimpleNamespace(
            bLength=7, bDescriptorType=5, bEndpointAddress=address, bmAttributes=2, wMaxPacketSize=PACKET, bInterval=0,
            bRefresh=0, bSynchAddress=0, extra_descriptors=[],
        )  # fmt: skip

    def open_device(self, dev: int) -> int:
        if self.failure:
            raise self.failure
        return dev

    def close_device(self, dev_handle: int) -> None: ...
    def set_configuration(self, dev_handle: int, config_value: int) -> None: ...
    def get_configuration(self, dev_handle: int) -> int:
        return 1

    def claim_interface(self, dev_handle: int, intf: int) -> None: ...
    def release_interface(self, dev_handle: int, intf: int) -> None: ...
    def is_kernel_driver_active(self, dev_handle: int, intf: int) -> bool:
        return False

    def attach_kernel_driver(self, dev_handle: int, intf: int) -> None: ...

    def ctrl_transfer(
        self, handle: int, kind: int, request: int, value: int, index: int, data: Any, timeout: int
    ) -> int:
        if kind & 0x80 and request == 6:  # a string descriptor
            text = ("\u0409", "QLink", "QLink board", self.serials[handle])[value & 0xFF].encode("utf-16-le")
            reply = bytes([len(text) + 2, 3]) + text
            data[: len(reply)] = array("B", reply)
            return len(reply)
        self.requests.append((request, value, index))
        return len(data)

    def bulk_write(self, handle: int, ep: int, intf: int, data: Any, timeout: int) -> int:
        assert ep == OUT + 2
        self.peer.write(bytes(data))
        return len(data)

    def bulk_read(self, handle: int, ep: int, intf: int, buffer: Any, timeout: int) -> int:
        assert ep == IN + 2
        if self.failure:
            raise self.failure
        data = self.peer.read(len(buffer) // PACKET * (PACKET - 2) - 7, 0.001)
        status, self.overrun = bytes([1, 0x62 if self.overrun else 0x60]), False
        room = PACKET - 2
        packets = [status + data[at : at + room] for at in range(0, len(data), room)] or [status]
        transfer = b"".join(packets)
        buffer[: len(transfer)] = array("B", transfer)
        return len(transfer)


@pytest.fixture
def usb(peer: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualUsb]:
    bus = VirtualUsb(peer)
    monkeypatch.setattr(UsbTools, "_load_backend", lambda: bus)
    UsbTools.flush_cache()
    yield bus
    bus.failure = None
    UsbTools.release_all_devices()
    UsbTools.flush_cache()


def test_a_board_works_through_pyftdi(usb: VirtualUsb, peer: Any) -> None:
    with Board(open_url(urlsplit("ftdi://ftdi:2232h/2?baud=12000000")), Patience()) as board:
        assert board.identity == peer.identity
        assert board.snapshot().tick == peer.tick  # more than one packet
    assert (Ftdi.SIO_REQ_SET_LATENCY_TIMER, 1, 2) in usb.requests
    assert Ftdi.SIO_REQ_SET_BAUDRATE in {request for request, _, _ in usb.requests}


def test_fifo_mode_is_set_on_the_chip(usb: VirtualUsb) -> None:
    open_url(urlsplit("ftdi://ftdi:2232h/2?mode=fifo")).close()
    assert (Ftdi.SIO_REQ_SET_BITMODE, 0x40FF, 2) in usb.requests
    assert (Ftdi.SIO_REQ_SET_FLOW_CTRL, 0, 0x102) in usb.requests
    assert Ftdi.SIO_REQ_SET_BAUDRATE not in {request for request, _, _ in usb.requests}


def test_an_overrun_in_the_chip_is_counted(usb: VirtualUsb, peer: Any) -> None:
    transport = open_url(urlsplit("ftdi://ftdi:2232h/2"))
    peer.send_raw(b"abc")
    usb.overrun = True
    assert transport.read(2, 1.0) + transport.read(2, 1.0) == b"abc"
    assert (transport.overruns, transport.line_errors) == (1, 1)
    transport.close()
    with pytest.raises(TransportError, match="is closed"):
        transport.read(1, 0.0)


def test_a_silent_chip_is_not_waited_for_longer_than_asked(usb: VirtualUsb, peer: Any) -> None:
    transport = open_url(urlsplit("ftdi://ftdi:2232h/2"))
    transport._clock = peer.now_s
    assert transport.read(10, 0.25) == b""
    assert peer.time_s == pytest.approx(0.25, abs=0.002)
    transport.close()


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (USBError("No such device (it may have been disconnected)", -4, 19), "was unplugged"),
        (USBTimeoutError("Operation timed out", -7, 110), None),
    ],
)
def test_what_the_bus_reports_while_reading(usb: VirtualUsb, failure: USBError, sentence: str | None) -> None:
    transport = open_url(urlsplit("ftdi://ftdi:2232h/2"))
    usb.failure = failure
    if sentence is None:
        assert transport.read(1, 0.0) == b""
    else:
        with pytest.raises(TransportError, match=sentence):
            transport.read(1, 0.0)
    usb.failure = None
    transport.close()


def test_boards_are_listed_by_url_serial_and_chip(usb: VirtualUsb) -> None:
    usb.serials = ("FT1A", "FT2B")
    assert sorted(list_boards(), key=lambda board: board.url) == [
        FoundBoard(f"ftdi://ftdi:2232:{serial}/{interface}", "QLink board", serial, "ft2232h")
        for serial in usb.serials
        for interface in (1, 2)
    ]


def test_two_boards_are_told_apart_by_serial(usb: VirtualUsb) -> None:
    usb.serials = ("FT1A", "FT2B")
    with pytest.raises(TransportError, match="more than one board matches"):
        open_url(urlsplit("ftdi://ftdi:2232h/2"))
    open_url(urlsplit("ftdi://ftdi:2232h:FT2B/2")).close()
    with pytest.raises(TransportError, match="no board at ftdi://ftdi:2232h:FT9/2"):
        open_url(urlsplit("ftdi://ftdi:2232h:FT9/2"))


def test_an_interface_that_the_chip_has_not_is_named(usb: VirtualUsb) -> None:
    with pytest.raises(TransportError, match="no such interface"):
        open_url(urlsplit("ftdi://ftdi:2232h/3"))


def test_no_permission_is_told_with_the_rule_to_add(usb: VirtualUsb) -> None:
    usb.failure = USBError("Access denied (insufficient permissions)", -3, 13)
    with pytest.raises(TransportError, match="no permission"):
        open_url(urlsplit("ftdi://ftdi:2232h/2"))


def test_nothing_is_listed_where_nothing_is(usb: VirtualUsb) -> None:
    usb.serials = ()
    assert list_boards() == []
