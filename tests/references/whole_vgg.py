"""torchvision's VGG16 with its top, with the pretend weights that `Weights::seeded` gives."""

import torch
import torchvision

import seeded


def seeded_vgg16(seed):
    """The whole network; its flattening is torchvision's, (C, H, W), so fc1's rows are put in that order."""
    model = torchvision.models.vgg16().eval()
    modules = [m for m in model.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    with torch.no_grad():
        for module, (name, (kernel, bias)) in zip(modules, seeded.weights(seed, with_top=True).items()):
            kernel = torch.from_numpy(kernel)
            if name == "fc1":
                kernel = kernel.view(7, 7, 512, -1).permute(2, 0, 1, 3).flatten(0, 2)
            kernel = kernel.permute(3, 2, 0, 1) if kernel.dim() == 4 else kernel.T
            module.weight.copy_(kernel)
            module.bias.copy_(torch.from_numpy(bias))
    return model
