"""Names of the classes that configs ask for."""
from typing import Union


def type_name(kind: Union[str, type, None]) -> str:
    """Name the class of a ``type`` in a config.

    Args:
        kind (str | type): A name, with or without its scope, or the class.

    Returns:
        str: The name alone.

    Example:
        >>> type_name('mmpretrain.SSDPHook'), type_name(dict)
        ('SSDPHook', 'dict')
    """
    return str(getattr(kind, '__name__', kind)).split('.')[-1]
