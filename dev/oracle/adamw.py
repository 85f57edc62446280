"""AdamW from its paper, every scalar rounded to float as the C++ side holds it; PyTorch's own walks along, to agree."""
import torch

from golden import single


class AdamW:
    def __init__(self, weights, decays, clip):
        self.weights, self.decays, self.clip, self.steps = weights, [single(d) for d in decays], single(clip), 0
        self.beta1, self.beta2, self.eps = single(0.9), single(0.95), single(1e-8)
        self.m, self.v = [torch.zeros_like(w) for w in weights], [torch.zeros_like(w) for w in weights]
        self.peers = [w.detach().clone().requires_grad_() for w in weights]
        groups = [{"params": [w], "weight_decay": d} for w, d in zip(self.peers, self.decays)]
        self.peer = torch.optim.AdamW(groups, betas=(self.beta1, self.beta2), eps=self.eps)

    @torch.no_grad()
    def step(self, gradients, lr):
        """Changes the weights in place; the gradients' global norm."""
        self.steps += 1
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        for i, w in enumerate(self.weights):
            g = gradients[i] * min(1.0, self.clip / norm.item())
            self.m[i] = self.beta1 * self.m[i] + (1 - self.beta1) * g
            self.v[i] = self.beta2 * self.v[i] + (1 - self.beta2) * g**2
            m_hat = self.m[i] / single(1 - self.beta1**self.steps)
            v_hat = self.v[i] / single(1 - self.beta2**self.steps)
            w -= lr * (m_hat / (v_hat.sqrt() + self.eps) + self.decays[i] * w)
            self.peers[i].grad = g
        for group in self.peer.param_groups:
            group["lr"] = lr
        self.peer.step()
        for mine, theirs in zip(self.weights, self.peers):
            assert torch.allclose(mine, theirs, rtol=0, atol=1e-7)
        return norm
