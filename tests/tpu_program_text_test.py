# SPDX-License-Identifier: Apache-2.0
"""What is read out of the text of a compiled TPU program."""

import pytest

from tpufi.tpu.program_text import read_program

CYCLES = 'backend_config={{"window_config":{{"estimated_cycles":"{}"}}}}'
BRANCHES = "branch_computations={%injected, %clean}"
PROGRAM = f"""HloModule jit_step, is_scheduled=true

%fused (p: f32[8]) -> f32[8] {{
  ROOT %add = f32[8]{{0}} add(%p, %p)
}}

%body (p: f32[8]) -> f32[8] {{
  ROOT %in_loop = f32[8]{{0}} fusion(%p), calls=%fused, {CYCLES.format(7)}
}}

%injected (p: f32[8]) -> f32[8] {{
  ROOT %dear = f32[8]{{0}} fusion(%p), calls=%fused, {CYCLES.format(1000)}
}}

%clean (p: f32[8]) -> f32[8] {{
  ROOT %cheap = f32[8]{{0}} fusion(%p), calls=%fused, {CYCLES.format(10)}
}}

ENTRY %main (p: f32[8]) -> f32[8] {{
  %a = f32[8]{{0:T(128)S(1)}} fusion(%p), calls=%fused, {CYCLES.format(200)}
  %loop = f32[8]{{0}} while(%a), condition=%test, body=%body
  ROOT %c = f32[8]{{0}} conditional(%n, %loop, %loop), {BRANCHES}
}}
"""


def test_cycles_are_summed_over_all_computations():
    cost = read_program(PROGRAM)
    assert cost.cycles == 7 + 1000 + 10 + 200
    assert cost.fusions == 4
    assert cost.conditionals == 1
    assert cost.host_transfers == ()


def test_copies_between_memories_are_summed_by_bytes():
    copies = """  %s = (bf16[2,3]{1,0:S(1)}, bf16[2,3]{1,0}, u32[]) copy-start(%p)
  %q = (pred[5]{0:S(1)}, pred[5]{0}, u32[]) copy-start(%p)
"""
    text = PROGRAM.replace("  %loop =", copies + "  %loop =")
    assert read_program(PROGRAM).copied_bytes == 0
    assert read_program(text).copied_bytes == 2 * 2 * 3 + 5


def test_the_path_without_a_fault_takes_the_cheapest_branch():
    assert read_program(PROGRAM).cycles_without_branches == 200 + 7 + 10


def test_a_fault_in_every_operation_takes_the_most_expensive_branch():
    assert read_program(PROGRAM).cycles_with_branches == 200 + 7 + 1000


@pytest.mark.parametrize(
    "line",
    [
        "%x = (f32[8]{0}, token[]) infeed(%token)",
        "%x = token[] outfeed(%a, %token)",
        "%x = (f32[8], token[]) send(%a, %token), channel_id=1, is_host_transfer=true",
        '%x = f32[8]{0} custom-call(%a), custom_call_target="xla_python_cpu_callback"',
        "%x = f32[8]{0:T(128)S(5)} copy(%a)",
    ],
)
def test_traffic_with_the_host_is_found(line):
    text = PROGRAM.replace("  %loop =", f"  {line}\n  %loop =")
    assert read_program(text).host_transfers == (line,)


@pytest.mark.parametrize(
    "line",
    [
        "%x = (f32[8], u32[], token[]) send(%a, %token), channel_id=1",
        '%x = u32[1]{0} custom-call(%a), custom_call_target="X64SplitLow"',
        "%x = f32[8]{0:T(128)S(1)} copy(%a)",
    ],
)
def test_traffic_on_the_chip_is_no_host_transfer(line):
    text = PROGRAM.replace("  %loop =", f"  {line}\n  %loop =")
    assert read_program(text).host_transfers == ()
