"""Whether mixed precision is on."""
import torch


def is_autocast(device_type: str) -> bool:
    """Tell whether autocast is on for a kind of device, on every torch.

    Args:
        device_type (str): ``'cpu'`` or ``'cuda'``.

    Returns:
        bool: True inside ``torch.autocast``.

    Example:
        >>> with torch.autocast('cpu', torch.bfloat16):
        ...     is_autocast('cpu')
        True
    """
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # before torch 2.4
        return (torch.is_autocast_cpu_enabled() if device_type == 'cpu' else
                torch.is_autocast_enabled())
