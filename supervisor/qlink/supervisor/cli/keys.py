"""`qlinkctl keys`: the table of clients and their keys."""

from pathlib import Path

import click

from qlink.supervisor.keys import Client, KeyStore, Right

from .output import home_option, json_option, stdout, table, write_json


@click.group()
def keys() -> None:
    """Say who may talk to the supervisor, and for which tenant.

    \b
    Example:
        qlinkctl keys add alice --tenant alice-qkd
        qlinkctl request --client alice --number 2
    """


@keys.command()
@click.argument("name")
@click.option("--tenant", help="Whom its requests count for.  [default: NAME]")
@click.option(
    "--right",
    "rights",
    type=click.Choice([right.value for right in Right]),
    multiple=True,
    default=[Right.SUBSCRIBE.value, Right.REQUEST.value],
    help="What it may do; can be given several times.",
)
@click.option("--public-key", help="Its public key (Z85), where the secret one lies on another machine.")
@home_option
def add(name: str, tenant: str | None, rights: tuple[str, ...], public_key: str | None, home: Path) -> None:
    """Let the client NAME in, from its next connection on.

    Makes its key pair in NAME.key, unless its public key is given.

    \b
    Example:
        qlinkctl keys add sensing --right subscribe --right request
    """
    store = KeyStore(home)
    granted = frozenset(map(Right, rights))
    if public_key is None:
        store.make_client(name, tenant or name, granted)
        click.echo(f"{name} is let in with the keys in {home / name}.key")
    else:
        store.add(Client(name, public_key.encode(), tenant or name, granted))
        click.echo(f"{name} is let in; tell it the server's public key: {store.server.public.decode()}")


@keys.command()
@click.argument("name")
@home_option
def remove(name: str, home: Path) -> None:
    """Let the client NAME in no more.

    \b
    Example:
        qlinkctl keys remove sensing
    """
    KeyStore(home).remove(name)
    click.echo(f"{name} is no longer let in")


@keys.command("list")
@home_option
@json_option
def list_clients(home: Path, as_json: bool) -> None:
    """List who is let in.

    \b
    Example:
        qlinkctl keys list --json
    """
    store = KeyStore(home)
    clients = sorted(store.clients().values(), key=lambda client: client.name)
    if as_json:
        listed = [
            {"name": c.name, "tenant": c.tenant, "rights": sorted(c.rights), "public_key": c.public.decode()}
            for c in clients
        ]
        write_json({"server_public_key": store.server.public.decode(), "clients": listed})
        return
    rows = [(c.name, c.tenant, ", ".join(sorted(c.rights)), c.public.decode()) for c in clients]
    stdout().print(table("Clients", ("name", "tenant", "rights", "public key"), rows))
    click.echo(f"The server's public key: {store.server.public.decode()}")
