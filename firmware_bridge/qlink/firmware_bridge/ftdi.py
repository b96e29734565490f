"""Boards behind an FTDI chip: UART, or the FT2232H/FT232H's synchronous FIFO. Opened by pyftdi, read by us.

pyftdi reads one transfer of at most 16 KB at a time, waits for all that was asked for, and looks at the line status of
its first packet only: an overrun later in it would be silent. So we read the endpoint and look at every packet.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qs

import numpy as np
from pyftdi.ftdi import Ftdi
from pyftdi.usbtools import UsbTools, UsbToolsError
from usb.core import USBTimeoutError

from .errors import TransportError

UART = "uart"
FIFO = "fifo"
BAUD_DEFAULT = 3_000_000
LATENCY_MS = 1
TRANSFER_BYTES = 1 << 16
STATUS_BYTES = 2  # each packet begins with the modem's and the line's status
LINE_OVERRUN = 0x02
LINE_ERRORS = 0x8E  # overrun, parity, framing, receiver FIFO
WAIT_MS_MIN = 20  # a shorter wait would cut transfers off; the chip answers sooner anyway
FAR_END = 0x80  # of an endpoint's address: towards the host

CHIPS = {0x6001: "ft232r", 0x6010: "ft2232h", 0x6011: "ft4232h", 0x6014: "ft232h", 0x6015: "ft231x"}  # by product id
UDEV_RULE = 'SUBSYSTEM=="usb", ATTR{idVendor}=="0403", MODE="0660", TAG+="uaccess"'
NO_PERMISSION = "no permission to use {url}: put {rule} into /etc/udev/rules.d/70-ftdi.rules and plug it in again"
NO_BOARD = "no board at {url}: is it plugged in and powered? qlinkctl board list shows those there are"
NO_INTERFACE = "{url}: the chip has no such interface; they count from 1"
SENTENCES = (  # what an error's text holds, and what we say of it
    ("no backend", "libusb is missing, without which no FTDI chip can be reached: apt install libusb-1.0-0"),
    ("langid", NO_PERMISSION),
    ("access denied", NO_PERMISSION),
    ("busy", "{url} is in use: close the other program (qlinkctl, a terminal, openFPGALoader) that has it open"),
    ("usb devices match", "more than one board matches {url}: name one by its serial, see qlinkctl board list"),
    ("no such ftdi port", NO_INTERFACE),
    ("no such interface", NO_INTERFACE),
    ("no such device (it may", "{url} was unplugged, or lost its power: plug it in again"),
    ("not found", NO_BOARD),
    ("no such device", NO_BOARD),
    ("no usb device", NO_BOARD),
    ("baudrate", "{url}: the chip cannot make this baud rate: {error}"),
)
USB_FAILURES = (OSError, ValueError, UsbToolsError)  # what pyftdi and pyusb raise; USBError and FtdiError are OSErrors


@dataclass(frozen=True, slots=True)
class Address:
    """What `ftdi://[vendor[:product[:serial]]]/interface[?mode=uart|fifo][&baud=3000000]` says."""

    device: str  # pyftdi's URL
    interface: int  # from 1
    mode: str
    baud: int


@dataclass(frozen=True, slots=True)
class FoundBoard:
    """An interface of an FTDI chip that is plugged in."""

    url: str
    description: str
    serial: str
    chip: str  # "ft2232h", ...; "" when unknown


def parse(url: SplitResult) -> Address:
    """Raises `TransportError` naming what is wrong with `url`."""
    options = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    if unknown := sorted(options.keys() - {"mode", "baud"}):
        raise TransportError(f"{url.geturl()}: there is no option {unknown[0]!r}, only mode and baud")
    mode = options.get("mode", UART)
    if mode not in (UART, FIFO):
        raise TransportError(f"{url.geturl()}: mode is {UART} or {FIFO}, not {mode!r}")
    interface = url.path.strip("/") or "1"
    if interface not in ("1", "2", "3", "4"):
        raise TransportError(f"{url.geturl()}: the interface is 1 to 4, not {interface!r}")
    baud = options.get("baud", str(BAUD_DEFAULT))
    if not baud.isascii() or not baud.isdigit() or not int(baud):
        raise TransportError(f"{url.geturl()}: baud is a number of bits a second, not {baud!r}")
    return Address(f"ftdi://{url.netloc}/{interface}", int(interface), mode, int(baud))


def explain(error: Exception, url: str) -> TransportError:
    """One sentence for what pyftdi, pyusb or libusb raised."""
    text = str(error)
    for part, sentence in SENTENCES:
        if part in text.lower():
            return TransportError(sentence.format(url=url, error=text, rule=UDEV_RULE))
    return TransportError(f"{url}: {text}")


def strip_status(data: bytes, packet_bytes: int) -> tuple[bytes, int, int]:
    """A transfer's payload, and how many of its packets say overrun, and any line error."""
    array = np.frombuffer(data, np.uint8)
    whole = array[: len(array) // packet_bytes * packet_bytes].reshape(-1, packet_bytes)
    last = array[whole.size :]
    line = np.append(whole[:, 1], last[1:STATUS_BYTES])
    payload = whole[:, STATUS_BYTES:].tobytes() + last[STATUS_BYTES:].tobytes()
    return payload, int(np.count_nonzero(line & LINE_OVERRUN)), int(np.count_nonzero(line & LINE_ERRORS))


class Endpoint(Protocol):
    """An open interface of a chip."""

    packet_bytes: int

    def read(self, timeout_ms: int) -> bytes:
        """One transfer, status bytes included; b"" when none came."""
        ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class FtdiTransport:
    """A board's byte pipe. `overruns` counts packets before which the chip had to drop bytes, `line_errors` all faults.

    The decoder finds its way behind such a hole; these counts say whose fault it was.
    """

    def __init__(self, endpoint: Endpoint, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._endpoint = endpoint
        self._url = url
        self._clock = clock
        self._rest = b""
        self._closed = False
        self.overruns = 0
        self.line_errors = 0

    def read(self, size: int, timeout_s: float) -> bytes:
        """The chip answers at least every millisecond, if only with its status."""
        self._check_open()
        deadline = self._clock() + timeout_s
        while not self._rest:
            remaining_ms = max(WAIT_MS_MIN, round((deadline - self._clock()) * 1000))
            try:
                transfer = self._endpoint.read(remaining_ms)
            except USB_FAILURES as error:
                raise explain(error, self._url) from error
            self._rest, overruns, faults = strip_status(transfer, self._endpoint.packet_bytes)
            self.overruns += overruns
            self.line_errors += faults
            if self._clock() >= deadline:
                break
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def write(self, data: bytes) -> None:
        self._check_open()
        try:
            self._endpoint.write(data)
        except USB_FAILURES as error:
            raise explain(error, self._url) from error

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._endpoint.close()

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError(f"{self._url} is closed: open it again")


class PyftdiEndpoint:
    """An interface opened and set up by pyftdi. Raises what pyftdi and pyusb do."""

    def __init__(self, address: Address) -> None:
        self._ftdi = Ftdi()
        self._ftdi.open_from_url(address.device)
        try:
            self._set_up(address)
        except BaseException:
            self._ftdi.close()
            raise

    def read(self, timeout_ms: int) -> bytes:
        try:
            return bytes(self._usb.read(self._in, TRANSFER_BYTES, timeout_ms))
        except USBTimeoutError:
            return b""

    def write(self, data: bytes) -> None:
        self._ftdi.write_data(data)

    def close(self) -> None:
        self._ftdi.close()

    def _set_up(self, address: Address) -> None:
        self._usb: Any = self._ftdi.usb_dev
        interface = self._usb.get_active_configuration()[(address.interface - 1, 0)]
        self._in, self.packet_bytes = next(
            (e.bEndpointAddress, e.wMaxPacketSize) for e in interface if e.bEndpointAddress & FAR_END
        )
        if address.mode == FIFO:
            self._ftdi.set_bitmode(0xFF, Ftdi.BitMode.SYNCFF)
            self._ftdi.set_flowctrl("hw")  # the FIFO's handshake
        else:
            self._ftdi.set_baudrate(address.baud)
            self._ftdi.set_line_property(8, 1, "N")
            self._ftdi.set_flowctrl("")
        self._ftdi.set_latency_timer(LATENCY_MS)
        self._ftdi.purge_buffers()


def open_url(url: SplitResult) -> FtdiTransport:
    """Open the board at an `ftdi://` URL, see `Address`. Raises `TransportError`."""
    address = parse(url)
    try:
        return FtdiTransport(PyftdiEndpoint(address), url.geturl())
    except USB_FAILURES as error:
        raise explain(error, url.geturl()) from error


def list_boards() -> list[FoundBoard]:
    """Every interface of every FTDI chip that is plugged in. Raises `TransportError`."""
    UsbTools.flush_cache()
    try:
        devices = Ftdi.list_devices()
    except USB_FAILURES as error:
        raise explain(error, "the FTDI chips") from error
    urls = UsbTools.build_dev_strings("ftdi", Ftdi.VENDOR_IDS, Ftdi.PRODUCT_IDS, devices)
    interfaces = [device for device, count in sorted(devices) for _ in range(count)]  # as build_dev_strings has them
    return [
        FoundBoard(url, description.strip("()"), device.sn or "", CHIPS.get(device.pid, ""))
        for (url, description), device in zip(urls, interfaces, strict=True)
    ]
