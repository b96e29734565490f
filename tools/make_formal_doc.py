"""Write the table of docs/formal.md from the claims. Run after a change of qlink.gateware.formal."""

from pathlib import Path

from qlink.gateware.formal.claims import CLAIMS

PATH = Path(__file__).parents[1] / "docs" / "formal.md"
BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"


def render() -> str:
    lines = [
        "| claim | of what | proven by `make formal` | at every change | size | breaks with |",
        "|---|---|---|---|---|---|",
    ]
    for claim in CLAIMS:
        method = f"{claim.method}; {claim.invariants}" if claim.invariants else str(claim.method)
        bugs = "; ".join(mutation.words for mutation in claim.mutations)
        quick = claim.quick or "the same"
        lines.append(f"| {claim.name} | {claim.words} | {method} | {quick} | {claim.size} | {bugs} |")
    unbounded = sum(str(claim.method).startswith("unbounded") for claim in CLAIMS)
    bugs_planted = sum(len(claim.mutations) for claim in CLAIMS)
    lines += ["", f"{len(CLAIMS)} claims, {unbounded} of them unbounded; {bugs_planted} planted bugs."]
    return "\n".join(lines)


def page(text: str) -> str:
    """Return `text` with the table as it has to be."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{render()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PATH.write_text(page(PATH.read_text()))
