"""A folder for each method; importing this registers the parts of all."""
from importlib import import_module
from pkgutil import iter_modules

for _method in iter_modules(__path__):
    import_module(f'{__name__}.{_method.name}')
