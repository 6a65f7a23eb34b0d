"""What a proof says: proven, refuted, or neither; and what is told when a tool is missing."""

import os
from pathlib import Path
from typing import Any

import pytest
from amaranth import Mux, Signal

from spikeloom.compiler.errors import SpikeloomError, ToolMissing
from spikeloom.sim import toolchain
from spikeloom.sim.formal import Method, Proof, check


def counter() -> tuple[Proof, Any]:
    """Counts 0 .. 3 and begins anew; 4 .. 7 never come up."""
    proof = Proof()
    count = Signal(3)
    proof.module.d.sync += count.eq(Mux(count == 3, 0, count + 1))
    return proof, count


@pytest.mark.formal
@pytest.mark.parametrize("helped", [False, True])
def test_induction_that_needs_more_claims_says_at_which_it_fails(
    helped: bool, tmp_path: Path
) -> None:
    proof, count = counter()
    proof.claim("never six", count != 6)
    if helped:
        proof.claim("at most three", count <= 3)
    verdict = check(proof, tmp_path, 1)
    assert (verdict.proven, verdict.refuted) == (helped, ())
    assert verdict.unproven == (() if helped else ("never six",))


@pytest.mark.formal
def test_claim_that_is_false_first_is_named(tmp_path: Path) -> None:
    proof, count = counter()
    proof.claim("below 3", count < 3)
    proof.claim("below 2", count < 2)
    verdict = check(proof, tmp_path, 6)
    assert (verdict.proven, verdict.refuted, verdict.unproven) == (False, ("below 2",), ())
    assert verdict.log == tmp_path / "proof.log"


@pytest.mark.formal
@pytest.mark.parametrize("still", [False, True])
def test_supposition_leaves_out_what_it_excludes(still: bool, tmp_path: Path) -> None:
    proof = Proof()
    step, count = proof.anything(1, "step"), Signal(3)
    proof.module.d.sync += count.eq(count + step)
    proof.claim("stays 0", count == 0)
    if still:
        proof.suppose(~step)
    verdict = check(proof, tmp_path, 3, Method.BOUNDED)
    assert (verdict.proven, verdict.refuted) == (still, () if still else ("stays 0",))


@pytest.mark.formal
def test_what_cannot_happen_is_named(tmp_path: Path) -> None:
    proof, count = counter()
    proof.reach("three", count == 3)
    proof.reach("five", count == 5)
    assert check(proof, tmp_path, 5, Method.REACH).refuted == ("five",)


def test_missing_solver_is_named_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = toolchain.find_tool
    monkeypatch.setattr(toolchain, "find_tool", lambda name: None if name == "z3" else find(name))
    proof, _ = counter()
    with pytest.raises(ToolMissing, match="z3 is not installed; install it with: pip install z3-s"):
        check(proof, tmp_path / "out", 3)
    assert not (tmp_path / "out").exists()


def test_tool_that_fails_is_told_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sby"
    program.write_text("#!/bin/sh\necho 'ERROR: no such engine'\nexit 16\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    proof, _ = counter()
    with pytest.raises(SpikeloomError, match="sby failed: ERROR: no such engine"):
        check(proof, tmp_path / "out", 3)
