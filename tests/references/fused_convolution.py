"""Writes the program that `network::fused` calls: fused_convolution.py FILE

tch binds no convolution with ReLU in one pass. libtorch has one, which a program in TorchScript may call. Prints,
for a seeded input, the largest difference from convolution, bias and ReLU one after the other.
"""

import io
import sys
import zipfile
from typing import List, Optional

import torch


class Convolution(torch.nn.Module):
    """oneDNN's convolution with what follows it; `kernel` is in the order of `mkldnn_reorder_conv2d_weight`."""

    def forward(
        self,
        x: torch.Tensor,
        kernel: torch.Tensor,
        bias: Optional[torch.Tensor],
        padding: List[int],
        strides: List[int],
        activation: str,
    ) -> torch.Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            x, kernel, bias, padding, strides, [1, 1], 1, activation, [], ""
        )

    @torch.jit.export
    def add(
        self,
        to: torch.Tensor,
        x: torch.Tensor,
        kernel: torch.Tensor,
        bias: Optional[torch.Tensor],
        padding: List[int],
        strides: List[int],
        activation: Optional[str],
    ) -> torch.Tensor:
        """The convolution is added to `to`, whose memory the result takes."""
        return torch.ops.mkldnn._convolution_pointwise_(
            to, x, kernel, bias, padding, strides, [1, 1], 1, "add", 1.0, activation, [], None
        )


def main(file):
    saved = io.BytesIO()
    torch.jit.save(torch.jit.script(Convolution()), saved)
    # Without the places in this file that messages would name, for they have this machine's folders in them, and
    # without the number made of everything saved, them too. And the same bytes whenever it is written.
    with zipfile.ZipFile(saved) as whole, zipfile.ZipFile(file, "w") as program:
        for name in whole.namelist():
            if not name.endswith((".debug_pkl", "/serialization_id")):
                program.writestr(zipfile.ZipInfo(name), whole.read(name))
    torch.manual_seed(0)
    x = torch.randn(2, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    kernel, bias = torch.randn(16, 8, 3, 3), torch.randn(16)
    reordered = torch._C._nn.mkldnn_reorder_conv2d_weight(kernel.to_mkldnn(), [1, 1], [1, 1], [1, 1], 1, x.shape)
    found = torch.jit.load(file)(x, reordered, bias, [1, 1], [1, 1], "relu")
    sums = torch.nn.functional.conv2d(x, kernel, bias, padding=1)
    to = torch.randn_like(sums)
    expected = [torch.relu(sums), torch.relu(sums + to)]
    found = [found, torch.jit.load(file).add(to, x, reordered, bias, [1, 1], [1, 1], "relu")]
    print(max((one - other).abs().max().item() for one, other in zip(found, expected)))


if __name__ == "__main__":
    main(*sys.argv[1:])
